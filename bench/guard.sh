#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Has an event become dearer? Counts, not times, so that a busy machine does not matter: instructions per event of
# userspace's hot paths under callgrind on a simulated recording (bench/guard/hot_paths.cpp), and the lengths of the BPF
# programs as this kernel runs them (bench/guard/programs.cpp; needs root). Prints a table beside the numbers of
# bench/guard/baseline.json and fails when one of them has grown by more than 10 %. docs/scaling.md says what the numbers
# mean. Usage: bench/guard.sh [--update]    --update makes today's numbers the baseline
set -euo pipefail
cd "$(dirname "$0")/.."
build=${KF_BUILD_DIR:-.build/release}

die() {
  echo "guard.sh: $*" >&2
  exit 1
}

update=()
for argument in "$@"; do
  case $argument in
    --update) update=(--update) ;;
    *) die "unknown argument '$argument'; usage: bench/guard.sh [--update]" ;;
  esac
done

command -v valgrind >/dev/null || die "valgrind is not installed; scripts/setup.sh does that"
scripts/build.sh release guard_hot_paths guard_programs >&2

temp=$(mktemp -d "${TMPDIR:-/tmp}/kflight-guard-XXXXXX")
trap 'rm -rf "$temp"' EXIT

# One file per run of kflight_measured(), numbered from 1.
valgrind --tool=callgrind --callgrind-out-file="$temp/counts" --toggle-collect=kflight_measured \
  --dump-after=kflight_measured "$build/bench/guard_hot_paths" >"$temp/paths" 2>"$temp/valgrind.log" ||
  die "counting the hot paths failed: $(cat "$temp/valgrind.log")"
if [ "$(id -u)" -eq 0 ]; then
  "$build/bench/guard_programs" >"$temp/programs.json"
else
  echo "guard.sh: NOT ROOT: the BPF programs are not looked at" >&2
fi

# What the counts depend on beside our own code.
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
clang=$(sed -n 's/^KF_CLANG:[A-Z]*=//p' "$build/CMakeCache.txt")
tools=(
  "userspace=$("$compiler" --version | head -n 1), $(valgrind --version), libc $(getconf GNU_LIBC_VERSION | cut -d' ' -f2)"
  "bpf=$("$clang" --version | head -n 1), Linux $(uname -r | cut -d. -f1,2)"
)
python3 bench/guard/compare.py "${update[@]}" "$temp" "${tools[@]}"
