# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shared with bench/peers.sh, which sources this
#
# What one writes with bpftrace in ten lines: a map as a ring per CPU, of time, event and thread; nothing else about the
# event fits this simply. It is printed at the end. bpftrace does not tell of probes that the kernel skipped.
#
# An element of BPF's hash takes 48 bytes, its key of two numbers 16, its value of three 24; a bucket takes 16.
bpftrace_slots=$(((ring_bytes - (16 << 20)) / 88 / cpus))

bpftrace_needs() { command -v bpftrace >/dev/null || echo "bpftrace is not installed"; }

bpftrace_start() {
  local list
  printf -v list 'tracepoint:%s,' "${events[@]/\//:}"
  : >"$temp/bpftrace.out"
  start_load env BPFTRACE_MAP_KEYS_MAX=$((bpftrace_slots * cpus)) bpftrace -e "${list%,} {
      \$at = @at[cpu];
      @at[cpu] = \$at + 1;
      @ring[cpu, \$at % $bpftrace_slots] = (nsecs, probe, tid);
    }
    interval:ms:100 { if (@ready == 0) { printf(\"ready\\n\"); @ready = 1; } }" \
    >"$temp/bpftrace.out" 2>"$temp/bpftrace.log"
  recorder_pids=("$load")
  until grep -q '^ready' "$temp/bpftrace.out"; do
    kill -0 "$load" 2>/dev/null || die "bpftrace does not start: $(cat "$temp/bpftrace.log")"
    sleep 0.05
  done
}

bpftrace_dump() {
  kill -INT "${recorder_pids[0]}"
  wait_for "${recorder_pids[0]}" || die "bpftrace failed: $(cat "$temp/bpftrace.log")"
  recorder_pids=()
  mv "$temp/bpftrace.out" "$1"
}

bpftrace_facts() {
  local found span fill bytes
  awk -F '[][(), ]+' -v slots="$bpftrace_slots" -v bytes=$((ring_bytes / (bpftrace_slots * cpus))) '
    $1 != "@ring" { next }
    { events[$2]++; all++; if (!($2 in first) || $5 < first[$2]) first[$2] = $5; if ($5 > last) last = $5 }
    END {
      for (cpu in events) {
        if (events[cpu] > most) most = events[cpu]
        if (first[cpu] > from) from = first[cpu]
      }
      print all, (last - from) / 1e9, most / slots, all * bytes
    }' "$1" >"$temp/bpftrace.facts"
  read -r found span fill bytes <"$temp/bpftrace.facts"
  note events "$found"
  note bytes "$bytes"
  note span_s "$span"
  note fill "$fill"
}

bpftrace_stop() { end_loads "${recorder_pids[@]}"; }
