#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the recorder itself costs on a machine that does nothing, with the default window of 64 MiB: CPU time of all its
# threads, and resident memory.
# Usage: bench/idle.sh [SECONDS, default 30]
. "$(dirname "$0")/common.sh"

seconds=${1:-30}
scripts/build.sh release kflight_cli >&2
start_idle
start_recorder --pid "$idle" --trigger 'syscall>50ms'
sleep 2 # the first window

before=$(cpu_ns "$recorder")
run sleep "$seconds"
used=$(($(cpu_ns "$recorder") - before))
awk -v used="$used" -v s="$seconds" '
  BEGIN { printf "recorder CPU      %.3f %% of one CPU over %d s\n", used / s / 1e7, s }'
awk '/^VmRSS/ { printf "recorder memory   %.1f MiB resident\n", $2 / 1024 }' "/proc/$recorder/status"
awk '/^VmHWM/ { printf "                  %.1f MiB at most\n", $2 / 1024 }' "/proc/$recorder/status"
