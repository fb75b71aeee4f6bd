// SPDX-License-Identifier: Apache-2.0
//
// command_help.cpp - the table of commands and their words.
#include "cli/command_help.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace kflight::cli {

namespace {

constexpr CommandHelp kCommands[] = {
    {"record", "Keep a program's last seconds, dump them when it is slow",
     "kflight record TARGET... [OPTIONS]\n"
     "kflight record [OPTIONS] -- COMMAND [ARGS...]",
     R"(A trigger is written without spaces:
  syscall>50ms                 any call of the target that took 50 ms or longer;
                               calls meant to wait (epoll_wait, accept, sleeps,
                               ...) do not count unless they are named
  syscall:fsync,pwrite64>20ms  only these calls
  syscall:futex>1s<10s         at least 1 s but less than 10 s
  syscall:read!EAGAIN          a call that ended with this error
  inflight>2s                  a call that has not returned yet: fires while the
                               caller is stuck
SIGUSR1 and `kflight dump` dump at any time, with or without triggers.
SIGINT and SIGTERM end the recording; SIGHUP is ignored.

Standard output gets the line `ready` once recording is armed and `dump PATH`
for each dump; with --json one JSON object per line. The rest goes to standard
error. With a COMMAND, its exit status is passed on.

Examples:
  kflight record --pid 1234 --trigger 'syscall>100ms' -o /var/tmp
  kflight record --comm 'nginx*' -t 'syscall:fsync>20ms' -t 'inflight>2s'
  kflight record --all --min-age 30s --max-bytes 256MiB --duration 10m
  kflight record -t 'syscall>50ms' -- ./server --port 8080)"},
    {"dump", "Ask a running recorder to write its window now", "kflight dump [OPTIONS]",
     R"(Prints the path of the dump. Recording goes on.

Examples:
  kflight dump
  kflight dump --name web -o /tmp/stall.kfr --note 'users report errors')"},
    {"status", "Show what a running recorder holds and costs", "kflight status [OPTIONS]",
     R"(Examples:
  kflight status
  kflight status --name web --json)"},
    {"stop", "End a running recorder", "kflight stop [OPTIONS]",
     R"(Returns when the recorder has ended.

Examples:
  kflight stop
  kflight stop --name web)"},
    {"recover", "Make a dump of the window that a killed recorder left behind", "kflight recover [OPTIONS]",
     R"(A recorder's window lies on a tmpfs, in /dev/shm/kflight or in
$KFLIGHT_WINDOW_DIR, and is still there after kill -9, the OOM killer or a
crash. This makes a dump of it, prints its path and frees the memory. The next
`kflight record` of the same name does so by itself. `kflight info` says what
the dump lacks.

Examples:
  kflight recover
  kflight recover --name web -o /tmp/last-seconds.kfr)"},
    {"info", "Show what a dump holds: what fired, which call, how much is there", "kflight info FILE [OPTIONS]",
     R"(Examples:
  kflight info kflight-web-1.kfr
  kflight info --json kflight-web-1.kfr | jq .cause)"},
    {"explain", "Say where the time of a slow operation went, and who caused it", "kflight explain FILE [OPTIONS]",
     R"(Explains the call that fired the trigger, or the slowest one, along the chain of
threads and devices that held it up. The rows add up to its duration exactly;
what is not certain is marked as inferred or unknown. Times as in `events`.

Examples:
  kflight explain dump.kfr
  kflight explain dump.kfr --list
  kflight explain dump.kfr --tid 1234 --from -300ms --to -200ms
  kflight explain --folded dump.kfr | flamegraph.pl > chain.svg)"},
    {"events", "Print the events of a dump", "kflight events FILE [OPTIONS]",
     R"(Times are seconds before the window's end. A TIME is -2s or -500ms (before the
window's end), 12:34:56.789 or "2026-01-31 12:34:56.789" (wall clock, local
zone) or @NANOSECONDS (since boot). JSON lines hold one object per event; ts_ns
is CLOCK_BOOTTIME, exact to the nanosecond. Bytes of names that are not
printable UTF-8 are shown as \xNN.

Examples:
  kflight events dump.kfr --tid 1234 --from -200ms
  kflight events dump.kfr --kind syscall --kind loss
  kflight events dump.kfr --kind stack --stacks
  kflight events dump.kfr --format jsonl | jq 'select(.kind == "exec")')"},
    {"check", "Check that a dump is consistent: nothing torn, lost or impossible", "kflight check FILE [OPTIONS]",
     R"(An invariant is violated only by what recorded losses or damage cannot explain.
A violation is a bug of kflight or of the machine: please report it. What each
invariant means is in docs/checks.md.

Examples:
  kflight check dump.kfr
  kflight check --json dump.kfr | jq '.invariants[] | select(.verdict != "ok")')"},
    {"export", "Write a dump in another tool's format, such as Perfetto's", "kflight export FILE [OPTIONS]",
     R"(perfetto  CPUs, thread states, wakings, system calls and what `kflight explain`
          says, to look at in a browser at https://ui.perfetto.dev or to query
          with Perfetto's trace_processor
jsonl     one JSON object per line: threads, events, states

Prints the path of the file, which appears under its name only when it is whole.

Examples:
  kflight export dump.kfr
  kflight export dump.kfr --op 2 -o /tmp/second-slowest.perfetto-trace
  kflight export dump.kfr --format jsonl -o - | jq 'select(.kind == "state")')"},
    {"doctor", "Say whether this machine can record, and what it lacks", "kflight doctor [OPTIONS]",
     R"(Exit status 0 when recording will work, 1 when it will not.

Examples:
  kflight doctor
  kflight doctor --json)"},
    {"version", "Show versions: kflight, libbpf, formats, compiler", "kflight version [OPTIONS]",
     R"(Examples:
  kflight version
  kflight version --json)"},
};

}  // namespace

std::span<const CommandHelp> command_help() { return kCommands; }

const CommandHelp* find_command(std::string_view name) {
  const auto* found = std::ranges::find(kCommands, name, &CommandHelp::name);
  return found == std::end(kCommands) ? nullptr : found;
}

std::string overview() {
  std::string out =
      "kflight - a flight recorder for the Linux kernel\n\n"
      "Attaches to a program, keeps the last seconds of scheduling and system calls\n"
      "in memory, and writes them to a file when something is slow.\n\n"
      "Usage: kflight COMMAND [OPTIONS]\n\nCommands:\n";
  for (const CommandHelp& command : kCommands)
    out += fmt::format("  {:<9}{}\n", command.name, wrap_text(command.summary, 11, 11, 80));
  out +=
      "\nStart here:\n"
      "  kflight doctor                                      can this machine record?\n"
      "  kflight record --pid PID --trigger 'syscall>100ms'  wait for a slow call\n"
      "  kflight explain FILE                                what held it up?\n"
      "\n`kflight COMMAND --help` shows a command's options with examples.\n"
      "Exit status: 0 done, 1 failed, 2 wrong usage, 3 check found violations.\n";
  return out;
}

std::string wrap_text(std::string_view text, std::size_t first_column, std::size_t indent, std::size_t width) {
  std::string out;
  std::size_t column = first_column;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    const bool at_start = out.empty() || out.back() == ' ' || out.back() == '\n';
    if (!at_start && column + 1 + word.size() > width) {
      out += '\n';
      out.append(indent, ' ');
      column = indent;
    } else if (!at_start) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    if (end < text.size() && text[end] == '\n') {
      out += '\n';
      out.append(indent, ' ');
      column = indent;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace kflight::cli
