#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compares explanations with those of the independent reference model over 100,000 random intervals and more: of
# simulated traces, and of dumps recorded now from programs with known behaviour. Ends with the first difference.
# Usage: KFLIGHT_ORACLE=.../explain_ref.py bench/differential.sh [--intervals 100000] [--seed 1000]
. "$(dirname "$0")/common.sh"

intervals=100000
seed=1000
while [ $# -gt 0 ]; do
  case $1 in
    --intervals) intervals=${2:?--intervals needs a number} && shift 2 ;;
    --seed) seed=${2:?--seed needs a number} && shift 2 ;;
    *) die "unknown argument '$1'; the head of this script says what there is" ;;
  esac
done
[ -f "${KFLIGHT_ORACLE:-}" ] || die "there is no reference model; set KFLIGHT_ORACLE to its explain_ref.py"
scripts/build.sh release kflight_cli oracle_export workloads >&2

compare() { run python3 tests/oracle/differential.py "$build/tests/oracle_export" "$@"; }

# The model reads every event again for each trace, so real dumps are few and asked often.
workloads=(counts "pipe_pingpong --rounds 300" "race_wake --rounds 5000" convoy "epoll_upstream --transport tcp"
  "epoll_upstream --transport pipe" fork_storm mmap_fault kworker herd exec_thread mutex_sleeper)
per_dump=$((intervals / 4 / ${#workloads[@]} + 1))
for workload in "${workloads[@]}"; do
  start_recorder --all --min-age 60s
  # shellcheck disable=SC2086 # several arguments
  run "$build"/workloads/workload_$workload >/dev/null
  "$kflight" dump --name "bench-$$" -o "$temp/dump.kfr" >/dev/null
  stop_recorder
  echo -n "$workload: "
  compare dump "$temp/dump.kfr" "$seed" "$per_dump"
  rm "$temp/dump.kfr"
done

# A simulated run has about seven threads.
per_thread=10
echo -n "simulated: "
compare simulated "$seed" $((intervals * 3 / 4 / 7 / per_thread + 1)) "$per_thread"
