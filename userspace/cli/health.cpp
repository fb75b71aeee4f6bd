// SPDX-License-Identifier: Apache-2.0
//
// health.cpp - one small function per thing that can stand in the way, listed in examine_machine().
#include "cli/health.hpp"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/errors.hpp"
#include "base/escape.hpp"
#include "base/units.hpp"
#include "kflight/flight_recorder.hpp"
#include "record/kernel_caps.hpp"
#include "record/loader.hpp"
#include "record/privileges.hpp"
#include "record/recorder_name.hpp"
#include "record/sandbox.hpp"
#include "record/window_file.hpp"

namespace kflight::cli {

namespace {

// First line of a small file; nullopt when it cannot be read.
std::optional<std::string> read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return escape_for_terminal(line);
}

// ------------------------------------------------------------------ kernel

Finding kernel() {
  utsname name{};
  ::uname(&name);
  return {"kernel", Health::kOk,
          fmt::format("Linux {} {}; kflight is tested on {} to {}", name.release, name.machine,
                      record::kOldestTested, record::kNewestTested),
          ""};
}

Finding lockdown() {
  const auto line = read_line("/sys/kernel/security/lockdown");
  if (!line) return {"lockdown", Health::kOk, "not present", ""};
  if (line->find("[confidentiality]") != line->npos)
    return {"lockdown", Health::kFailed, *line,
            "confidentiality mode forbids BPF programs to read kernel memory; boot with lockdown=integrity or none"};
  return {"lockdown", Health::kOk, *line, ""};
}

void add_features(std::vector<Finding>& findings) {
  const auto caps = record::read_kernel_caps();
  if (!caps) {
    findings.push_back({"BTF", Health::kFailed, "not readable", caps.error().what});
    return;
  }
  findings.push_back({"BTF", Health::kOk, "/sys/kernel/btf/vmlinux", ""});
  for (const record::Feature& feature : record::kernel_features(*caps)) {
    const Health lacking = feature.required ? Health::kFailed : Health::kNote;
    findings.push_back({feature.name, feature.present ? Health::kOk : lacking, feature.present ? "present" : "missing",
                        feature.present ? "" : feature.meaning, feature.id});
  }
}

// ------------------------------------------------------------------ privileges

Finding privilege(const record::Capability& capability, std::uint64_t effective) {
  const std::string name(capability.name);
  if (record::holds(effective, capability))
    return {name, Health::kOk,
            fmt::format("held, to {}{}", capability.purpose, capability.kept ? "" : " (given up when recording begins)"),
            ""};
  Health health = Health::kNote;
  if (capability.need == record::Need::kRequired) health = Health::kFailed;
  if (capability.need == record::Need::kSometimes) health = Health::kOk;
  return {name, health, fmt::format("missing, needed to {}", capability.purpose),
          fmt::format("without it {}; run as root, or grant it with setcap", capability.without)};
}

void add_privileges(std::vector<Finding>& findings) {
  const std::uint64_t effective = record::effective_capabilities();
  for (const record::Capability& capability : record::kCapabilities)
    findings.push_back(privilege(capability, effective));
}

// Tried out in a child process.
Finding sandbox() {
  if (const auto tried = record::try_sandbox(); !tried)
    return {"sandbox", Health::kNote, "does not work: " + escape_for_terminal(tried.error().what),
            "recording works, with all the privileges it was started with all the time"};
  return {"sandbox", Health::kOk,
          "works: recording goes on with the capabilities it needs, no_new_privs and a filter for system calls", ""};
}

// The initial namespaces have fixed inode numbers.
Finding pid_namespace() {
  constexpr ino_t kInitialPidNamespace = 0xeffffffc;
  struct stat info {};
  if (::stat("/proc/self/ns/pid", &info) != 0)
    return {"PID namespace", Health::kNote, errno_text(errno),
            "is /proc mounted? --pid cannot be looked up without it"};
  if (info.st_ino == kInitialPidNamespace) return {"PID namespace", Health::kOk, "the initial one", ""};
  return {"PID namespace", Health::kFailed, "not the initial one (a container?)",
          "events carry the host's thread ids, so a --pid of here would name a stranger, and recording is refused; run on the "
          "host, or with --pid=host"};
}

// ------------------------------------------------------------------ limits and settings

Finding locked_memory() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  const std::string found =
      limit.rlim_cur == RLIM_INFINITY ? "unlimited" : format_bytes(static_cast<std::uint64_t>(limit.rlim_cur));
  return {"locked memory", Health::kOk, found + " (matters before Linux 5.11 only; lifted when recording starts)", ""};
}

Finding bpf_statistics() {
  const auto line = read_line("/proc/sys/kernel/bpf_stats_enabled");
  if (line == "1")
    return {"BPF statistics", Health::kNote, "on", "each BPF program run costs about 30 ns more while they are"};
  return {"BPF statistics", Health::kOk, "off",
          "the cost of BPF programs is not measured; sysctl kernel.bpf_stats_enabled=1 does"};
}

// Functions have address 0 for those who may not see them. Per-CPU variables, which may come first, begin at 0 anyway.
Finding kernel_symbols() {
  std::ifstream kallsyms("/proc/kallsyms");
  std::string line;
  while (std::getline(kallsyms, line) && line.find(" T ") == line.npos) {
  }
  if (!line.empty() && !line.starts_with("0000000000000000")) return {"kernel symbols", Health::kOk, "visible", ""};
  return {
      "kernel symbols", Health::kNote, line.empty() ? "not there" : "hidden",
      "kernel frames of stacks stay addresses, and timers have no kind; run as root with kernel.kptr_restrict below 2"};
}

