# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shared with bench/peers.sh, which sources this
#
# ftrace by hand: a trace instance with rings that overwrite their oldest, read as text. Recording has to stop for that:
# reading text makes events, and faster than it can be read. Not all kernels have a snapshot buffer, and it would take
# the same memory again.
ftrace_instance=/sys/kernel/tracing/instances/kflight-bench-$$
undo+=('ftrace_remove')

ftrace_needs() { [ -d /sys/kernel/tracing/instances ] || echo "tracefs has no instances"; }

ftrace_remove() { if [ -d "$ftrace_instance" ]; then rmdir "$ftrace_instance"; fi; }

ftrace_start() {
  local event
  mkdir "$ftrace_instance"
  echo $((ring_bytes / cpus >> 10)) >"$ftrace_instance/buffer_size_kb"
  echo mono >"$ftrace_instance/trace_clock"
  for event in "${events[@]}"; do echo 1 >"$ftrace_instance/events/$event/enable"; done
}

ftrace_end_recording() {
  echo 0 >"$ftrace_instance/tracing_on"
  cat "$ftrace_instance"/per_cpu/cpu*/stats >"$temp/ftrace.stats"
}

ftrace_dump() {
  ftrace_end_recording
  run cat "$ftrace_instance/trace" >"$1"
}

# An event that was overwritten is not lost but old.
ftrace_lost() { awk '/^(commit overrun|dropped events)/ { n += $3 } END { print n }' "$temp/ftrace.stats"; }

ftrace_facts() {
  local found bytes span fill
  awk -v ring=$((ring_bytes / cpus)) '
    /^entries/ { events += $2 }
    /^bytes/ { bytes += $2; if ($2 > fullest) fullest = $2 }
    /^oldest event ts/ { if ($4 > from) from = $4 }
    /^now ts/ { to = $3 }
    END { print events, bytes, to - from, fullest / ring }' "$temp/ftrace.stats" >"$temp/ftrace.facts"
  read -r found bytes span fill <"$temp/ftrace.facts"
  note events "$found"
  note bytes "$bytes"
  note span_s "$span"
  note fill "$fill"
}

ftrace_stop() { ftrace_remove; }
