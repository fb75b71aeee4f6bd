#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Configures and builds one preset in .build/PRESET (or $KF_BUILD_DIR). $KF_CMAKE_ARGS goes to cmake.
# Usage: scripts/build.sh PRESET [ninja targets...]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-dev}
shift || true
init=scripts/cmake/presets/$preset.cmake
[ -f "$init" ] || {
  echo "build.sh: no preset '$preset'; there are: $(basename -s .cmake -a scripts/cmake/presets/*.cmake | xargs)" >&2
  exit 2
}
dir=${KF_BUILD_DIR:-.build/$preset}
if [ ! -f "$dir/build.ninja" ]; then
  # shellcheck disable=SC2086 # several arguments
  cmake -S . -B "$dir" -G Ninja -C "$init" ${KF_CMAKE_ARGS:-} >&2
elif [ -n "${KF_CMAKE_ARGS:-}" ]; then
  # shellcheck disable=SC2086
  cmake "$dir" $KF_CMAKE_ARGS >&2
fi
cmake --build "$dir" -- "$@"
