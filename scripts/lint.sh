#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy over the userspace code and the tests, or over the files given. Its findings are errors.
# Usage: scripts/lint.sh [FILE.cpp...]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${KF_BUILD_DIR:-.build/dev}
# generated headers must exist, so something has to be built first
[ -f "$build/compile_commands.json" ] || scripts/build.sh dev kf_bpf_generate
if [ $# -eq 0 ]; then mapfile -t files < <(git ls-files 'userspace/*.cpp' 'tests/*.cpp' ':!tests/consumer'); else files=("$@"); fi
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet -p "$build"
