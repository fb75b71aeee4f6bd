#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Boots kernels of Debian in QEMU, without acceleration, and runs the smoke tests of tests/integration on each: record,
# trigger, dump, check and explain of planted causes, a CPU that goes offline and comes back. What runs there is the
# release build with its libraries in an initramfs. A table says what each kernel said; the exit status is 1 when one of
# them failed or could not be had, 2 for a wrong argument. What a virtual machine left (tests.log, doctor.json, console, dumps of failed tests) is in
# .build/vmtest/KERNEL.
#
# The verifier's count of instructions per program is held against scripts/vmtest/verifier.json and may grow by a tenth.
#
# Usage: scripts/vmtest.sh [--ci] [--offline] [--record] [--filter TESTS] [KERNEL...]
#   KERNEL     a series or the highest version there is, with -rt for PREEMPT_RT: 6.1, 6.12-rt, newest. Default: all of them
#   --ci       the cloud kernels only, no PREEMPT_RT
#   --offline  what is in the cache, without asking the archive for newer ones
#   --record   write the counts of this run into scripts/vmtest/verifier.json
#   --filter   other tests than the smoke tests, as gtest takes them
set -euo pipefail
cd "$(dirname "$0")/.."

cloud=(5.10 6.1 6.12 6.18 newest)
realtime=(6.1-rt 6.12-rt 6.18-rt newest-rt)
may_be_absent=' newest newest-rt ' # packages of sid and experimental come and go
tests='Smoke.HolderOfAMutexSleeps:Smoke.HogHasTheCpu:Smoke.SleepsByItself:Smoke.QuotaIsUsedUp:KernelLock.*:Faults.CpuGoes*'
kernels=()
ci=
offline=
record=
hang_seconds=${KFLIGHT_VM_SECONDS:-600} # a machine that says nothing for so long hangs; the slowest needs a fifth of it
build=$(realpath -m "${KF_BUILD_DIR:-.build/release}")
out=$PWD/.build/vmtest

die() {
  echo "vmtest.sh: $2" >&2
  exit "$1"
}

while [ $# -gt 0 ]; do
  case $1 in
    --ci) ci=1 ;;
    --offline) offline=1 ;;
    --record) record=--record ;;
    --filter)
      tests=${2:?'vmtest.sh: --filter needs a value'}
      shift
      ;;
    newest | newest-rt | [0-9]*.[0-9]*) kernels+=("$1") ;;
    *) die 2 "unknown argument '$1'; usage: scripts/vmtest.sh [--ci] [--offline] [--record] [--filter TESTS] [KERNEL...]" ;;
  esac
  shift
done
if [ ${#kernels[@]} -eq 0 ]; then
  kernels=("${cloud[@]}")
  [ -n "$ci" ] || kernels+=("${realtime[@]}")
fi

for tool in flock qemu-system-x86_64 busybox cpio python3; do
  command -v "$tool" >/dev/null || die 1 "no $tool here; scripts/setup.sh --vm installs what is needed"
done
scripts/build.sh release kflight workloads integration >&2

# ------------------------------------------------------------------ one initramfs for all

. scripts/scratch.sh

put() { # a file, at the same place as here
  mkdir -p "$scratch/root${1%/*}"
  cp -L "$1" "$scratch/root$1"
}

make_initramfs() {
  local root=$scratch/root file
  mkdir -p "$root"/{bin,vm,proc,sys,dev,tmp,run,out,scratch}
  cp "$(command -v busybox)" "$root/bin/busybox"
  sed "s|KF_BUILD|$build|g" scripts/vmtest/init.sh >"$root/init"
  chmod +x "$root/init"
  printf '%s\n' "$tests" >"$root/vm/filter"
  put "$build/kflight"
  put "$build/tests/integration/integration"
  put "$build/userspace/bpf/kflight_bpf.bpf.o" # the tests look up the programs' names in it
  for file in "$build"/workloads/workload_*; do put "$file"; done
  # libfmt is in Debian 12 without a static archive, so the libraries come along; they are the ones users have, too
  ldd "$build/kflight" "$build/tests/integration/integration" | grep -o '/[^ ]*\.so[^ ]*' | sort -u >"$scratch/libraries"
  while read -r file; do put "$file"; done <"$scratch/libraries"
  (cd "$root" && find . | cpio --quiet -o -H newc) >"$scratch/initramfs"
  rm -r "$root"
}

# q35 with one thread for all CPUs: other machines and thread=multi hang or oops now and then.
boot() { # VMLINUZ FOLDER; succeeds when the machine came to its end
  local memory=768
  rm -rf "$2" && mkdir -p "$2"
  timeout "$hang_seconds" qemu-system-x86_64 -M q35 -accel tcg,thread=single -cpu max -smp 2 -m "$memory" -nodefaults \
    -no-user-config -display none -no-reboot -serial "file:$2/console" -serial "file:$2/results.tar" \
    -kernel "$1" -initrd "$scratch/initramfs" -append 'console=ttyS0 quiet panic=-1 rdinit=/init' </dev/null &
  machine=$!
  wait "$machine" || true
  tar -x -C "$2" -f "$2/results.tar" 2>/dev/null || true
  rm -f "$2/results.tar"
  [ -e "$2/zz-done" ]
}

# ------------------------------------------------------------------ the matrix

lists_are_current=1
if [ -z "$offline" ] && ! scripts/vmtest/fetch_kernel.sh update >"$scratch/update.log" 2>&1; then
  lists_are_current=
  cat "$scratch/update.log" >&2
fi

try_kernel() { # KERNEL; leaves a line about it in $scratch/result.KERNEL
  local kernel=$1 folder=$out/$1 verdict='' attempts=1 start=$SECONDS version=- found vmlinuz machine=
  trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null; exit 143' TERM
  if [ -z "$lists_are_current" ]; then
    verdict='THE ARCHIVE CANNOT BE REACHED (--offline takes what is in the cache)'
  elif ! found=$(scripts/vmtest/fetch_kernel.sh "$kernel" 2>"$scratch/fetch.$kernel"); then
    verdict="NOT TO BE HAD: $(tail -n 1 "$scratch/fetch.$kernel")"
    [[ $may_be_absent != *" $kernel "* ]] || verdict="absent, which may be: $verdict"
  else
    read -r version vmlinuz <<<"$found"
    start=$SECONDS
    boot "$vmlinuz" "$folder" || {
      echo "vmtest.sh: $kernel did not come to its end: $(tail -n 1 "$folder/console"); once more" >&2
      attempts=2
      start=$SECONDS
      boot "$vmlinuz" "$folder" || verdict='DID NOT COME TO ITS END, twice'
    }
  fi
  [ -z "$verdict" ] || echo "vmtest.sh: $kernel: $verdict" >&2
  printf '%s\t%s\t%s\t%s\t%s\n' "$kernel" "$version" "$attempts" $((SECONDS - start)) "$verdict" >"$scratch/result.$kernel"
  echo "vmtest.sh: $kernel ($version) took $((SECONDS - start)) s" >&2
}

make_initramfs
mkdir -p "$out"
for kernel in "${kernels[@]}"; do
  # a machine keeps one CPU busy
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
  try_kernel "$kernel" &
done
wait
for kernel in "${kernels[@]}"; do cat "$scratch/result.$kernel"; done >"$scratch/results"
python3 scripts/vmtest/report.py "$scratch/results" "$out" scripts/vmtest/verifier.json $record
