# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shared with bench/peers.sh, which sources this
#
# kflight-full records what the others are asked for. kflight-default is how it is used: attached to one process, here
# one that does nothing, it records everybody's scheduling and where calls block. The window is bounded by memory only,
# as with the others.
kflight_record() {
  start_recorder --min-age 1h "$@"
  recorder_pids=("$recorder")
}
kflight_dump() { "$kflight" dump --name "bench-$$" -o "$1" >/dev/null; }
# Disk requests and signals, which it keeps a bounded number of, are none of the events that all are asked for.
kflight_lost() { echo $(($(status losses) - $(status losses capped))); }
kflight_window() { "$kflight" info --json "$1" | number_in window "$2"; } # FILE FIELD
# A hit is one event of the kernel; a call, or a waking with its wakeup, is one event of kflight's.
kflight_facts() {
  local bytes
  bytes=$(kflight_window "$1" bytes)
  note events "$(kflight_window "$1" hits)"
  note bytes "$bytes"
  note span_s "$(quotient $(($(kflight_window "$1" to_ns) - $(kflight_window "$1" from_ns))) 1e9)"
  note fill "$(quotient "$bytes" "$ring_bytes")"
}

kflight_full_start() { kflight_record --all --syscalls all; }
kflight_full_dump() { kflight_dump "$1"; }
kflight_full_lost() { kflight_lost; }
kflight_full_facts() { kflight_facts "$1"; }
kflight_full_answer() { answer=("$kflight" explain "$1"); }
kflight_full_stop() { stop_recorder; }

# No answer: nothing slow happened to its target.
kflight_default_start() { kflight_record --pid "$idle"; }
kflight_default_dump() { kflight_dump "$1"; }
kflight_default_lost() { kflight_lost; }
kflight_default_facts() { kflight_facts "$1"; }
kflight_default_stop() { stop_recorder; }
