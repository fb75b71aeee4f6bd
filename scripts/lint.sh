#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy over the program and its fuzz targets, as many files at once as there are CPUs. Its findings are errors.
# Usage: scripts/lint.sh [--tests] | --changed [COMMIT] | FILE.cpp...
#   --tests    the other tests, too
#   --changed  what differs from a commit (main)
# Without names it takes the files as the preset asan compiles them, several as one: what takes the time is the headers. An
# include that only one of these has shows in the preset dev, and when the file is named.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath -m "${KF_BUILD_DIR:-.build/asan}") # the preset whose flags are clang's
tests=
files=()
case ${1:-} in
  '') ;;
  --tests) tests=1 ;;
  --changed)
    changed=$(git diff --name-only --diff-filter=d "${2:-main}" -- 'userspace/*.cpp' 'tests/*.cpp')
    [ -n "$changed" ] || exit 0
    mapfile -t files <<<"$changed"
    ;;
  -*)
    echo "lint.sh: unknown argument '$1'; the head of this script says what there is" >&2
    exit 2
    ;;
  *) files=("$@") ;;
esac

KF_BUILD_DIR=$build scripts/build.sh asan kf_bpf_generate kf_headers kf_test_headers >&2 # headers, generated or compiled
named=${#files[@]}
if [ "$named" -eq 0 ]; then
  mapfile -t files < <(sed -n 's/^ *"file": "\(.*\)".*/\1/p' "$build/compile_commands.json" | grep -v 'cmake_pch\.hxx\.cxx$')
fi
product=() others=()
for file in "${files[@]}"; do
  path=${file#"$build/"}
  case ${path#"$PWD/"} in
    tests/fuzz/*) product+=("$file") ;;
    tests/*) others+=("$file") ;;
    *) product+=("$file") ;;
  esac
done

# A file that is compiled as a part of another gets the flags of one like it, which need not know where the BPF skeleton is.
tidy() { # CHECKS FILE...
  local checks=$1
  shift
  printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" nice clang-tidy --quiet -p "$build" \
    --checks="$checks" --header-filter='/(include/kflight|userspace|tests)/.*\.[ch]pp$' --extra-arg="-I$build/userspace/bpf"
}
parts=-bugprone-suspicious-include # they are .cpp files
status=0
[ ${#product[@]} -eq 0 ] || tidy "$parts" "${product[@]}" || status=1
[ "$named" -gt 0 ] || [ -n "$tests" ] || others=()
# a test may be slow
[ ${#others[@]} -eq 0 ] || tidy "$parts,-performance-*,-modernize-use-emplace" "${others[@]}" || status=1
exit $status
