#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs kflight from a finished build into a temporary prefix, builds this folder's project against it as a stranger
# would, and lets it record this shell. Usage: install_and_run.sh BUILD_DIR CXX_COMPILER
set -euo pipefail
source=$(cd "$(dirname "$0")" && pwd)
build_dir=$1 compiler=$2

if [ "$(id -u)" -ne 0 ]; then
  echo "install_and_run.sh: needs root to load BPF programs" >&2
  [ "${CI:-}" = true ] && exit 1
  exit 77
fi

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cmake --install "$build_dir" --prefix "$temp/prefix" --component development
cmake -S "$source" -B "$temp/build" -G Ninja -DCMAKE_PREFIX_PATH="$temp/prefix" -DCMAKE_CXX_COMPILER="$compiler"
cmake --build "$temp/build"
"$temp/build/record_pid" $$ 1 "$temp/example.kfr"
