#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# How much slower programs run while kflight records. Each round measures every program untraced and traced, in turns as
# to which comes first; the table has the median of the rounds' ratios, and the smallest and largest.
#   full      every task's scheduling and all syscalls of all tasks
#   default   scheduling of all tasks with causes, stacks of the target; the target is an idle process, so no syscall
#             tracepoint is needed and nobody pays for stacks
#   target    the same, and the programs are the target: every wait of theirs leaves its stacks
#   trigger   the same with a trigger on slow syscalls: tracepoints are attached, little is written
#   empty     programs that return at once, on the tracepoints of `full`: no BPF tool can be cheaper there
#   clock     the same, but they read the clock, once for every time that `full` tells
#   full-causes-off, default-causes-off   without the cause register and the events that go with it
# Usage: bench/overhead.sh [--rounds 7] [--modes full,default,target,trigger] [--programs pipe,getppid,messaging]
. "$(dirname "$0")/common.sh"

rounds=7
modes=full,default,trigger
programs=pipe,getppid,messaging
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=${2:?--rounds needs a number} && shift 2 ;;
    --modes) modes=${2:?--modes needs a list} && shift 2 ;;
    --programs) programs=${2:?--programs needs a list} && shift 2 ;;
    *) die "unknown argument '$1'; the head of this script says what there is" ;;
  esac
done
command -v perf >/dev/null || die "perf is not installed; scripts/setup.sh installs it"
scripts/build.sh release kflight_cli getppid_loop bench_empty_programs >&2
start_idle

# Each prints seconds.
run_pipe() { run taskset -c 0 perf bench -f simple sched pipe -l 200000; }
run_getppid() { run taskset -c 0 "$build/bench/getppid_loop" 5000000; }
run_messaging() { run perf bench -f simple sched messaging -g 10 -l 400; }

measure() { # untraced|traced MODE ROUND
  local program
  for program in ${programs//,/ }; do
    "run_$program" >"$temp/$1.$2.$program.$3"
  done
}

record() {
  case $1 in
    full) start_recorder --all --syscalls all ;;
    default) start_recorder --pid "$idle" ;;
    target) start_recorder --comm 'perf*' --comm 'sched-*' --comm 'getppid*' --wait ;;
    full-causes-off) start_recorder --all --syscalls all --causes off ;;
    default-causes-off) start_recorder --pid "$idle" --causes off ;;
    trigger) start_recorder --pid "$idle" --trigger 'syscall>50ms' ;;
    *) die "no mode '$1'; the head of this script says which there are" ;;
  esac
}

traced() { # MODE ROUND
  case $1 in
    empty | clock)
      start_empty_programs "$1"
      measure traced "$1" "$2"
      echo 0 >>"$temp/$1.losses"
      stop_empty_programs
      ;;
    *)
      record "$1"
      measure traced "$1" "$2"
      status losses >>"$temp/$1.losses"
      stop_recorder
      ;;
  esac
}

for mode in ${modes//,/ }; do
  for round in $(seq "$rounds"); do
    echo "$mode $round/$rounds" >&2
    if ((round % 2)); then
      measure untraced "$mode" "$round"
      traced "$mode" "$round"
    else
      traced "$mode" "$round"
      measure untraced "$mode" "$round"
    fi
  done
done

ratios() { # MODE PROGRAM
  local round
  for round in $(seq "$rounds"); do
    paste "$temp/traced.$1.$2.$round" "$temp/untraced.$1.$2.$round" | awk '{ print $1 / $2 }'
  done
}

printf '%-18s %-10s %9s %9s %9s %9s %8s\n' mode program untraced slowdown min max losses
for mode in ${modes//,/ }; do
  losses=$(awk '{ n += $1 } END { print n + 0 }' "$temp/$mode.losses")
  for program in ${programs//,/ }; do
    ratios "$mode" "$program" >"$temp/ratios"
    printf '%-18s %-10s %8.3fs %9.3f %9.3f %9.3f %8s\n' "$mode" "$program" \
      "$(cat "$temp/untraced.$mode.$program".* | median)" "$(median <"$temp/ratios")" \
      "$(sort -g "$temp/ratios" | head -n 1)" "$(sort -g "$temp/ratios" | tail -n 1)" "$losses"
  done
done
