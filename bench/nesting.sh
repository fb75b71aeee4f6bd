#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Events inside events, many of them: records the nesting_stress workload into one dump after another, checks each,
# until at least the wanted number of events has been seen whole. A torn word, a gap in a sequence that is no accounted
# loss, or any other violation fails the script.
# Usage: bench/nesting.sh [EVENTS, default 100000000]
. "$(dirname "$0")/common.sh"

wanted=${1:-100000000}
scripts/build.sh release kflight_cli workload_nesting_stress >&2
start_idle

seen=0 lost=0 dumps=0
while ((seen < wanted)); do
  start_recorder --all --syscalls all --max-bytes 256MiB --min-age 1h
  run "$build/workloads/workload_nesting_stress" --run 5000 --pairs $((1 + dumps % 4)) >/dev/null
  dump=$temp/nesting.kfr
  "$kflight" dump --name "bench-$$" -o "$dump" >/dev/null
  stop_recorder
  "$kflight" check "$dump" >"$temp/check" || die "dump $((dumps + 1)) has violations: $(cat "$temp/check")"
  events=$("$kflight" info --json "$dump" | number_in window events)
  lost=$((lost + $("$kflight" info --json "$dump" | number_in losses)))
  seen=$((seen + events))
  dumps=$((dumps + 1))
  rm -f "$dump"
  echo "dump $dumps: $events events, $seen in all" >&2
done
echo "$dumps dumps, $seen events, all checks passed, $lost losses accounted"
