#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Formats every C and C++ file under version control. With --check changes nothing and fails when it would have.
set -euo pipefail
cd "$(dirname "$0")/.."
list=$(git ls-files '*.c' '*.h' '*.cpp' '*.hpp')
mapfile -t files <<<"$list"
case ${1:-} in
  '') clang-format -i "${files[@]}" ;;
  --check) clang-format --dry-run --Werror "${files[@]}" ;;
  *)
    echo "format.sh: unknown argument '$1'; usage: scripts/format.sh [--check]" >&2
    exit 2
    ;;
esac
