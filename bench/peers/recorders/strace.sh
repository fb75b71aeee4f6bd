# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shared with bench/peers.sh, which sources this
#
# strace, the naive way: only the load's own system calls, to a file that grows. The load waits for it, so nothing is
# lost. It is too slow for all but the small loads, and these do a fraction of their work.
strace_needs() { command -v strace >/dev/null || echo "strace is not installed"; }

# What part of a load is done under it: 1/N; 0: none.
strace_scale() {
  case $1 in
    pipe | getppid | redis) echo 50 ;;
    *) echo 0 ;;
  esac
}

strace_start() { wrap=(strace -f -ttt -o "$temp/dump"); }
strace_follow() { recorder_pids=("${load_pids[0]}"); }

strace_lost() { echo 0; }

# A call in one line is two events, one in two lines is one each.
strace_facts() {
  note events "$(awk '/<unfinished|resumed>/ { n-- } { n += 2 } END { print n }' "$1")"
}

strace_stop() { wrap=(); }
