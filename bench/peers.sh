#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# kflight beside other recorders of the same events: installs them (Debian), runs the same loads untraced and under
# each, in turns, and prints what each costs and keeps. docs/peers.md says what can be compared and what cannot.
#   cost     a load that ends by itself, under the recorder and just before or after without it: the ratio of the times
#   window   the same load without end, until memory is full; then a dump while the load goes on, what is in it, and
#            how long the recorder's own reader takes to the first answer from it
# Usage: bench/peers.sh [--rounds 5] [--seconds 10] [--recorders LIST] [--workloads LIST] [--measure cost,window]
#                       [--values FILE] [--markdown|--json]
#   --seconds  how long the endless load runs       --values  adds to the numbers in FILE; the tables are of them all
# A round takes a quarter of an hour. On a machine with other work, `nice -n -20` keeps that out of the numbers; then the
# loads have that priority, too, and a dump beside 320 processes waits for its turn.
#
# A load is some functions in bench/peers/workloads.sh. A recorder NAME is a file in bench/peers/recorders with at least
#   NAME_start         returns when it records; leaves the processes it consists of in recorder_pids
#   NAME_stop          ends it
# and, where there is such a thing,
#   NAME_install       makes it available, as far as install_peers does not
#   NAME_needs         prints what is missing for it to run here; nothing when it can
#   NAME_scale LOAD    prints N when it is too slow for more than a 1/N of the load's operations, 0: for any
#   NAME_follow        is called when the endless load has been started
#   NAME_dump FILE     writes what it has in memory
#   NAME_lost          prints how many events it has lost by its own account
#   NAME_facts FILE    notes what is in the dump: events, bytes (in memory), span_s (the time for which no CPU's events
#                      are missing), fill (how full its fullest ring was, 1: it has begun to overwrite)
#   NAME_answer FILE   sets answer to the command that reads it
# A hyphen in a name is an underscore in its functions.
# shellcheck disable=SC2034 # recorders and loads use what is set here
set -euo pipefail

# tracefs is mounted in a mount namespace of this script's own: gone when the script is, however it ends.
if [ -z "${KF_BENCH_NAMESPACE:-}" ]; then
  KF_BENCH_NAMESPACE=1 exec unshare --mount --propagation private "$0" "$@"
fi
command="bench/peers.sh $*"
. "$(dirname "$0")/common.sh"

# What all recorders are asked for.
events=(sched/sched_{switch,waking,wakeup,wakeup_new,migrate_task,process_{fork,exec,exit}} task/task_rename
  raw_syscalls/sys_{enter,exit})
