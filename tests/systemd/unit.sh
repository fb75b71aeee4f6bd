#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# systemd's own opinion of the unit: every directive is known, and its exposure (docs/reliability.md) is not above the
# documented one. Usage: unit.sh UNIT_FILE DOCUMENTATION
set -euo pipefail
unit=$1 documentation=$2

command -v systemd-analyze >/dev/null || { echo "unit.sh: no systemd-analyze to ask" >&2; exit 77; }
documented=$(sed -n 's/.*exposure level of \([0-9.]*\).*/\1/p' "$documentation")
[ -n "$documented" ] || { echo "unit.sh: no exposure level in $documentation" >&2; exit 1; }

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
# Under the prefix nothing is installed yet: a program that is there stands for it.
sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$unit" >"$temp/kflight@.service"
complaints=$(systemd-analyze verify --recursive-errors=no "$temp/kflight@.service" 2>&1 | grep -F kflight || true)
[ -z "$complaints" ] || { echo "$complaints" >&2; exit 1; }
# The threshold is in tenths.
systemd-analyze security --offline=true --no-pager --threshold="${documented/./}" "$temp/kflight@.service"
