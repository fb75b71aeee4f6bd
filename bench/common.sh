# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # variables are for the scripts that source this
#
# What the scripts of this folder share; they source it. Builds the release programs, and starts and stops recorders and
# other children so that nothing is left behind, whatever happens.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${KF_BUILD_DIR:-.build/release}
kflight=$build/kflight

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

[ "$(id -u)" -eq 0 ] || die "loading BPF programs needs root"

temp=$(mktemp -d "${TMPDIR:-/tmp}/kflight-bench-XXXXXX")
loads=()
recorder=
clean_up() {
  local status=$?
  trap - EXIT INT TERM
  if [ -n "$recorder" ]; then
    kill "$recorder" 2>/dev/null || true
    wait "$recorder" 2>/dev/null || true
  fi
  # A signal can come between the start of a load and the line that notes it; the shell itself knows all.
  mapfile -t -O "${#loads[@]}" loads < <(jobs -pr)
  end_loads
  rm -rf "$temp"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start_load COMMAND...: in the background, in a session of its own: many loads have children, and these outlive a parent
# that is killed. Its PID, which is the number of its group too, is in $load. Not in a subshell: only this shell cleans up.
start_load() {
  setsid -- "$@" &
  load=$!
  loads+=("$load")
}

# The leader first: it may not have its group yet. Its number stays taken until it is waited for.
end_loads() {
  local one
  for one in "${loads[@]}"; do
    kill -KILL "$one" 2>/dev/null || true
    kill -KILL -- "-$one" 2>/dev/null || true
  done
  for one in "${loads[@]}"; do
    wait "$one" 2>/dev/null || true
  done
  loads=()
}

# run COMMAND...: a load that ends by itself; until then this script can be interrupted.
run() {
  local status=0
  start_load "$@"
  wait "$load" || status=$?
  unset 'loads[-1]'
  return "$status"
}

# start_idle: a process that does nothing, to be a target. Its PID is in $idle.
start_idle() {
  start_load sleep infinity
  idle=$load
}

# start_recorder ARGUMENTS...: returns when it records. Its PID is in $recorder.
start_recorder() {
  : >"$temp/record.out"
  "$kflight" record --name "bench-$$" -o "$temp" "$@" >"$temp/record.out" 2>"$temp/record.log" &
  recorder=$!
  until grep -q '^ready' "$temp/record.out"; do
    kill -0 "$recorder" 2>/dev/null || die "the recorder did not start: $(cat "$temp/record.log")"
    sleep 0.02
  done
}

stop_recorder() {
  kill -INT "$recorder" 2>/dev/null || true
  wait "$recorder" || die "the recorder failed: $(cat "$temp/record.log")"
  recorder=
}

# status FIELD...: one number of `kflight status --json`, by the keys that lead to it; an object gives the sum of its
# numbers.
status() { "$kflight" status --name "bench-$$" --json | number_in "$@"; }

number_in() {
  python3 -c '
import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]:
    value = value[key]
print(sum(v for v in value.values() if isinstance(v, (int, float))) if isinstance(value, dict) else value)
' "$@"
}

# median NUMBERS on stdin, one per line
median() {
  sort -g | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
