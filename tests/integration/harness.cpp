// SPDX-License-Identifier: Apache-2.0
//
// harness.cpp - children, their output, and what must be true after a test.
#include "harness.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace kflight::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kPollInterval = 1ms;

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

int exit_status(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

// Names as the kernel keeps them, cut to 15 characters, from the object the skeleton was made of.
std::set<std::string> kflight_program_names() {
  std::set<std::string> names;
  bpf_object* object = bpf_object__open_file(KF_BPF_OBJECT, nullptr);
  if (object == nullptr) return names;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    names.insert(std::string(bpf_program__name(program)).substr(0, BPF_OBJ_NAME_LEN - 1));
  }
  bpf_object__close(object);
  return names;
}

}  // namespace

TempDir::TempDir() {
  std::string pattern = std::filesystem::temp_directory_path() / "kflight-test-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern + ": " + std::strerror(errno));
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Child::Child(Words command, std::string out_path, std::string err_path)
    : command_(std::move(command)), out_path_(std::move(out_path)), err_path_(std::move(err_path)) {
  int stdin_pipe[2];
  if (pipe2(stdin_pipe, O_CLOEXEC) != 0) throw std::runtime_error(std::string("pipe2: ") + std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, stdin_pipe[0], STDIN_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  std::vector<char*> words;
  for (std::string& word : command_) words.push_back(word.data());
  words.push_back(nullptr);
  const int error = posix_spawnp(&pid_, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(stdin_pipe[0]);
  stdin_fd_ = stdin_pipe[1];
  if (error != 0) throw std::runtime_error("starting " + command_[0] + ": " + std::strerror(error));
}

// Asked to end before it is killed: a killed recorder would leave its socket behind.
Child::~Child() {
  if (running()) signal(SIGTERM);
  for (int i = 0; i < 5000 && running(); ++i) std::this_thread::sleep_for(kPollInterval);
  if (running()) signal(SIGKILL);
  wait();
  close_stdin();
}

void Child::send_line(const std::string& line) const {
  const std::string text = line + "\n";
  if (write(stdin_fd_, text.data(), text.size()) < 0) ADD_FAILURE() << command_[0] << " takes no input any more";
}

void Child::close_stdin() {
  if (stdin_fd_ >= 0) close(stdin_fd_);
  stdin_fd_ = -1;
}

void Child::signal(int number) const { kill(pid_, number); }

bool Child::running() {
  if (status_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) status_ = exit_status(status);
  return !status_;
}

int Child::wait() {
  if (!status_) {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    status_ = exit_status(status);
  }
  return *status_;
}

std::optional<std::string> Child::wait_for_line(const std::string& prefix) {
  for (;;) {
    const bool ended = !running();  // before reading: what it wrote last is then in the file
    const std::string text = out();
    for (std::size_t end; (end = text.find('\n', read_bytes_)) != std::string::npos;) {
      const std::string line = text.substr(read_bytes_, end - read_bytes_);
      read_bytes_ = end + 1;
      if (line.starts_with(prefix)) return line.substr(prefix.size());
    }
    if (ended) return std::nullopt;
    std::this_thread::sleep_for(kPollInterval);
  }
}

std::string Child::out() const { return read_file(out_path_); }
std::string Child::err() const { return read_file(err_path_); }

std::string Child::transcript() const {
  std::string text = "$";
  for (const std::string& word : command_) text += " " + word;
  text +=
      "\n[pid " + std::to_string(pid_) + ", " + (status_ ? "status " + std::to_string(*status_) : "running") + "]\n";
  return text + "--- stdout\n" + out() + "--- stderr\n" + err();
}

Json Workload::report() {
  const auto line = child_.wait_for_line("{");
  if (!line) {
    ADD_FAILURE() << "the workload ended without a report";
    return Json::object();
  }
  return Json::parse("{" + *line, nullptr, false);
}

int Workload::end() {
  child_.close_stdin();
  return child_.wait();
}

std::string Recorder::wait_for_dump() {
  const auto path = child_.wait_for_line("dump ");
  if (!path) ADD_FAILURE() << "the recorder ended without a dump";
  return path.value_or("");
}

int Recorder::stop() {
  child_.signal(SIGINT);
  return child_.wait();
}

void IntegrationTest::SetUp() {
  if (geteuid() != 0) {
    const char* reason = "needs root to load BPF programs";
    if (std::getenv("CI") != nullptr) FAIL() << reason;
    GTEST_SKIP() << reason;
  }
  programs_before_ = loaded_kflight_programs();
  // Windows of recorders that a test kills, or that have a name which is in use on this machine, are nobody else's.
  windows_ = "/dev/shm/kflight-test-" + std::to_string(getpid());
  setenv("KFLIGHT_WINDOW_DIR", windows_.c_str(), 1);
}

void IntegrationTest::TearDown() {
  if (!IsSkipped()) check_dumps();
  // What the recorder's own sandbox refuses fails with this, and all recorders here run in it.
  for (const auto& child : children_) EXPECT_THAT(child->err(), testing::Not(testing::HasSubstr("ENOSYS")));
  if (HasFailure()) {
    for (const auto& child : children_) GTEST_LOG_(INFO) << child->transcript();
  }
  children_.clear();
  if (geteuid() != 0) return;
  std::error_code ignored;
  std::filesystem::remove_all(windows_, ignored);

  // The kernel frees programs a while after their last reference is gone, never later than this.
  std::set<unsigned> left;
  for (int i = 0; i < 100; ++i) {
    left.clear();
    for (const unsigned id : loaded_kflight_programs()) {
      if (!programs_before_.contains(id)) left.insert(id);
    }
    if (left.empty()) return;
    for (const unsigned id : programs_held_by_processes()) left.erase(id);  // of a recorder that is none of ours
    if (left.empty()) return;
    std::this_thread::sleep_for(100ms);
  }
  ADD_FAILURE() << left.size() << " BPF programs of kflight are still loaded, the first has id " << *left.begin();
}

// An emulator that runs all CPUs on one thread stops a CPU for many milliseconds anywhere, also between the kernel's reading
// of its clock and the event's: the two then disagree on how long a thread ran. Said by scripts/vmtest.sh.
bool IntegrationTest::only_emulation_violates(const std::string& dump) {
  if (std::getenv("KFLIGHT_TEST_EMULATED") == nullptr) return false;
  const Json check = kflight({"check", "--json", dump}).json();
  return std::ranges::none_of(check["invariants"], [](const Json& invariant) {
    return invariant["violations"] != 0 && invariant["name"] != "kernel-times";
  });
}

// Whatever a test is about, its dumps must be consistent. Files that a test made up begin with "foreign".
void IntegrationTest::check_dumps() {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(temp_.path())) {
    const bool foreign = entry.path().filename().string().starts_with("foreign");
    if (!entry.is_regular_file() || entry.path().extension() != ".kfr" || foreign) continue;
    const Output check = kflight({"check", entry.path()});
    const bool excused = check.status == 3 && only_emulation_violates(entry.path());
    EXPECT_TRUE(check.status == 0 || excused) << check.out << check.err;
    if (check.status != 0 && !excused) keep(entry.path());
  }
}

void IntegrationTest::keep(const std::filesystem::path& dump) {
  const char* directory = std::getenv("KFLIGHT_TEST_KEEP");
  if (directory == nullptr) return;
  std::error_code error;
  std::filesystem::copy_file(dump, std::filesystem::path(directory) / dump.filename(), error);
  EXPECT_FALSE(error) << "cannot keep " << dump << " in " << directory << ": " << error.message();
}

Child& IntegrationTest::start(Words command) {
  const std::string stem = temp_ / std::to_string(children_.size());
  children_.push_back(std::make_unique<Child>(std::move(command), stem + ".out", stem + ".err"));
  return *children_.back();
}

Workload IntegrationTest::start_workload(const std::string& name, Words arguments) {
  Words command{workload_path(name), "--wait"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  Child& child = start(std::move(command));
  if (!child.wait_for_line("pid ")) ADD_FAILURE() << "workload " << name << " did not start";
  return Workload(child);
}

Recorder IntegrationTest::start_recorder(Words arguments) {
  const std::string number = std::to_string(++recorders_);
  const std::string directory = temp_ / ("dumps" + number);
  std::filesystem::create_directory(directory);
  const auto flag = std::find(arguments.begin(), arguments.end(), "--name");
  const bool named = flag != arguments.end();
  const std::string name = named ? flag[1] : "test" + std::to_string(getpid()) + "-" + number;
  Words command{kflight_path(), "record", "-o", directory};
  if (!named) command.insert(command.end(), {"--name", name});
  command.insert(command.end(), arguments.begin(), arguments.end());
  Child& child = start(std::move(command));
  if (!child.wait_for_line("ready")) ADD_FAILURE() << "the recorder did not get ready";
  return Recorder(child, name, directory);
}

Output IntegrationTest::run(Words command) {
  Child& child = start(std::move(command));
  child.close_stdin();
  const int status = child.wait();
  return {status, child.out(), child.err()};
}

Output IntegrationTest::kflight(Words arguments) {
  arguments.insert(arguments.begin(), kflight_path());
  return run(std::move(arguments));
}

// $KF_KFLIGHT: another build's, one with a sanitizer.
std::string IntegrationTest::kflight_path() {
  const char* other = std::getenv("KF_KFLIGHT");
  return other ? other : KF_BUILD_DIR "/kflight";
}

std::string IntegrationTest::workload_path(const std::string& name) {
  return KF_BUILD_DIR "/workloads/workload_" + name;
}

// As the descriptors of all processes say, of programs and of links.
std::set<unsigned> programs_held_by_processes() {
  std::set<unsigned> held;
  const std::string mark = "prog_id:";
  std::error_code gone;  // processes and descriptors end while they are looked at
  for (const auto& process : std::filesystem::directory_iterator("/proc", gone)) {
    for (std::filesystem::directory_iterator fd(process.path() / "fdinfo", gone), end; !gone && fd != end;
         fd.increment(gone)) {
      std::ifstream info(fd->path());
      for (std::string line; std::getline(info, line);)
        if (line.starts_with(mark)) held.insert(static_cast<unsigned>(std::stoul(line.substr(mark.size()))));
    }
    gone.clear();
  }
  return held;
}

std::set<unsigned> loaded_kflight_programs() {
  static const std::set<std::string> kNames = kflight_program_names();
  EXPECT_FALSE(kNames.empty()) << "no BPF object to take program names from";
  std::set<unsigned> found;
  for (__u32 id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
    const int fd = bpf_prog_get_fd_by_id(id);
    if (fd < 0) continue;  // gone meanwhile
    bpf_prog_info info{};
    __u32 length = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &length) == 0 && kNames.contains(info.name)) found.insert(id);
    close(fd);
  }
  return found;
}

}  // namespace kflight::test
