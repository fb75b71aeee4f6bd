# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For scripts that run several things at once; they source it. A folder of this script's own is in $scratch; it is gone, and
# what still runs in the background has ended, when the script ends, however that is.
scratch=$(mktemp -d)
clean_up() {
  local status=$? running
  trap - EXIT
  trap '' INT TERM # a second signal must not cut this short
  running=$(jobs -p)
  # shellcheck disable=SC2086 # several
  [ -z "$running" ] || kill $running 2>/dev/null || true
  wait
  rm -rf "$scratch"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
