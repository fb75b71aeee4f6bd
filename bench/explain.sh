#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What it takes to read a dump of 1 M and of 10 M events: records a load of threads that message each other until the
# window holds that many, then prints wall time and peak memory of explain (the slowest operation) and of check; the
# median of some runs.
# Usage: bench/explain.sh [--events 1000000,10000000] [--rounds 5] [--keep DIR] [--dump FILE]
#   --keep  leaves the dumps there     --dump  measures that file instead
. "$(dirname "$0")/common.sh"

events=1000000,10000000
rounds=5
keep=
dump=
while [ $# -gt 0 ]; do
  case $1 in
    --events) events=${2:?--events needs a list} && shift 2 ;;
    --rounds) rounds=${2:?--rounds needs a number} && shift 2 ;;
    --keep) keep=$(given "${2:?--keep needs a folder}") && mkdir -p "$keep" && shift 2 ;;
    --dump) dump=$(given "${2:?--dump needs a file}") && shift 2 ;;
    *) die "unknown argument '$1'; the head of this script says what there is" ;;
  esac
done
command -v perf >/dev/null || die "perf is not installed; Debian's linux-perf has it"
scripts/build.sh release kflight_cli >&2

# record EVENTS FILE
record() {
  start_recorder --all --syscalls slow --max-bytes 1GiB --min-age 10m
  start_load perf bench sched messaging --thread --group 4 --nr_loops 100000000 >/dev/null 2>&1
  until [ "$(status window events)" -ge "$1" ]; do sleep 0.1; done
  "$kflight" dump --name "bench-$$" -o "$2" >/dev/null
  end_all_loads
  stop_recorder
}

report() { # FILE
  local command
  printf '%s events in %s MiB\n' "$("$kflight" info --json "$1" | number_in window events)" \
    "$(($(stat -c %s "$1") >> 20))"
  for command in explain check; do
    for _ in $(seq "$rounds"); do measure "$kflight" $command "$1"; done >"$temp/runs"
    printf '  %-8s %6s s  %6s MiB\n' $command "$(awk '{ print $1 }' "$temp/runs" | median)" \
      "$(awk '{ print $2 }' "$temp/runs" | median)"
  done
}

if [ -n "$dump" ]; then
  report "$dump"
  exit
fi
for count in ${events//,/ }; do
  file=${keep:-$temp}/$count.kfr
  record "$count" "$file"
  report "$file"
done
