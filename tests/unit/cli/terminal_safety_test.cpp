// SPDX-License-Identifier: Apache-2.0
//
// A dump in which every text tries to command the terminal, shown by every command that reads dumps, on a terminal and
// through a pipe: nothing arrives but printable text, line ends and our own colours.
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <regex>

#include "base/unique_fd.hpp"
#include "cli/options.hpp"
#include "support/calls.hpp"
#include "support/dump_builder.hpp"
#include "support/temp_dir.hpp"
#include "support/terminal_text.hpp"

namespace kflight::cli {
namespace {

using namespace std::chrono_literals;
using test::call;
using test::ChunkBuilder;
using test::DumpBuilder;
using test::nr;

// A title, CSI and its 8-bit form (bare, and as UTF-8), bells, line ends, invalid UTF-8, marks that turn the direction.
const std::string kHostile =
    "\x1b]0;owned\x07 \x1b[2J \x9b"
    "31m \xc2\x9b"
    "2J \xc2\x85\r\n\t\v\b\x7f \xff\xfe\xc3 \xed\xa0\x80 \xe2\x80\xae\xe2\x81\xa6 <&\"'\\ end";
// What fits into a thread's name.
const std::string kNames[] = {"\x1b]0;owned\x07",
                              "\x9b"
                              "2J\xc2\x9b"
                              "2J\r\n",
                              "\xe2\x80\xae\xff\t\x7f\b"};

constexpr kf_u32 kT = 10, kS = 11, kProcess = 10;

void fill(DumpMeta& meta) {
  meta.host = {.hostname = kHostile,
               .kernel_release = kHostile,
               .kernel_version = kHostile,
               .machine = kHostile,
               .boot_id = kHostile,
               .cpus_possible = 2,
               .cpus_online = 2};
  auto& config = meta.config;
  for (std::string* text : {&config.kflight_version, &config.command, &config.syscalls, &config.scope, &config.stacks})
    *text = kHostile;
  config.comm_globs = config.triggers = config.missing = {kHostile, kHostile};
  auto& cause = meta.cause;
  cause.trigger = cause.kind = cause.fd_path = cause.note = kHostile;
  cause.has_call = true;
  cause.tid = kT;
  cause.tgid = kProcess;
  cause.comm = Comm::from(kNames[0]);
  cause.nr = nr("read");
  cause.args = {3, 0x7000, 64};
  cause.fired_ns = 9'000'000;
  cause.enter_ns = 2'000'000;
  cause.exit_ns = 9'000'000;
  meta.window.limited_by = kHostile;
  meta.cost.programs = {{.name = kHostile, .run_count = 1, .run_ns = 1000}};
  meta.cost.recording_ns = 1'000'000;
  meta.targets = {{.tgid = kProcess, .exe = kHostile}};
}

void fill(DumpBuilder& file) {
  fill(file.meta);
  for (const kf_u32 tid : {kT, kS}) {
    file.task(tid, kNames[tid - kT], 10ms);
    file.tasks.back().tgid = kProcess;
    file.tasks.back().flags = KF_TASK_TARGET;
    kf_base_task& base = file.base_tasks.emplace_back();
    base.tid = tid;
    base.tgid = kProcess;
    base.known = KF_BASE_IDENTITY;
    std::ranges::copy(kNames[tid - kT + 1], base.comm);
  }
  kf_open_call open{.tid = kS, .tgid = kProcess, .nr = nr("futex"), .enter_ns = 3'000'000, .since_ns = 3'000'000};
  std::ranges::copy(kNames[1], open.comm);
  file.open_calls.push_back(open);
  kf_ctl ended{
      .type = KF_CTL_RESOLVED, .tid = kS, .tgid = kProcess, .nr = nr("futex"), .enter_ns = 3'000'000, .exit_ns = 9'500'000};
  std::ranges::copy(kNames[2], ended.comm);
  file.resolutions.push_back(ended);
  file.losses.push_back({.kind = KF_LOSS_RECURSION, .lane = 1, .from_ns = 2'000'000, .to_ns = 3'000'000, .count = 1});
  file.stack(1, 0, {0x81000010, 0x81000110})
      .stack(2, kProcess, {0x400010, 0x400110})
      .kernel_symbol(0x81000000, 0x81000100, kHostile)
      .kernel_symbol(0x81000100, 0x81000200, kHostile, kHostile)
      .kernel_symbol(0x81000200, 0x81000300, kHostile)
      .mapped_file(1, "/opt/" + kHostile, {})
      .fd_link(kProcess, 3, kHostile);
  file.mappings.push_back({.tgid = kProcess, .file = 1, .begin = 0x400000, .end = 0x401000});
}

void add_events(DumpBuilder& file) {
  ChunkBuilder cpu0(0, {.start = 1ms, .cur_tid = kT}), cpu1(1, {.start = 1ms, .cur_tid = kS});
  cpu0.at(1100us).fork(kT, kS, kProcess, {.is_thread = true, .comm = kNames[1]});
  cpu0.at(1200us).exec(kT, kT, kNames[2], kHostile);
  cpu0.at(1300us).rename(kT, kNames[0]).rename(kS, kNames[1]);
  cpu0.at(2ms).switch_to(0, KF_ST_SLEEP, {.nsw = 1, .sys = call(nr("read"), {3, 0x7000, 64}), .in_call_for = 0us});
  cpu0.stack(kT, KF_STACK_BLOCK, 1, 2);
  cpu1.at(3ms).switch_to(0, KF_ST_SLEEP, {.nsw = 1, .sys = call(nr("futex"), {0x7000, 128}), .in_call_for = 0us});
  cpu1.stack(kS, KF_STACK_BLOCK, 1, 2);
  cpu1.at(6ms)
      .work(0x81000200, 100us, 200us, kT, 1)
      .woken(kS, {.cpu = 1, .waker_nr = nr("futex")})
      .after(10us)
      .switch_to(kS, KF_ST_SLEEP);
  cpu1.at(8ms).woken(kT, {.cpu = 0}).stack(kS, KF_STACK_WAKER, 1, 2).lock_wait(kT, 0x7000).signal(kT, 9, kProcess);
  cpu1.block(0, 1, 7, 512, 5).throttle(1, 2);
  cpu0.at(8100us).switch_to(kT, KF_ST_SLEEP);
  cpu0.at(9ms).syscall(nr("read"), 64, {.took = 7ms, .blocked = true, .args = call(nr("read"), {3, 0x7000, 64})});
  file.add(cpu0.build()).add(cpu1.build()).window(1ms, 10ms);
}

// What a command writes to standard output and error, both of them the terminal or both of them the pipe.
std::string output_of(const std::function<int()>& command, bool on_terminal) {
  int ends[2];
  if (on_terminal) {
    termios as_it_is{};
    ::cfmakeraw(&as_it_is);  // the line discipline would turn line ends into something else
    EXPECT_EQ(::openpty(&ends[0], &ends[1], nullptr, &as_it_is, nullptr), 0);
  } else {
    EXPECT_EQ(::pipe(ends), 0);
  }
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(writing.get(), STDOUT_FILENO);
    ::dup2(writing.get(), STDERR_FILENO);
    const int status = command();
    std::fflush(nullptr);
    ::_exit(status);
  }
  writing.reset();
  std::string out;
  char buffer[4096];
  for (ssize_t bytes; (bytes = ::read(reading.get(), buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<std::size_t>(bytes));
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != kExitUsage) << out;
  return out;
}

std::string without_colours(const std::string& text) {
  return std::regex_replace(text, std::regex("\x1b\\[[012]m"), "");
}

class TerminalSafety : public testing::Test {
 protected:
  void SetUp() override {
    DumpBuilder file;
    fill(file);
    add_events(file);
    write(file.file());
  }
  void write(const std::vector<std::byte>& bytes) {
    test::write_text(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  void expect_safe(const char* name, const std::function<int()>& command) {
    for (const bool on_terminal : {true, false}) {
      const std::string out = output_of(command, on_terminal);
      EXPECT_GT(out.size(), 20u) << name;
      const std::string text = on_terminal ? without_colours(out) : out;
      const auto bad = test::first_unprintable(text);
      EXPECT_FALSE(bad) << name << (on_terminal ? " on a terminal: " : ": ")
                        << testing::PrintToString(text.substr(*bad < 60 ? 0 : *bad - 60, 120));
    }
  }
  void expect_all_safe() {
    for (const bool json : {false, true}) {
      expect_safe("info", [&] { return cmd_info({.path = path, .json = json}); });
      expect_safe("check", [&] { return cmd_check({.path = path, .evidence = 100, .json = json}); });
      expect_safe("explain", [&] { return cmd_explain({.path = path, .json = json}); });
      expect_safe("explain --list", [&] { return cmd_explain({.path = path, .list = true, .json = json}); });
      expect_safe("explain --all-slow", [&] { return cmd_explain({.path = path, .all_slow = true, .json = json}); });
      expect_safe("explain --tid", [&] { return cmd_explain({.path = path, .tid = kS, .json = json}); });
      expect_safe("events", [&] { return cmd_events({.path = path, .jsonl = json, .stacks = true}); });
    }
    expect_safe("explain --folded", [&] { return cmd_explain({.path = path, .folded = true}); });
    expect_safe("events --absolute", [&] { return cmd_events({.path = path, .absolute = true}); });
    expect_safe("export", [&] { return cmd_export({.path = path, .format = "jsonl", .out = "-"}); });
  }

  test::TempDir dir;
  std::string path = dir.file("\x1b]0;x\x07.kfr");
};

TEST_F(TerminalSafety, NoCommandLetsAnythingThrough) { expect_all_safe(); }

// Events about more threads, in ways no recorder writes; and texts of damage.
TEST_F(TerminalSafety, NorDoesADamagedDump) {
  DumpBuilder file;
  fill(file);
  add_events(file);
  for (kf_base_lane& lane : file.base_lanes) lane.known = 1;
  ChunkBuilder wrong(1, {.start = 5ms, .cur_tid = kT, .seq = 3, .events_before = 90});
  wrong.switch_to(kS, KF_ST_DEAD).at(5100us).switch_to(kS, 15).exit(kS, true).raw(7).at(6ms).wakeup(kT, 9);
  file.add(wrong.build());
  auto bytes = file.file();
  bytes[bytes.size() / 3] ^= std::byte{0x55};
  bytes.resize(bytes.size() - 40);
  write(bytes);
  expect_all_safe();
}

TEST_F(TerminalSafety, NorDoesAnError) {
  test::write_text(path, kHostile);
  expect_safe("info", [&] { return cmd_info({.path = path}); });
  expect_safe("explain", [&] { return cmd_explain({.path = path + kHostile}); });
  expect_safe("export", [&] { return cmd_export({.path = path, .out = dir.file(kHostile)}); });
}

}  // namespace
}  // namespace kflight::cli
