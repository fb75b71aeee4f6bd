#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Fuzzes with clang's libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, as many targets at once as there are
# CPUs, and prints how often each ran, what it found and the most memory it took; fails when something crashed, hung or
# took more than 1 GiB, or 256 MiB at once. What gave new coverage is kept in the build's corpus/ and used by the next run, an input
# that crashed is named. $KF_BUILD_DIR: another build of the preset.
# Usage: bench/fuzz.sh [--seconds N | --runs N] [--seed N] [--max-len N] [--at-once N] [--fast] [TARGET...]
#   --seconds, --runs  for each target: 60 seconds; all targets
#   --seed             runs that begin with the same corpus try the same inputs; else always others
#   --max-len          no longer inputs than so many bytes: more executions, of simpler ones
#   --at-once          targets, of which each keeps a CPU busy: as many as there are CPUs
#   --fast             without the sanitizers, with the standard library's checks, in .build/fuzz
set -euo pipefail
cd "$(dirname "$0")/.."
all=(reader decoder explain trigger request image values command_line)
preset=asan
limit=-max_total_time=60
seed=-seed=0 # of libFuzzer: a random one
longest=()
at_once=$(nproc)
targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) limit=-max_total_time=${2:?--seconds needs a number} && shift 2 ;;
    --runs) limit=-runs=${2:?--runs needs a number} && shift 2 ;;
    --seed) seed=-seed=${2:?--seed needs a number} && shift 2 ;;
    --max-len) longest=(-max_len="${2:?--max-len needs a number}") && shift 2 ;;
    --at-once) at_once=${2:?--at-once needs a number} && shift 2 ;;
    --fast) preset=fuzz && shift ;;
    -*)
      echo "fuzz.sh: unknown argument '$1'; the head of this script says what there is" >&2
      exit 2
      ;;
    *) targets+=("$1") && shift ;;
  esac
done
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")
for target in "${targets[@]}"; do
  [ -f "tests/fuzz/$target.cpp" ] && [ -d "tests/fuzz/corpus/$target" ] || {
    echo "fuzz.sh: no target '$target'; there are ${all[*]}" >&2
    exit 2
  }
done

build=${KF_BUILD_DIR:-.build/$preset}
scripts/build.sh "$preset" "${targets[@]/#/fuzz_}" >&2
mkdir -p "$build/crashes"
. scripts/scratch.sh

figure() { sed -n "s/^stat::$2: *//p" "$1" | tail -n 1; }

# libFuzzer ends with the first thing it finds.
fuzz() {
  local target=$1 log=$scratch/$1 found=0 options=() fuzzer=
  trap '[ -z "$fuzzer" ] || kill "$fuzzer" 2>/dev/null; exit 143' TERM
  mkdir -p "$build/corpus/$target"
  [ ! -f "tests/fuzz/$target.dict" ] || options+=("-dict=tests/fuzz/$target.dict")
  # entropic: libFuzzer's choice of what to mutate by how rare its features are; where an input has many of them, the
  # books it keeps take longer than all else
  UBSAN_OPTIONS=print_stacktrace=1 nice -n 19 "$build/tests/fuzz/fuzz_$target" "$limit" "$seed" "${longest[@]}" \
    "${options[@]}" -entropic=0 -timeout=60 -rss_limit_mb=1024 -malloc_limit_mb=256 -print_final_stats=1 \
    "-artifact_prefix=$build/crashes/$target-" "$build/corpus/$target" "tests/fuzz/corpus/$target" >"$log" 2>&1 &
  fuzzer=$!
  wait "$fuzzer" || found=1
  printf '%-14s %12s %10s %8d %12s\n' "$target" "$(figure "$log" number_of_executed_units)" \
    "$(figure "$log" average_exec_per_sec)" "$found" "$(figure "$log" peak_rss_mb)"
  [ "$found" = 0 ] || { : >"$scratch/failed" && cp "$log" "$build/crashes/$target.log" && grep -E "$finding" "$log"; }
}

finding='ERROR|error:|does not hold|Test unit|Base64'
printf '%-14s %12s %10s %8s %12s\n' target executions "per second" crashes "peak RSS/MB"
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n || true; done
  fuzz "$target" &
done
wait
[ ! -e "$scratch/failed" ]
