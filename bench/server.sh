#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# How much longer the demo's server takes for a request while kflight records it as the demo does: the ratio of the
# median latencies of two runs next to each other, in turns as to which comes first; the median of some rounds.
# Usage: bench/server.sh [--rounds 7] [--seconds 5]
. "$(dirname "$0")/common.sh"

rounds=7
seconds=5
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=${2:?--rounds needs a number} && shift 2 ;;
    --seconds) seconds=${2:?--seconds needs a number} && shift 2 ;;
    *) die "unknown argument '$1'; the head of this script says what there is" ;;
  esac
done
scripts/build.sh release kflight_cli workload_stall_server >&2
mkfifo "$temp/go"
exec 3<>"$temp/go"

# serve [RECORD ARGUMENTS...]: median latency in ns. The server waits until the recorder is there.
serve() {
  start_load sh -c 'exec "$@" <&3' sh "$build/workloads/workload_stall_server" --wait --clean \
    --run $((seconds * 1000)) >"$temp/server"
  local server=$load
  [ $# -eq 0 ] || start_recorder --pid "$server" "$@"
  printf '\n\n' >&3 # start, and end when done
  wait_for "$server"
  if [ $# -gt 0 ]; then
    stop_recorder # it has ended with its target, and says how many events it has lost
    sed -n 's/.* \([0-9,]*\) lost,.*/\1/p' "$temp/record.log" | tr -d , >>"$temp/losses"
  fi
  tail -1 "$temp/server" | number_in did median_ns
}

traced() { serve --trigger 'syscall>50ms' >"$temp/traced"; }
untraced() { serve >"$temp/untraced"; }

: >"$temp/losses"
for round in $(seq "$rounds"); do
  if ((round % 2)); then untraced && traced; else traced && untraced; fi
  echo "$(cat "$temp/untraced") $(cat "$temp/traced")" >>"$temp/rounds"
done
awk '{ print $2 / $1 }' "$temp/rounds" | sort -g >"$temp/ratios"
echo "median latency, us: untraced $(awk '{ print $1 / 1000 }' "$temp/rounds" | median)," \
  "traced $(awk '{ print $2 / 1000 }' "$temp/rounds" | median)"
echo "ratio: median $(median <"$temp/ratios"), from $(head -1 "$temp/ratios") to $(tail -1 "$temp/ratios")"
echo "losses: $(awk '{ n += $1 } END { print n + 0 }' "$temp/losses")"
