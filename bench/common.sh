# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # variables are for the scripts that source this
#
# What the scripts of this folder share; they source it. Builds the release programs, and starts and stops recorders and
# other children so that nothing is left behind, whatever happens.
set -Eeuo pipefail
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${KF_BUILD_DIR:-.build/release}
kflight=$build/kflight

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# A path as whoever started the script meant it.
given() { (cd "$from" && realpath -m "$1"); }
[ -z "${KFLIGHT_TEST_KEEP:-}" ] || KFLIGHT_TEST_KEEP=$(given "$KFLIGHT_TEST_KEEP")

[ "$(id -u)" -eq 0 ] || die "loading BPF programs needs root"

# undo: commands, in quotes, for what is neither a process nor a file in $temp. They run when all processes are gone.
undo=()
temp=$(mktemp -d "${TMPDIR:-/tmp}/kflight-bench-XXXXXX")
declare -A loads=()
recorder=
clean_up() {
  local status=$? one
  trap - EXIT
  trap '' INT TERM # a second signal must not cut this short
  if [ -n "$recorder" ]; then
    kill "$recorder" 2>/dev/null || true
    wait "$recorder" 2>/dev/null || true
  fi
  # A signal can come between the start of a load and the line that notes it; the shell itself knows all.
  for one in $(jobs -pr); do loads[$one]=1; done
  end_all_loads
  for one in "${undo[@]}"; do eval "$one" || true; done
  rm -rf "$temp"
  exit "$status"
}
trap clean_up EXIT
trap 'echo "$(basename "$0"): line $LINENO of ${BASH_SOURCE[0]}: status $? of: $BASH_COMMAND" >&2' ERR
trap 'exit 130' INT
trap 'exit 143' TERM

# start_load COMMAND...: in the background, in a session of its own: many loads have children, and these outlive a
# parent that is killed. Its PID, which is the number of its group too, is in $load. Not in a subshell: only this shell
# cleans up.
start_load() {
  setsid -- "$@" &
  load=$!
  loads[$load]=1
}

# end_loads PID...: with all that they started. The leader first: it may not have its group yet. Its number stays taken
# until it is waited for.
end_loads() {
  local one
  for one; do
    kill -KILL "$one" 2>/dev/null || true
    kill -KILL -- "-$one" 2>/dev/null || true
  done
  for one; do
    wait_for "$one" 2>/dev/null || true
  done
}

end_all_loads() { end_loads "${!loads[@]}"; }

# wait_for PID: of a load that ends by itself or was asked to; its exit status. Can be interrupted.
wait_for() {
  local status=0
  wait "$1" || status=$?
  unset "loads[$1]"
  return "$status"
}

# run COMMAND...: a load that ends by itself, like a command in the foreground, but this script can be interrupted.
run() {
  start_load "$@"
  wait_for "$load"
}

# start_idle: a process that does nothing, to be a target. Its PID is in $idle.
start_idle() {
  start_load sleep infinity
  idle=$load
}

# start_recorder ARGUMENTS...: returns when it records. Its PID is in $recorder.
start_recorder() {
  : >"$temp/record.out"
  "$kflight" record --name "bench-$$" -o "$temp" "$@" >"$temp/record.out" 2>"$temp/record.log" &
  recorder=$!
  until grep -q '^ready' "$temp/record.out"; do
    kill -0 "$recorder" 2>/dev/null || die "the recorder did not start: $(cat "$temp/record.log")"
    sleep 0.02
  done
}

# start_empty_programs empty|clock: on the tracepoints of scheduler and calls, which return at once, or read the clock as
# often as kflight does in pipe ping-pong (a wakeup onto the own CPU's queue is part of its waking). Returns when attached.
start_empty_programs() {
  local clock=
  [ "$1" = empty ] || clock=+clock
  [ -p "$temp/empty.in" ] || { mkfifo "$temp/empty.in" && exec 4<>"$temp/empty.in"; }
  start_load sh -c 'exec "$@" <&4' sh "$build/bench/bench_empty_programs" sched_switch$clock \
    sched_waking$clock sched_wakeup sched_wakeup_new$clock sched_migrate_task$clock sys_enter$clock sys_exit$clock \
    >"$temp/empty.out"
  empty_programs=$load
  until grep -q ready "$temp/empty.out"; do
    kill -0 "$empty_programs" || die "the empty programs could not be attached"
    sleep 0.05
  done
}

stop_empty_programs() {
  printf '\n' >&4
  wait_for "$empty_programs"
}

# cpu_ns PID...: CPU time used so far by the threads these processes have now (a thread may end meanwhile)
cpu_ns() {
  local pid
  for pid; do cat /proc/"$pid"/task/*/schedstat 2>/dev/null || true; done | awk '{ n += $1 } END { printf "%d\n", n }'
}

stop_recorder() {
  kill -INT "$recorder" 2>/dev/null || true
  wait "$recorder" || die "the recorder failed: $(cat "$temp/record.log")"
  recorder=
}

# status FIELD...: one number of `kflight status --json`, by the keys that lead to it; an object gives the sum of its
# numbers.
status() { "$kflight" status --name "bench-$$" --json | number_in "$@"; }

number_in() {
  python3 -c '
import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]:
    value = value[key]
print(sum(v for v in value.values() if isinstance(v, (int, float))) if isinstance(value, dict) else value)
' "$@"
}

# median NUMBERS on stdin, one per line
median() {
  sort -g | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# measure COMMAND...: "seconds MiB seconds-of-CPU" of one run, MiB being its peak of resident memory
measure() {
  run python3 -c '
import resource, subprocess, sys, time
start = time.monotonic()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
took = time.monotonic() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{took:.3f} {used.ru_maxrss / 1024:.0f} {used.ru_utime + used.ru_stime:.3f}")
sys.exit(status)' "$@"
}
