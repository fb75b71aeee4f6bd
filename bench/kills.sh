#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Kills recorders at random moments under load and makes dumps of what they leave. Every recovery must succeed, every
# dump must pass `kflight check` and state what the CPUs had not handed over, and no chunk may be damaged. Prints the
# counts; exit status 1 when one of them is not what it must be. KFLIGHT_TEST_KEEP=DIR keeps dumps that fail the check.
# Usage: bench/kills.sh [--kills N, default 200]
. "$(dirname "$0")/common.sh"

kills=200
[ "${1:-}" != --kills ] || kills=$2

scripts/build.sh release kflight_cli >&2
export KFLIGHT_WINDOW_DIR=/dev/shm/kflight-kills-$$
undo+=('rm -rf "$KFLIGHT_WINDOW_DIR"')
start_load perf bench sched messaging --thread --group 1 --nr_loops 100000000 >/dev/null 2>&1
sizes=(1MiB 4MiB 16MiB 64MiB)
recovered=0 checked=0 stated=0 damaged=0 left=0 events=0
for ((i = 1; i <= kills; ++i)); do
  if ((i % 20 == 0)); then echo "kill $i of $kills" >&2; fi
  start_recorder --all --syscalls all -q --max-bytes "${sizes[RANDOM % 4]}"
  sleep "$((RANDOM % 3)).$(printf %03d $((RANDOM % 1000)))"
  kill -KILL "$recorder"
  wait "$recorder" 2>/dev/null || true
  recorder=
  dump=$temp/killed.kfr
  rm -f "$dump"
  if ! "$kflight" recover --name "bench-$$" --json -o "$dump" >"$temp/recovered" 2>"$temp/why"; then
    echo "kill $i: $(cat "$temp/why")" >&2
    continue
  fi
  recovered=$((recovered + 1))
  damaged=$((damaged + $(number_in damaged_chunks <"$temp/recovered")))
  events=$((events + $(number_in events <"$temp/recovered")))
  if "$kflight" check --explanations 100 "$dump" >"$temp/check"; then
    checked=$((checked + 1))
  else
    echo "kill $i: kflight check: $(grep -i -A3 violat "$temp/check")" >&2
    [ -z "${KFLIGHT_TEST_KEEP:-}" ] || cp "$dump" "$KFLIGHT_TEST_KEEP/kill$i.kfr"
  fi
  "$kflight" info "$dump" >"$temp/info"
  if grep -q 'not handed over' "$temp/info"; then stated=$((stated + 1)); fi
  [ -z "$(ls -A "$KFLIGHT_WINDOW_DIR")" ] || left=$((left + 1))
done
cat <<END
kills             $kills
recovered         $recovered, with $events events
passed check      $checked
state the loss    $stated
damaged chunks    $damaged
windows left      $left
END
[ "$recovered $checked $stated $damaged $left" = "$kills $kills $kills 0 0" ]
