#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Hours of a recorder in minutes: a mixed load (messages, pipes, a server that stalls, storms of forks, writes with
# fsync), a trigger every few seconds, dumps that are removed to make room, 1,000 targets that come and go one after the
# other, and beside all that recorder after recorder that attaches and ends. What must hold is said at the end, each with
# its numbers; exit status 1 when something does not:
#   memory (resident, and of its BPF maps) and descriptors of the long-running recorder are flat: after a warm-up of a
#   fifth of the time, the median of the last third is not above that of the first third by more than 5 % and 2 MiB, 1 %,
#   and 2 descriptors; every dump passes `kflight check`; no program and no link of kflight is left.
# KFLIGHT_TEST_KEEP=DIR keeps dumps that fail the check.
# Usage: bench/soak.sh [--minutes N, default 30]
. "$(dirname "$0")/common.sh"

minutes=30
case ${1:-} in
  --minutes) minutes=${2:?'soak.sh: --minutes needs a number'} ;;
  '') ;;
  *) die "unknown argument '$1'; usage: bench/soak.sh [--minutes N]" ;;
esac
command -v perf >/dev/null || die "perf is not installed; scripts/setup.sh installs it"
PATH=$PATH:/usr/sbin
command -v bpftool >/dev/null || die "bpftool is not installed; scripts/setup.sh installs it"
scripts/build.sh release kflight_cli workload_stall_server workload_fork_storm >&2

targets=1000
seconds=$((minutes * 60))
warm_up=$((seconds / 5))

# Programs and links of kflight that no process holds: what a recorder would have left.
left_behind() {
  python3 - "$(bpftool --json prog show)" "$(bpftool --json link show)" <<'PYTHON'
import json, sys
programs, links = json.loads(sys.argv[1]), json.loads(sys.argv[2])
ours = {p["id"] for p in programs if p.get("name", "").startswith("kf_")}
print(sum(1 for p in programs if p["id"] in ours and not p.get("pids")),
      sum(1 for l in links if l.get("prog_id") in ours and not l.get("pids")))
PYTHON
}

