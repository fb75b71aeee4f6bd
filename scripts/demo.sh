#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Shows kflight on a real program: a small server stalls now and then, because one of its threads keeps a lock while it
# does slow work. The recorder is attached by PID, the first call slower than 50 ms makes it dump its window, and the
# dump is read. Leaves nothing behind unless told to keep the files. As root.
# Usage: scripts/demo.sh [-o DIR]    keeps server log and dump in DIR; KEEP=1 keeps the temporary folder
set -euo pipefail
from=$PWD
cd "$(dirname "$0")/.."

die() {
  echo "demo.sh: $*" >&2
  exit 1
}

keep=${KEEP:-0}
dir=
while [ $# -gt 0 ]; do
  case $1 in
    -o)
      [ $# -ge 2 ] || die "-o needs a folder"
      dir=$(cd "$from" && realpath -m "$2") keep=1
      shift 2
      ;;
    *)
      echo "demo.sh: unknown argument '$1'; usage: scripts/demo.sh [-o DIR]" >&2
      exit 2
      ;;
  esac
done
[ "$(id -u)" -eq 0 ] || die "loading BPF programs needs root: sudo scripts/demo.sh"

scripts/setup.sh
scripts/build.sh release kflight_cli workload_stall_server
build=${KF_BUILD_DIR:-.build/release}
kflight=$build/kflight

if [ -n "$dir" ]; then mkdir -p "$dir"; else dir=$(mktemp -d "${TMPDIR:-/tmp}/kflight-demo-XXXXXX"); fi
server='' recorder=''

# Ends what this script started, and waits for it.
end_child() {
  [ -n "$1" ] || return 0
  kill "-$2" "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM # a second signal must not cut this short
  end_child "$recorder" INT
  end_child "$server" TERM
  if [ "$keep" = 1 ]; then echo "kept: $dir"; else rm -rf "$dir"; fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Waits until FILE has a line that begins with WORD and prints the rest of it; fails when process PID ends before.
await_line() {
  local file=$1 word=$2 pid=$3 line alive=1
  while :; do
    kill -0 "$pid" 2>/dev/null || alive=0
    if line=$(grep -m 1 "^$word" "$file"); then
      echo "${line#"$word"}"
      return 0
    fi
    [ "$alive" = 1 ] || return 1
    sleep 0.05
  done
}

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || title() { printf '\n%s\n' "$*"; }

show() {
  title "\$ kflight $*"
  "$kflight" "$@"
}

title "A server that stalls every few thousand requests is running:"
"$build/workloads/workload_stall_server" --run 120000 --every 3000 >"$dir/server.out" 2>"$dir/server.log" &
server=$!
echo "pid $server"

title "\$ kflight record --pid $server --trigger 'syscall>50ms' --max-dumps 1"
: >"$dir/record.out"
"$kflight" record --pid "$server" --trigger 'syscall>50ms' --max-dumps 1 -o "$dir" --name "demo-$$" \
  >"$dir/record.out" 2>"$dir/record.log" &
recorder=$!
await_line "$dir/record.out" ready "$recorder" >/dev/null ||
  die "the recorder ended before it was ready: $(cat "$dir/record.log")"
echo "ready; waiting for a stall"
dump=$(await_line "$dir/record.out" 'dump ' "$recorder") ||
  die "the recorder ended without a dump: $(cat "$dir/record.log")"
echo "dump $dump"
end_child "$recorder" INT
recorder=
echo "the server's own view: $(tail -n 1 "$dir/server.log")"

show info "$dump"

# The slow call and what became of its thread meanwhile.
"$kflight" info --json "$dump" >"$dir/info.json"
read -r tid from to < <(python3 - "$dir/info.json" <<'PYTHON'
import json, sys
cause = json.load(open(sys.argv[1]))['cause']
print(cause['tid'], f"@{cause['enter_ns'] - 100_000}", f"@{cause['exit_ns'] + 100_000}")
PYTHON
)
show events "$dump" --tid "$tid" --from "$from" --to "$to"
show check "$dump"
show explain "$dump"
show export "$dump"
if [ "$keep" = 1 ]; then
  echo "Open it at https://ui.perfetto.dev: the track \"kflight explain\" shows the chain over time."
else
  echo "'scripts/demo.sh -o DIR' keeps the file; https://ui.perfetto.dev shows it, with a track \"kflight explain\"."
fi
