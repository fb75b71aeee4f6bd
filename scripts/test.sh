#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Everything that must hold before a change goes in: builds without warnings, unit tests plain and under the sanitizers, no
# event dearer than it was (bench/guard.sh), a recorder that stays as it is for two minutes (bench/soak.sh), fuzzing for a
# minute per target, recorders under the sanitizers, clang-tidy over the program, and all tests of the release build, those
# on real BPF included; ctest's summary of that run comes last.
# Usage: scripts/test.sh [--quick] [--vm]
#   --quick  leaves the sanitizer builds, fuzzing, clang-tidy and the two minutes out
#   --vm     boots the kernels of scripts/vmtest.sh --ci as well
#   KF_FUZZ_SECONDS  for each fuzz target (60)
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizers=(asan tsan)
soak=1
vm=
fuzz_seconds=${KF_FUZZ_SECONDS:-60}
for argument in "$@"; do
  case $argument in
    --quick) sanitizers=() fuzz_seconds=0 soak= ;;
    --vm) vm=--vm ;;
    *)
      echo "test.sh: unknown argument '$argument'; usage: scripts/test.sh [--quick] [--vm]" >&2
      exit 2
      ;;
  esac
done

if [ "$(id -u)" -ne 0 ]; then
  soak=
  if [ "${CI:-}" = true ]; then
    echo "test.sh: CI must run this as root: the integration tests load BPF programs" >&2
    exit 1
  fi
  echo "test.sh: NOT ROOT: the integration tests need root to load BPF programs and will be reported as skipped" >&2
fi

step() { printf '==== %d:%02d %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }

# What runs in the background, each a session of its own: in the background nobody hears Ctrl-C.
beside='' recordings=()
end_background() {
  local session
  for session in $beside "${recordings[@]}"; do kill -- "-$session" 2>/dev/null || true; done
}

# One command at a time that takes what the steps beside it leave of the CPUs; what it said is told when it is done.
beside() {
  setsid chrt --idle 0 "$@" >.build/beside.log 2>&1 &
  beside=$!
}
finish() {
  local status=0
  wait "$beside" || status=$?
  beside=''
  cat .build/beside.log
  return "$status"
}

step set-up
scripts/setup.sh $vm
jobs=$(nproc)

# release comes first so that a compile error shows before anything slow, and its tests last
step release: build
KF_CMAKE_ARGS="-DKFLIGHT_WERROR=ON" scripts/build.sh release
if [ -n "$vm" ]; then
  step other kernels
  scripts/vmtest.sh --ci
fi
# a recorder must stay as it is beside whatever else the machine does, compilers for instance
if [ -n "$soak" ]; then
  bench/soak.sh --minutes 2 >.build/soak.log 2>&1 &
  soak=$!
  trap 'kill "$soak" 2>/dev/null || true; wait "$soak" || true' EXIT # TERM: in the background it does not hear Ctrl-C
fi
for preset in "${sanitizers[@]}"; do
  # asan's compiler is clang, whose warnings are others, those on thread safety included; between tsan's checks g++ 12
  # sees ghosts in the standard library
  case $preset in
    asan) targets=(unit_tests fuzz_targets kflight_cli) werror=ON ;;
    *) targets=(unit_tests kflight_cli) werror=OFF ;;
  esac
  step "$preset: build"
  KF_CMAKE_ARGS="-DKFLIGHT_WERROR=$werror" scripts/build.sh "$preset" "${targets[@]}"
  step "$preset: unit tests"
  ctest --test-dir ".build/$preset" -L '^unit$' -j "$jobs" --no-tests=error --output-on-failure --progress
done
step instructions per event
bench/guard.sh
if [ -n "$soak" ]; then
  step soak
  wait "$soak" && status=0 || status=$?
  trap - EXIT
  cat .build/soak.log
  [ "$status" -eq 0 ] || exit "$status"
fi
trap end_background EXIT
# A minute of fuzzing for each target, with a seed, so that it fails for what was changed; to search for what was always
# there is bench/fuzz.sh's alone.
if [ "$fuzz_seconds" -gt 0 ]; then
  beside bench/fuzz.sh --seconds "$fuzz_seconds" --seed 1 --at-once $((2 * jobs + 1))
fi
# The recorder's threads at their real work, which is waiting for the most part: at once. Leaks are looked for in the unit
# tests only: the recorder's own filter of system calls refuses what that takes.
if [ ${#sanitizers[@]} -gt 0 ]; then
  step "recording: ${sanitizers[*]}"
  for preset in "${sanitizers[@]}"; do
    KF_KFLIGHT=$PWD/.build/$preset/kflight ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 \
      TSAN_OPTIONS=halt_on_error=1 setsid setarch -R .build/release/tests/integration/integration --gtest_brief=1 \
      --gtest_filter='Control.*:Trigger.*' >".build/$preset/recording.log" 2>&1 &
    recordings+=($!)
  done
  status=0
  for recording in "${recordings[@]}"; do wait "$recording" || status=$?; done
  recordings=()
  for preset in "${sanitizers[@]}"; do cat ".build/$preset/recording.log"; done
  [ "$status" -eq 0 ] || exit "$status"
fi
if [ "$fuzz_seconds" -gt 0 ]; then
  step fuzzing
  finish
fi
if [ ${#sanitizers[@]} -gt 0 ]; then
  step clang-tidy
  scripts/lint.sh >.build/lint.log 2>&1 || {
    cat .build/lint.log
    exit 1
  }
fi
step release: all tests
ctest --test-dir .build/release -j "$jobs" --no-tests=error --output-on-failure
