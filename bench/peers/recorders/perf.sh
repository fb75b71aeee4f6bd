# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shared with bench/peers.sh, which sources this
#
# perf as a flight recorder: rings that overwrite their oldest, written to a file on a signal. They do not record
# meanwhile.
perf_needs() { command -v perf >/dev/null || echo "perf is not installed"; }

perf_start() {
  local list
  printf -v list '%s,' "${events[@]/\//:}"
  rm -f "$temp"/perf.*
  mkfifo "$temp/perf.control" "$temp/perf.ack"
  start_load perf record --all-cpus --overwrite --mmap-pages $((ring_bytes / cpus))B --event "${list%,}" \
    --switch-output=signal --control "fifo:$temp/perf.control,$temp/perf.ack" --output "$temp/perf.data" \
    >"$temp/perf.log" 2>&1
  recorder_pids=("$load")
  # shellcheck disable=SC2016 # its own shell's parameters
  run timeout 20 bash -c 'echo ping >"$0" && read -r <"$1"' "$temp/perf.control" "$temp/perf.ack" ||
    die "perf does not record: $(cat "$temp/perf.log")"
}

perf_dump() {
  local file=
  kill -USR2 "${recorder_pids[0]}"
  until [ -n "$file" ]; do
    sleep 0.01
    file=$(sed -n 's/^.*perf record: Dump \(.*\) \].*$/\1/p' "$temp/perf.log")
  done
  mv "$file" "$1"
}

# It counts no losses of rings that overwrite.
perf_facts() {
  local found span fill
  run perf script --input "$1" --fields cpu,time --ns >"$temp/perf.times" 2>/dev/null
  awk -v ring=$((ring_bytes / cpus)) -v bytes="$(stat -c %s "$1")" '
    { sub(":", "", $2); events[$1]++; if (!($1 in first)) first[$1] = $2; if ($2 > last) last = $2 }
    END {
      for (cpu in events) {
        all += events[cpu]
        if (events[cpu] > most) most = events[cpu]
        if (first[cpu] > from) from = first[cpu]
      }
      fill = most * bytes / all / ring
      print all, last - from, (fill > 1 ? 1 : fill)
    }' "$temp/perf.times" >"$temp/perf.facts"
  read -r found span fill <"$temp/perf.facts"
  note events "$found"
  note bytes "$(stat -c %s "$1")"
  note span_s "$span"
  note fill "$fill"
}

perf_answer() { answer=(perf sched timehist --input "$1"); }

perf_stop() {
  end_loads "${recorder_pids[@]}" # asked to end, it would dump once more
  rm -f "$temp"/perf.*
}
