#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Everything that must hold before a change goes in: builds without warnings, unit tests plain and under the sanitizers,
# then all tests of the release build, those on real BPF included; ctest's summary of that run comes last.
# Usage: scripts/test.sh [--quick]    --quick leaves the sanitizer builds out
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizers=(asan tsan)
for argument in "$@"; do
  case $argument in
    --quick) sanitizers=() ;;
    *)
      echo "test.sh: unknown argument '$argument'; usage: scripts/test.sh [--quick]" >&2
      exit 2
      ;;
  esac
done

if [ "$(id -u)" -ne 0 ]; then
  if [ "${CI:-}" = true ]; then
    echo "test.sh: CI must run this as root: the integration tests load BPF programs" >&2
    exit 1
  fi
  echo "test.sh: NOT ROOT: the integration tests need root to load BPF programs and will be reported as skipped" >&2
fi

scripts/setup.sh
jobs=$(nproc)

# release comes first so that a compile error shows before anything slow, and its tests last
KF_CMAKE_ARGS="-DKFLIGHT_WERROR=ON" scripts/build.sh release
for preset in "${sanitizers[@]}"; do
  # warnings count in the release build only: between a sanitizer's checks g++ 12 sees ghosts in the standard library
  scripts/build.sh "$preset" unit_tests
  ctest --test-dir ".build/$preset" -L '^unit$' -j "$jobs" --no-tests=error --output-on-failure --progress
done
ctest --test-dir .build/release -j "$jobs" --no-tests=error --output-on-failure