# A line of $temp/samples: "seconds RSS-KiB map-bytes descriptors" of the long-running recorder
sample() {
  local rss maps fds
  rss=$(awk '/^VmRSS:/ { print $2 }' "/proc/$recorder/status" 2>/dev/null) || true
  [ -n "$rss" ] || return 0 # it has ended
  # a descriptor can be closed between the listing and the look
  maps=$({ cat "/proc/$recorder"/fdinfo/* 2>/dev/null || true; } | awk '/^memlock:/ { n += $2 } END { printf "%d", n }')
  fds=$({ find "/proc/$recorder/fd" -mindepth 1 2>/dev/null || true; } | wc -l)
  echo "$((SECONDS - began)) $rss $maps $fds" >>"$temp/samples"
}

# Every second, however long a round of the loop below takes on a machine that is busy with other things: a sample, and
# a second name for each new dump, which stays when the recorder makes room for others before we come to check it.
watch_recorder() {
  local path seen=0 alive=1
  while [ -n "$alive" ]; do
    sleep 1
    kill -0 "$recorder" 2>/dev/null || alive=
    sample
    while read -r path; do
      seen=$((seen + 1))
      ln "$path" "$temp/unchecked" 2>/dev/null || echo "$path" >>"$temp/gone"
    done < <(sed -n 's/^dump //p' "$temp/record.out" | tail -n "+$((seen + 1))")
  done
}

dumps=0 bad=0
check_new_dumps() {
  local path
  for path in "$temp"/unchecked/*; do
    [ -e "$path" ] || continue
    if "$kflight" check --explanations 100 "$path" >"$temp/check" 2>&1; then
      dumps=$((dumps + 1))
    else
      bad=$((bad + 1))
      grep -A4 VIOLATED "$temp/check" >&2 || cat "$temp/check" >&2
      [ -z "${KFLIGHT_TEST_KEEP:-}" ] || cp "$path" "$KFLIGHT_TEST_KEEP"
    fi
    rm "$path"
  done
}

# A load that would take all of the CPUs takes little of them while others want them, the compilers of a CI run for
# instance. Each load is a session of its own, so it is the nice value of the session that counts where there is autogroup.
start_patient_load() {
  # shellcheck disable=SC2016 # its own shell's parameters
  start_load sh -c '{ echo 19 >/proc/$$/autogroup; } 2>/dev/null; exec nice -n 19 "$@"' sh "$@"
}

start_loads() {
  start_patient_load perf bench sched messaging -g 1 -l 100000000 >/dev/null 2>&1
  start_patient_load perf bench sched pipe -l 100000000 >/dev/null 2>&1
  start_load "$temp/kfsoak-server" --run 1000000000 --every 400 --hold 80 >/dev/null 2>&1
  # shellcheck disable=SC2016 # their own shell's parameters
  start_load bash -c 'while :; do "$0" --forks 100 >/dev/null; sleep 1; done' "$build/workloads/workload_fork_storm"
  # shellcheck disable=SC2016
  start_load bash -c 'while :; do dd if=/dev/zero of="$0" bs=4k count=64 conv=fsync 2>/dev/null; sleep 0.1; done' \
    "$temp/written"
  # Four fifths of the time for all of them, so that the last ones are over before the end.
  # shellcheck disable=SC2016
  start_load bash -c 'for ((i = 0; i < $1; i++)); do "$0" 0.01; echo >>"$2"; sleep "$3"; done' "$temp/kfsoak-target" \
    "$targets" "$temp/targets" "$(awk -v s="$seconds" -v n="$targets" 'BEGIN { d = s * .8 / n - .03; print (d > 0 ? d : 0) }')"
}

ln -s "$PWD/$build/workloads/workload_stall_server" "$temp/kfsoak-server"
ln -s "$(command -v sleep)" "$temp/kfsoak-target"
read -r programs_before links_before <<<"$(left_behind)"
start_recorder --comm 'kfsoak-*' --wait --trigger 'syscall>50ms' --post 100ms --cooldown 3s --min-age 2s \
  --max-bytes 4MiB --max-dump-bytes 16MiB
start_idle
: >"$temp/targets"
: >"$temp/samples"
: >"$temp/gone"
mkdir "$temp/unchecked"
began=$SECONDS
start_loads
watch_recorder &
watcher=$!

recorders=0 asked=0
while [ $((SECONDS - began)) -lt "$seconds" ]; do
  run "$kflight" record --quiet --name "soak-$$" -o "$temp" --pid "$idle" --trigger 'syscall>1s' --duration 100ms \
    >/dev/null || die "a recorder that came and went failed"
  recorders=$((recorders + 1))
  if [ $((recorders % 4)) -eq 0 ]; then
    "$kflight" dump --name "bench-$$" >/dev/null && asked=$((asked + 1))
  fi
  check_new_dumps
  kill -0 "$recorder" 2>/dev/null || die "the recorder is gone: $(cat "$temp/record.log")"
  sleep 0.3
done
fired=$(status fired total) alive=$(status targets_alive)
failed=$(status dumps failed) losses=$(status losses)
written=$(grep -c '^dump ' "$temp/record.out" || true) left=$(find "$temp" -maxdepth 1 -name '*.kfr' | wc -l)
end_all_loads
stop_recorder
wait "$watcher" # it ends with the recorder, and has seen the last dump
check_new_dumps
gone=$(wc -l <"$temp/gone")
for _ in $(seq 100); do # the kernel frees programs a while after their last reference is gone
  read -r programs_after links_after <<<"$(left_behind)"
  [ $((programs_after + links_after)) -gt $((programs_before + links_before)) ] || break
  sleep 0.3
done

wrong=0
holds() { # WHAT CONDITION...: a line, and its verdict
  local what=$1
  shift
  if [ "$@" ]; then echo "ok      $what"; else echo "WRONG   $what" && wrong=1; fi
}
echo "$seconds s; $(wc -l <"$temp/targets") targets and $recorders recorders came and went, $alive target left;" \
  "$fired firings, $asked dumps asked for, $((written - left)) removed, $losses events lost"
holds "$dumps dumps pass check, $bad do not; $failed could not be written" $((bad + failed)) -eq 0
holds "$gone dumps were removed before they were checked, of $written" "$gone" -le $((written / 4))
holds "$(wc -l <"$temp/targets") of $targets targets attached and detached" "$(wc -l <"$temp/targets")" -ge $((targets / 2))
holds "programs left: $programs_after, before: $programs_before" "$programs_after" -le "$programs_before"
holds "links left: $links_after, before: $links_before" "$links_after" -le "$links_before"
python3 - "$temp/samples" "$warm_up" <<'PYTHON' || wrong=1
import statistics, sys
rows = [[int(w) for w in line.split()] for line in open(sys.argv[1])]
rows = [r for r in rows if r[0] >= int(sys.argv[2])]
third, wrong = len(rows) // 3, False
if third < 3:
    sys.exit(f"WRONG   {len(rows)} samples after the warm-up are too few to say whether memory is flat")
for column, name, unit, scale, relative, absolute in ((1, "resident memory", "MiB", 1024, .05, 2048),
                                                     (2, "memory of BPF maps", "MiB", 1 << 20, .01, 0),
                                                     (3, "descriptors", "", 1, 0, 2)):
    first = statistics.median(r[column] for r in rows[:third])
    last = statistics.median(r[column] for r in rows[-third:])
    flat = last <= first * (1 + relative) + absolute
    wrong |= not flat
    print(f"{'ok   ' if flat else 'WRONG'}   {name}: {first / scale:.1f} {unit} in the first third of {len(rows)} samples, "
          f"{last / scale:.1f} in the last, {max(r[column] for r in rows) / scale:.1f} at most")
sys.exit(wrong)
PYTHON
exit "$wrong"
