#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Finds, downloads and unpacks kernels of Debian without installing them. apt gets a configuration, lists and a package
# status of its own in ${KFLIGHT_CACHE:-~/.cache/kflight}/apt: the host's are neither used nor changed. A kernel is the
# newest of its series that any suite offers, never a pinned number; what is in the cache is not fetched again.
# Usage: scripts/vmtest/fetch_kernel.sh update           brings the lists up to date
#        scripts/vmtest/fetch_kernel.sh SERIES[-rt]      6.1, 6.1-rt, newest: prints "VERSION FILE", FILE is its vmlinuz
# Exit status 1: something failed, 2: a wrong argument, 4: no suite has such a kernel.
set -euo pipefail
cache=${KFLIGHT_CACHE:-${HOME:-/root}/.cache/kflight}
apt=$cache/apt
mirror=${KFLIGHT_MIRROR:-http://deb.debian.org}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() {
  echo "fetch_kernel.sh: $2" >&2
  exit "$1"
}

# 5.10 comes from bullseye, 6.1 from bookworm, 6.12 from its backports, later ones from trixie's, sid and experimental.
# The signed lists of the last two expire within a week, by this machine's clock; their signatures are checked all the same.
write_configuration() {
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/etc/apt.conf.d" "$apt/etc/preferences.d"
  : >"$apt/status"
  local options="[arch=amd64 signed-by=$keyring check-valid-until=no]" suite
  {
    for suite in bullseye bookworm bookworm-backports trixie trixie-backports sid experimental; do
      echo "deb $options $mirror/debian $suite main"
    done
    for suite in bullseye-security bookworm-security trixie-security; do
      echo "deb $options $mirror/debian-security $suite main"
    done
  } >"$apt/etc/sources.list"
  cat >"$APT_CONFIG" <<CONF
Dir::Etc "$apt/etc"; Dir::Etc::SourceParts "-"; Dir::State "$apt"; Dir::State::status "$apt/status"; Dir::Cache "$apt";
APT::Architecture "amd64"; APT::Architectures { "amd64"; }; APT::Sandbox::User "root";
Acquire::Languages "none"; Acquire::Retries "3"; Acquire::http::Timeout "30";
CONF
}

# "VERSION PACKAGE" of the packages that hold a kernel, oldest first. Beside them are empty ones that only depend on
# others; since 7.2 linux-image-* is such a one and the kernel is in linux-binary-*.
kernels_of_flavour() {
  apt-cache search --names-only "^linux-(image|binary)-[0-9].*-$1-amd64\$" | cut -d ' ' -f 1 |
    xargs -r apt-cache show | awk '
      $1 == "Package:" { package = $2 } $1 == "Version:" { version = $2 } $1 == "Installed-Size:" { kib = $2 }
      $1 == "" { if (kib > 1000) print version, package; kib = 0 }
      END { if (kib > 1000) print version, package }' | sort -V
}

# Prints "VERSION FILE".
fetch() {
  local series=${1%-rt} flavour=cloud prefix version package
  [ "$1" = "$series" ] || flavour=rt
  prefix=$series.
  [ "$series" != newest ] || prefix=
  read -r version package < <(kernels_of_flavour "$flavour" | awk -v p="$prefix" 'index($1, p) == 1' | tail -n 1) ||
    die 4 "no suite of $mirror offers a kernel $1"
  local dir=$cache/kernels/$package
  if [ ! -f "$dir/vmlinuz" ]; then
    mkdir -p "$dir"
    (cd "$dir" && apt-get download -q "$package=$version" >&2) || die 1 "cannot download $package=$version from $mirror"
    dpkg-deb --fsys-tarfile "$dir"/*.deb | tar -x -O --wildcards '*/vmlinuz*' >"$dir/partial"
    rm "$dir"/*.deb
    mv "$dir/partial" "$dir/vmlinuz" # last: a folder with this file is complete
  fi
  echo "$version $dir/vmlinuz"
}

export APT_CONFIG=$apt/apt.conf
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # one at a time: two would unpack into one folder
case ${1:-} in
  update)
    write_configuration
    apt-get update -q -o APT::Update::Error-Mode=any >&2 || die 1 "cannot bring the package lists of $mirror up to date"
    ;;
  newest | newest-rt | [0-9]*.[0-9]*) fetch "$1" ;;
  *) die 2 "unknown argument '${1:-}'; usage: scripts/vmtest/fetch_kernel.sh update|SERIES[-rt]|newest[-rt]" ;;
esac
