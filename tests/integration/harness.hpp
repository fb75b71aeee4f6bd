// SPDX-License-Identifier: Apache-2.0
//
// harness.hpp - runs the real kflight program beside a workload. Children write into files of the test's temporary
// folder, so that nobody ever blocks on a full pipe and a failing test can show everything both of them said. Waiting
// has no time limit: it ends when the line comes or the child is gone.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/types.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kflight::test {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

// A folder that goes away with everything in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class Child {
 public:
  Child(Words command, std::string out_path, std::string err_path);
  ~Child();  // kills and reaps it if it still runs
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  void send_line(const std::string& line) const;
  void close_stdin();
  void signal(int number) const;
  bool running();
  // 0..255, or 128 + the signal that ended it. Blocks until it has ended.
  int wait();

  // The next complete line of stdout that begins with `prefix`, without it; lines before it are passed over. Nothing
  // when the child ended without one.
  std::optional<std::string> wait_for_line(const std::string& prefix);
  std::string out() const;
  std::string err() const;
  std::string transcript() const;  // command, status and output, for people

 private:
  Words command_;
  std::string out_path_, err_path_;
  pid_t pid_ = -1;
  int stdin_fd_ = -1;
  std::optional<int> status_;
  std::size_t read_bytes_ = 0;  // of stdout, by wait_for_line
};

// What a finished command said.
struct Output {
  int status = -1;
  std::string out, err;
  Json json() const { return Json::parse(out, nullptr, false); }
};

// A program of tests/workloads, started with --wait: it has printed its PID and waits for go().
class Workload {
 public:
  explicit Workload(Child& child) : child_(child) {}
  pid_t pid() const { return child_.pid(); }
  void go() const { child_.send_line("go"); }
  Json report();  // waits for it; the workload then lives on until end()
  int end();
  Child& child() const { return child_; }

 private:
  Child& child_;
};

// `kflight record` in the background, armed: it has said `ready`.
class Recorder {
 public:
  Recorder(Child& child, std::string name, std::string directory)
      : child_(child), name_(std::move(name)), directory_(std::move(directory)) {}
  const std::string& name() const { return name_; }
  const std::string& directory() const { return directory_; }
  std::string wait_for_dump();  // path of the next dump; a test failure and "" when the recorder ends without one
  int stop();                   // SIGINT; the exit status
  Child& child() const { return child_; }

 private:
  Child& child_;
  std::string name_;
  std::string directory_;
};

// Base of all tests that load BPF programs. Skips without root (fails when CI is set), and after each test demands that
// its dumps pass `kflight check`, that the sandbox refused nothing, and that no program of kflight is left in the kernel.
class IntegrationTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  Child& start(Words command);
  Workload start_workload(const std::string& name, Words arguments = {});
  // Adds -o DIRECTORY (a new one per call) and a --name of its own unless given. A test failure when it does not get
  // ready.
  Recorder start_recorder(Words arguments);
  Output run(Words command);
  Output kflight(Words arguments);

  const TempDir& temp() const { return temp_; }
  const std::string& windows() const { return windows_; }  // where recorders keep their windows; gone after the test
  static std::string kflight_path();
  static std::string workload_path(const std::string& name);
  // Copies the dump to KFLIGHT_TEST_KEEP, if that is set: for one that shows a fault.
  static void keep(const std::filesystem::path& dump);

 private:
  TempDir temp_;
  std::vector<std::unique_ptr<Child>> children_;
  std::set<unsigned> programs_before_;
  int recorders_ = 0;
  std::string windows_;

  void check_dumps();
  bool only_emulation_violates(const std::string& dump);
};

// Ids of the BPF programs in the kernel that have the name of one of kflight's.
std::set<unsigned> loaded_kflight_programs();
// Ids of all BPF programs that a process refers to.
std::set<unsigned> programs_held_by_processes();

}  // namespace kflight::test