Finding unprivileged_bpf() {
  const auto line = read_line("/proc/sys/kernel/unprivileged_bpf_disabled");
  return {"unprivileged BPF", Health::kOk,
          line == "0" ? "allowed (kflight does not use it)" : "disabled (kflight does not need it)", ""};
}

Finding runtime_directory() {
  const std::string path = record::runtime_directory();
  std::string existing = path;
  while (existing.size() > 1 && ::access(existing.c_str(), F_OK) != 0) {
    const auto slash = existing.find_last_of('/');
    existing = slash == 0 || slash == existing.npos ? "/" : existing.substr(0, slash);
  }
  if (::access(existing.c_str(), W_OK) == 0)
    return {"runtime directory", Health::kOk, path + (existing == path ? "" : " (will be created)"), ""};
  return {"runtime directory", Health::kFailed, fmt::format("{}: {}", path, errno_text(errno)),
          "dump, status and stop need it; run as root, or set KFLIGHT_RUNTIME_DIR to a directory of yours"};
}

// Whether a window outlives its recorder here. Another --max-bytes than the default needs more or less room.
Finding window_directory() {
  const std::string path = record::window_directory();
  const std::string parent = path.substr(0, path.rfind('/'));
  constexpr std::string_view kAdvice =
      "recording works, but the window is lost when the recorder is killed; set KFLIGHT_WINDOW_DIR to a directory on a "
      "tmpfs with more room";
  struct statfs info {};
  if (::statfs(path.c_str(), &info) != 0 && ::statfs(parent.c_str(), &info) != 0)
    return {"window directory", Health::kNote, fmt::format("{}: {}", path, errno_text(errno)), std::string(kAdvice)};
  const auto room = static_cast<std::uint64_t>(info.f_bavail) * static_cast<std::uint64_t>(info.f_bsize);
  const std::string found = info.f_type == TMPFS_MAGIC ? fmt::format("{}, {} free", path, format_bytes(room))
                                                       : path + ": not on a tmpfs";
  const bool good = info.f_type == TMPFS_MAGIC && room > FlightRecorderConfig{}.max_bytes;
  return {"window directory", good ? Health::kOk : Health::kNote, found, good ? "" : std::string(kAdvice)};
}

void add_leftovers(std::vector<Finding>& findings) {
  for (const std::string& name : record::window_names()) {
    const auto left = record::Leftover::open(record::window_path(name));
    if (!left) {
      if (left.error().code != Errc::kBusy) findings.push_back({"left behind", Health::kNote, name, left.error().what});
      continue;
    }
    findings.push_back({"left behind", Health::kNote,
                        fmt::format("the window of recorder '{}', which was killed, takes {} of memory", name,
                                    format_bytes(left->memory_bytes())),
                        fmt::format("`kflight recover --name {}` makes a dump of it and frees the memory", name)});
  }
}

// ------------------------------------------------------------------ the proof

constexpr std::uint64_t kVerifierLimit = 1'000'000;

Finding load_programs(std::vector<record::VerifiedProgram>& programs) {
  constexpr std::uint64_t kRingBytes = 256 << 10;
  constexpr std::uint32_t kOpenCalls = 1024;
  kf_config config{};
  config.syscalls = KF_SYSCALLS_ALL;
  config.stacks = KF_STACKS_ALL;
  config.sample_hz = 1;
  config.follow = 1;
  config.causes = 1;
  config.watch_names = 1;
  const auto start = std::chrono::steady_clock::now();
  auto caps = record::read_kernel_caps();
  if (!caps) return {"loading the BPF programs", Health::kFailed, "not tried", caps.error().what};
  const auto loaded = record::Loader::load(
      config, std::move(*caps), {.ring_bytes = kRingBytes, .open_calls_max = kOpenCalls, .count_instructions = true});
  if (!loaded) return {"loading the BPF programs", Health::kFailed, "the kernel refused", loaded.error().what};
  const auto took = std::chrono::steady_clock::now() - start;
  programs = loaded->verified();
  const auto hardest = std::ranges::max_element(programs, {}, &record::VerifiedProgram::instructions);
  return {"loading the BPF programs", Health::kOk,
          fmt::format("the kernel's verifier accepted all {}, in {}; {} was the hardest, with {} of {} instructions",
                      programs.size(), format_duration(std::chrono::nanoseconds(took)), hardest->name,
                      format_count(hardest->instructions), format_count(kVerifierLimit)),
          ""};
}

}  // namespace

Examination examine_machine() {
  Examination examination;
  std::vector<Finding>& findings = examination.findings;
  findings = {kernel(), load_programs(examination.programs)};
  add_privileges(findings);
  findings.push_back(sandbox());
  findings.push_back(pid_namespace());
  findings.push_back(lockdown());
  findings.push_back(unprivileged_bpf());
  findings.push_back(kernel_symbols());
  findings.push_back(locked_memory());
  findings.push_back(bpf_statistics());
  findings.push_back(runtime_directory());
  findings.push_back(window_directory());
  add_leftovers(findings);
  add_features(findings);
  return examination;
}

}  // namespace kflight::cli
