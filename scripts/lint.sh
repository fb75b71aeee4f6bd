#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy over the userspace code, over what differs from a commit, or over the files given; as many at once as there
# are CPUs. Its findings are errors.
# Usage: scripts/lint.sh [--changed [COMMIT] | FILE.cpp...]    COMMIT: main
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --changed ]; then
  mapfile -t files < <(git diff --name-only --diff-filter=d "${2:-main}" -- 'userspace/*.cpp' 'tests/fuzz/*.cpp')
elif [ $# -eq 0 ]; then
  mapfile -t files < <(git ls-files 'userspace/*.cpp' 'tests/fuzz/*.cpp')
else
  files=("$@")
fi
[ ${#files[@]} -gt 0 ] || exit 0
build=${KF_BUILD_DIR:-.build/asan} # the preset whose flags are clang's
KF_BUILD_DIR=$build scripts/build.sh asan kf_bpf_generate kf_headers >&2 # the headers that are generated or compiled
# That preset compiles many files as one, so clang-tidy takes the flags of each from the file that is most like it; which need
# not know where the BPF skeleton is.
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" nice clang-tidy --quiet -p "$build" \
  --extra-arg="-I$(realpath "$build")/userspace/bpf"
