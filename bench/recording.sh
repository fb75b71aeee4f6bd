#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What recording everything is like under a mixed load (messages between processes, pipes, system calls, small writes
# with fsync): bytes per event, the consumer's CPU time, losses, how long a dump of the full window takes; then how soon
# a trigger is acted on.
# Usage: bench/recording.sh [SECONDS of load, default 10]
. "$(dirname "$0")/common.sh"

seconds=${1:-10}
command -v perf >/dev/null || die "perf is not installed; scripts/setup.sh installs it"
scripts/build.sh release kflight_cli getppid_loop workload_nanosleep workload_mutex_sleeper >&2

now_ns() { date +%s%N; }

start_mix() {
  start_load perf bench sched messaging -g 2 -l 100000000 >/dev/null 2>&1
  start_load perf bench sched pipe -l 100000000 >/dev/null 2>&1
  start_load "$build/bench/getppid_loop" 4000000000 >/dev/null 2>&1
  # shellcheck disable=SC2016 # its own shell's parameter
  start_load bash -c 'while :; do dd if=/dev/zero of="$0" bs=4k count=16 conv=fsync 2>/dev/null; done' "$temp/written"
}

start_recorder --all --syscalls all
start_mix
sleep 1
events=$(status events_seen) hits=$(status hits_seen) cpu=$(cpu_ns "$recorder") from=$(now_ns)
run sleep "$seconds"
events=$(($(status events_seen) - events)) hits=$(($(status hits_seen) - hits))
cpu=$(($(cpu_ns "$recorder") - cpu)) took=$(($(now_ns) - from))
bytes=$(status window bytes) kept=$(status window events) kept_hits=$(status window hits)
awk -v e="$events" -v h="$hits" -v c="$cpu" -v t="$took" -v b="$bytes" -v k="$kept" -v kh="$kept_hits" 'BEGIN {
  printf "mixed load           %.2f M tracepoint hits/s, kept as %.2f M events/s\n", h / t * 1e3, e / t * 1e3
  printf "window               %.1f MiB: %.2f bytes per hit, %.2f per event", b / 1048576, b / kh, b / k
  printf " (a call, or a waking with its wakeup, is two hits)\n"
  printf "consumer             %.2f %% of one CPU, %.2f %% at 1 M hits/s\n", c / t * 100, c / h / 10
}'
# dumps LABEL: writes the window a few times
dumps() {
  local from size=0
  for _ in 1 2 3 4 5; do
    rm -f "$temp/full.kfr"
    from=$(now_ns)
    "$kflight" dump --name "bench-$$" -o "$temp/full.kfr" >/dev/null
    echo $((($(now_ns) - from) / 1000))
  done | median | awk -v label="$1" '{ printf "%-20s %.2f s (median of 5)", label, $1 / 1e6 }'
  size=$(stat -c %s "$temp/full.kfr")
  awk -v size="$size" 'BEGIN { printf ", %.1f MiB\n", size / 1048576 }'
}
dumps "dump under load"
end_all_loads
dumps "dump without load"
echo "losses               $(status losses) events"
stop_recorder
rm -f "$temp"/*.kfr

# infos TRIGGER WORKLOAD: records a few runs of it; $temp/infos has what `info --json` says of the dumps, one line each.
# On a machine that is busy enough, the recorder can meet a program so late that its slow call has begun: no dump then.
infos() {
  local trigger=$1
  : >"$temp/infos"
  shift
  for _ in $(seq 15); do
    start_recorder --trigger "$trigger" --post 10ms --max-dumps 1 --duration 20s --wait \
      --comm "$(basename "$1" | cut -c1-15)"
    run "$@" >/dev/null
    wait "$recorder" || die "the recorder failed: $(cat "$temp/record.log")"
    recorder=
    compgen -G "$temp/*.kfr" >/dev/null || continue
    "$kflight" info --json "$temp"/*.kfr | tr -d '\n' >>"$temp/infos"
    echo >>"$temp/infos"
    rm "$temp"/*.kfr
  done
}
ms_of() { # EXPRESSION of ns, over the dumps' cause c
  python3 -c '
import json, statistics, sys
expression = sys.argv[1]
found = []
for line in open(sys.argv[2]):
    found.append(eval(expression, {"c": json.loads(line)["cause"]}) / 1e6)
print("%.2f ms median, %.2f ms at most (%d runs)" % (statistics.median(found), max(found), len(found)))
' "$1" "$temp/infos"
}
infos 'syscall:clock_nanosleep>50ms' "$build/workloads/workload_nanosleep"
echo "trigger to request   $(ms_of 'c["received_ns"] - c["fired_ns"]')"
infos 'inflight>100ms' "$build/workloads/workload_mutex_sleeper"
echo "inflight>100ms late  $(ms_of 'c["fired_ns"] - c["enter_ns"] - 100e6')"
