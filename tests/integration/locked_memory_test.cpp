// SPDX-License-Identifier: Apache-2.0
//
// A target whose address space is locked for as long as the test wants: somebody reads a page of it that a file system (this
// test) does not give, and holds its mmap_lock meanwhile; a thread of the target that maps memory queues for writing; behind
// that one nobody gets the lock. That is the stall to be shown, so a dump is written, and the recorder ends.
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/unique_fd.hpp"
#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

// A file of one page, which nobody gets to read before give(). No signal ends the wait for it, only the file system's end,
// which comes with this process as long as no other one keeps the device.
class WithheldFile {
 public:
  static constexpr std::size_t kBytes = 4096;

  explicit WithheldFile(const std::string& path)
      : device_(::open("/dev/fuse", O_RDWR | O_CLOEXEC)) {
    std::ofstream{path};
    const std::string options = "fd=" + std::to_string(device_.get()) + ",rootmode=100444,user_id=0,group_id=0";
    if (!device_ || ::mount("kflight-test", path.c_str(), "fuse", MS_RDONLY, options.c_str()) != 0) return;
    server_ = std::thread([this] { serve(); });
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ::umount2(path.c_str(), MNT_DETACH);  // nothing stays, whatever becomes of this test
    struct stat size{};  // asks for it, as nobody can map what is said to be empty
    if (!file || ::fstat(file.get(), &size) != 0) return;
    void* at = ::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (at != MAP_FAILED) address_ = at;
  }
  // When nobody has it mapped any more: then the file system ends, and the server with it.
  ~WithheldFile() {
    give();
    if (address_ != nullptr) ::munmap(address_, kBytes);
    if (server_.joinable()) server_.join();
  }
  bool exists() const { return address_ != nullptr; }
  const void* address() const { return address_; }
  void leave_to_parent() { device_.reset(); }  // in a child
  void wait_until_asked_for() const { asked_for_.wait(0); }
  void give() {
    given_ = true;
    if (const std::uint64_t request = asked_for_) answer(request, page_, kBytes);
  }

 private:
  void answer(std::uint64_t request, const void* body, std::size_t bytes, int error = 0) const {
    std::vector<char> message(sizeof(fuse_out_header) + bytes);
    const fuse_out_header head{.len = static_cast<std::uint32_t>(message.size()), .error = -error, .unique = request};
    std::memcpy(message.data(), &head, sizeof head);
    if (bytes != 0) std::memcpy(message.data() + sizeof head, body, bytes);
    const bool taken = ::write(device_.get(), message.data(), message.size()) >= 0;
    EXPECT_TRUE(taken || errno == ENOENT) << errno;  // answered already
  }
  void serve() {
    std::vector<char> message(1 << 20);
    while (::read(device_.get(), message.data(), message.size()) > 0) {
      fuse_in_header request;
      std::memcpy(&request, message.data(), sizeof request);
      on_request(request);
    }
  }
  void on_request(const fuse_in_header& request) {
    const fuse_init_out init{.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = kBytes};
    const fuse_attr_out attributes{.attr = {.ino = 1, .size = kBytes, .mode = S_IFREG | 0444, .nlink = 1}};
    const fuse_open_out opened{};
    switch (request.opcode) {
      case FUSE_INIT: return answer(request.unique, &init, sizeof init);
      case FUSE_GETATTR: return answer(request.unique, &attributes, sizeof attributes);
      case FUSE_OPEN: return answer(request.unique, &opened, sizeof opened);
      case FUSE_READ:
        asked_for_ = request.unique;
        asked_for_.notify_all();
        if (given_) answer(request.unique, page_, kBytes);
        return;
      case FUSE_FORGET: case FUSE_BATCH_FORGET: case FUSE_INTERRUPT: return;  // no answer is expected
      default: return answer(request.unique, nullptr, 0, ENOSYS);
    }
  }

  UniqueFd device_;
  void* address_ = nullptr;
  std::atomic<bool> given_ = false;
  std::atomic<std::uint64_t> asked_for_ = 0;
  const char page_[kBytes] = {};
  std::thread server_;
};

// In the child, whose code returns nowhere.
template <class Code>
pid_t fork_for(WithheldFile& file, Code code) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  file.leave_to_parent();
  code();
  _exit(0);
}