ring_bytes=$((64 << 20)) # of all CPUs together
cpus=$(nproc)
for file in bench/peers/workloads.sh bench/peers/recorders/*.sh; do
  # shellcheck source=/dev/null
  . "$file"
done

rounds=5
seconds=10
recorders="kflight-full,kflight-default,perf,ftrace,trace-cmd,perfetto,bpftrace,strace"
workloads="pipe,getppid,messaging,redis,threads,idle"
measured="cost,window"
format=text
values=$temp/values
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=${2:?--rounds needs a number} && shift 2 ;;
    --seconds) seconds=${2:?--seconds needs a number} && shift 2 ;;
    --recorders) recorders=${2:?--recorders needs a list} && shift 2 ;;
    --workloads) workloads=${2:?--workloads needs a list} && shift 2 ;;
    --measure) measured=${2:?--measure needs a list} && shift 2 ;;
    --values) values=$(given "${2:?--values needs a file}") && shift 2 ;;
    --markdown | --json) format=${1#--} && shift ;;
    *) die "unknown argument '$1'; the head of this script says what there is" ;;
  esac
done
order=$recorders
IFS=, read -ra recorders <<<"$recorders"
IFS=, read -ra workloads <<<"$workloads"

# call NAME FUNCTION ARGUMENTS...: NAME_FUNCTION, of a recorder or a load; has NAME FUNCTION: is there one?
call() { "${1//-/_}_$2" "${@:3}"; }
has() { declare -F "${1//-/_}_$2" >/dev/null; }

install_peers() {
  local package name missing=()
  command -v apt-get >/dev/null || return 0 # what is not there becomes a row that says so
  for package in linux-perf trace-cmd bpftrace strace redis-tools zstd; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
  fi
  for name in "${recorders[@]}"; do
    if has "$name" install; then call "$name" install; fi
  done
}

# note METRIC VALUE: of what is measured now
note() { printf '%s\t%s\t%s\t%s\n' "$workload" "$recorder_name" "$1" "$2" >>"$values"; }

# Only those that run here; why others do not is a row of the table.
choose_recorders() {
  local why chosen=() workload=all recorder_name
  for recorder_name in "${recorders[@]}"; do
    has "$recorder_name" start || die "no recorder '$recorder_name' in bench/peers/recorders"
    why=$(if has "$recorder_name" needs; then call "$recorder_name" needs; fi)
    if [ -n "$why" ]; then note not_run "$why"; else chosen+=("$recorder_name"); fi
  done
  recorders=("${chosen[@]}")
}

now_us() { echo "${EPOCHREALTIME/./}"; }
quotient() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.6g\n", b ? a / b : 0 }'; }
seconds_since() { quotient $(($(now_us) - $1)) 1e6; }

start() {
  recorder_pids=()
  call "$recorder_name" start
}
stop() {
  call "$recorder_name" stop
  rm -f "$temp"/dump*
}

# Prints what part of the load the recorder is up to: 1/N; 0: nothing.
scale() { if has "$recorder_name" scale; then call "$recorder_name" scale "$workload"; else echo 1; fi; }

# time_load FILE SCALE: ns per operation
time_load() {
  call "$workload" run "$2" >"$temp/run"
  awk '{ print $1 * 1e9 / $2 }' "$temp/run" >"$1"
}

measure_cost() { # ROUND: without the recorder first or last
  if (($1 % 2)); then time_load "$temp/untraced" 1; fi
  start
  time_load "$temp/traced" "$(scale)"
  stop
  if (($1 % 2 == 0)); then time_load "$temp/untraced" 1; fi
  note untraced_ns "$(cat "$temp/untraced")"
  note slowdown "$(quotient "$(cat "$temp/traced")" "$(cat "$temp/untraced")")"
}

# Runs the load until memory should be full.
fill_window() {
  local from cpu
  call "$workload" load
  if has "$recorder_name" follow; then call "$recorder_name" follow; fi
  from=$(now_us) cpu=$(cpu_ns "${recorder_pids[@]}")
  run sleep "$seconds"
  cpu=$(($(cpu_ns "${recorder_pids[@]}") - cpu))
  note cpu_percent "$(quotient $((cpu / 10)) $(($(now_us) - from)))"
}

dump_window() { # FILE
  local from
  from=$(now_us)
  if has "$recorder_name" dump; then
    call "$recorder_name" dump "$1"
    note dump_s "$(seconds_since "$from")"
  fi
  if has "$recorder_name" lost; then note lost "$(call "$recorder_name" lost)"; fi
  call "$workload" unload
  call "$recorder_name" facts "$1"
  note file_bytes "$(stat -c %s "$1")"
  note zstd_bytes "$(zstd -q -1 -c "$1" | wc -c)"
}

first_answer() { # FILE
  local took mib cpu answer=()
  call "$recorder_name" answer "$1"
  [ ${#answer[@]} -gt 0 ] || return 0
  measure "${answer[@]}" >"$temp/answer" 2>"$temp/answer.log" || die "${answer[*]}: $(tail -n 3 "$temp/answer.log")"
  read -r took mib cpu <"$temp/answer"
  note answer_s "$took"
  note answer_mib "$mib"
  note answer_cpu_s "$cpu"
}

measure_window() {
  start
  fill_window
  if has "$recorder_name" facts; then
    dump_window "$temp/dump"
    if has "$recorder_name" answer; then first_answer "$temp/dump"; fi
  fi
  stop
}

if ! mountpoint -q /sys/kernel/tracing; then mount -t tracefs tracefs /sys/kernel/tracing; fi
for workload in "${workloads[@]}"; do
  has "$workload" load || die "no load '$workload' in bench/peers/workloads.sh"
done
install_peers
scripts/build.sh release kflight_cli getppid_loop thread_server >&2
start_idle
choose_recorders
load_before=$(cut -d ' ' -f 1-3 /proc/loadavg)
for round in $(seq "$rounds"); do
  for workload in "${workloads[@]}"; do
    for i in "${!recorders[@]}"; do
      recorder_name=${recorders[(i + round) % ${#recorders[@]}]}
      [ "$(scale)" -gt 0 ] || continue
      echo "round $round/$rounds: $workload, $recorder_name" >&2
      if [[ ,$measured, == *,cost,* ]] && has "$workload" run; then measure_cost "$round"; fi
      if [[ ,$measured, == *,window,* ]]; then measure_window; fi
    done
  done
done
python3 bench/peers/table.py "$format" "$values" "$command" "$load_before" "$order"
