#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# How much longer the demo's server takes for a request while kflight records it as the demo does, and while programs
# that do nothing, or nothing but read the clock, hang on the same tracepoints, which is the floor: ratios of the median
# latency to that of an untraced run of the same round, whose order turns; the medians of some rounds.
# Usage: bench/server.sh [--rounds 7] [--seconds 5] [-- RECORD ARGUMENTS...]    instead of --trigger 'syscall>50ms'
. "$(dirname "$0")/common.sh"

rounds=7
seconds=5
arguments=(--trigger 'syscall>50ms')
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=${2:?--rounds needs a number} && shift 2 ;;
    --seconds) seconds=${2:?--seconds needs a number} && shift 2 ;;
    --) shift && arguments=("$@") && break ;;
    *) die "unknown argument '$1'; the head of this script says what there is" ;;
  esac
done
scripts/build.sh release kflight_cli workload_stall_server bench_empty_programs >&2
mkfifo "$temp/go"
exec 3<>"$temp/go"

# Each prints its median latency in ns. The server waits until whoever traces it is there.
start_server() {
  start_load sh -c 'exec "$@" <&3' sh "$build/workloads/workload_stall_server" --wait --clean \
    --run $((seconds * 1000)) >"$temp/server"
  server=$load
}
end_server() {
  printf '\n\n' >&3 # start, and end when done
  wait_for "$server"
}
latency() { tail -1 "$temp/server" | number_in did median_ns; }

untraced() {
  start_server
  end_server
  latency >"$temp/untraced"
}

floor() { # empty|clock
  start_server
  start_empty_programs "$1"
  end_server
  stop_empty_programs
  latency >"$temp/$1"
}

traced() {
  start_server
  start_recorder --pid "$server" "${arguments[@]}"
  end_server
  stop_recorder # it has ended with its target, and says how many events it has lost
  sed -n 's/.* \([0-9,]*\) lost,.*/\1/p' "$temp/record.log" | tr -d , >>"$temp/losses"
  latency >"$temp/traced"
}

: >"$temp/losses"
kinds=(untraced empty clock traced)
for round in $(seq "$rounds"); do
  if ((round % 2)); then
    untraced && floor empty && floor clock && traced
  else
    traced && floor clock && floor empty && untraced
  fi
  (cd "$temp" && cat "${kinds[@]}" | paste -sd ' ') >>"$temp/rounds"
done
names=(untraced 'empty programs' 'clock read' kflight)
for column in 1 2 3 4; do
  awk -v column=$column '{ print $column / $1 }' "$temp/rounds" | sort -g >"$temp/ratios"
  echo "${names[column - 1]}: median latency $(awk -v column=$column '{ print $column / 1000 }' "$temp/rounds" | median) us," \
    "ratio $(median <"$temp/ratios"), from $(head -1 "$temp/ratios") to $(tail -1 "$temp/ratios")"
done
echo "losses: $(awk '{ n += $1 } END { print n + 0 }' "$temp/losses")"