// A process with two threads. The one sleeps in a read, and after a word in another one; the other maps memory after a word.
class Target {
 public:
  explicit Target(WithheldFile& file) {
    for (auto& pipe : pipes_) EXPECT_EQ(pipe2(pipe, O_CLOEXEC), 0);
    pid_ = fork_for(file, [this] { live(); });
  }
  ~Target() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    for (auto& pipe : pipes_) close(pipe[0]), close(pipe[1]);
  }
  pid_t pid() const { return pid_; }
  pid_t sleeper() const { return sleeper_; }
  void read_again() { say(0); }
  void map_memory() { say(1); }
  // As the kernel says it: 'S' for a sleep, 'D' for one that no signal ends.
  void wait_until(char wanted, pid_t tid) const {
    for (std::string line; line.empty() || line[line.rfind(')') + 2] != wanted; std::this_thread::yield()) {
      std::ifstream stat("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(tid) + "/stat");
      std::getline(stat, line);
    }
  }
  void wait_for_sleeper() { EXPECT_EQ(read(pipes_[2][0], &sleeper_, sizeof sleeper_), ssize_t{sizeof sleeper_}); }

 private:
  void say(std::size_t pipe) const { EXPECT_EQ(write(pipes_[pipe][1], "x", 1), 1); }
  void await(std::size_t pipe) const {
    char byte;
    if (read(pipes_[pipe][0], &byte, 1) != 1) _exit(1);
  }
  [[noreturn]] void live() const {
    std::thread sleeper([this] {
      const pid_t tid = gettid();
      if (write(pipes_[2][1], &tid, sizeof tid) != sizeof tid) _exit(1);
      await(0);
      await(0);
    });
    await(1);
    mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (;;) pause();
  }

  int pipes_[3][2] = {};
  pid_t pid_ = -1, sleeper_ = 0;
};

// Reads the withheld page of another process: 0 is its exit status when it was given.
class Holder {
 public:
  Holder(WithheldFile& file, pid_t of) {
    pid_ = fork_for(file, [&file, of] {
      const int memory = ::open(("/proc/" + std::to_string(of) + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
      char page[WithheldFile::kBytes];
      if (::pread(memory, page, sizeof page, reinterpret_cast<off_t>(file.address())) != ssize_t{sizeof page}) _exit(1);
    });
  }
  bool holds() const { return waitpid(pid_, nullptr, WNOHANG) == 0; }
  int wait() const {
    int status = -1;
    return waitpid(pid_, &status, 0) == pid_ ? status : -1;
  }

 private:
  pid_t pid_ = -1;
};

class LockedMemory : public RecordTest {
 protected:
  static const kf_base_stack* wait_of(const Dump& dump, pid_t tid) {
    const auto found = std::ranges::find(dump.base_stacks(), static_cast<std::uint32_t>(tid), &kf_base_stack::tid);
    return found == dump.base_stacks().end() ? nullptr : &*found;
  }
};

TEST_F(LockedMemory, ADumpIsWrittenAndTheRecorderEndsBeforeTheLockIsReleased) {
  WithheldFile file(temp() / "withheld");
  if (!file.exists()) GTEST_SKIP() << "no FUSE here";
  Target target(file);
  target.wait_for_sleeper();
  target.wait_until('S', target.sleeper());
  Recorder recorder = start_recorder({"--pid", std::to_string(target.pid()), "--syscalls", "slow", "--stack-wait", "1ms"});
  target.read_again();
  // until it has been asleep for so long that its stacks would be told, and both were read, however slow the machine is
  const auto is_known = [&](const Dump& dump) {
    const kf_base_stack* stack = wait_of(dump, target.sleeper());
    return stack != nullptr && stack->kernel != 0 && stack->user != 0;
  };
  while (!is_known(dump_now(recorder)) && recorder.child().running()) {
  }

  const Holder holder(file, target.pid());
  file.wait_until_asked_for();
  target.map_memory();
  target.wait_until('D', target.pid());

  const Dump meanwhile = open_dump(dump_path(recorder));
  EXPECT_TRUE(meanwhile.complete());
  const kf_base_stack* stack = wait_of(meanwhile, target.sleeper());
  EXPECT_TRUE(stack != nullptr && stack->kernel != 0 && stack->user == 0) << "its memory cannot be read, its kernel stack can";
  EXPECT_EQ(status_of(recorder)["name"], recorder.name());
  EXPECT_EQ(recorder.stop(), 0);
  EXPECT_TRUE(holder.holds()) << "all the time";
  file.give();
  EXPECT_EQ(holder.wait(), 0);
}

}  // namespace
}  // namespace kflight::test
