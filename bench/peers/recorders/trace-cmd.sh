# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shared with bench/peers.sh, which sources this
#
# The same rings as ftrace's, written and read by trace-cmd. Not started by it: `trace-cmd start` also sets up function
# tracing, which not every machine permits.
trace_cmd_needs() {
  ftrace_needs
  command -v trace-cmd >/dev/null || echo "trace-cmd is not installed"
}

trace_cmd_start() {
  cat /proc/kallsyms >"$temp/trace-cmd.kallsyms"
  ftrace_start
}

# It gives up when /proc/kallsyms grows while it copies that, because somebody loads BPF programs, and the events are
# gone then: it gets a copy.
trace_cmd_dump() {
  ftrace_end_recording
  # shellcheck disable=SC2016 # its own shell's parameters
  run unshare --mount bash -c 'mount --bind "$0" /proc/kallsyms && exec "$@"' "$temp/trace-cmd.kallsyms" \
    trace-cmd extract -B "$(basename "$ftrace_instance")" -o "$1" >"$temp/trace-cmd.log" 2>&1 ||
    die "trace-cmd failed: $(cat "$temp/trace-cmd.log")"
}

trace_cmd_lost() { ftrace_lost; }
trace_cmd_facts() { ftrace_facts; }
trace_cmd_answer() { answer=(trace-cmd report -i "$1"); }
trace_cmd_stop() { ftrace_remove; }
