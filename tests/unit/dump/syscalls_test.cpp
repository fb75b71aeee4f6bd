// SPDX-License-Identifier: Apache-2.0
//
// syscalls_test.cpp - the syscall table against the kernel's own headers, and how calls and results read.
#include "dump/syscalls.hpp"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "dump/errno_names.hpp"
#include "dump/syscall_table.hpp"

namespace kflight::dump {
namespace {

using Numbers = std::map<std::string, unsigned>;

// "#define __NR_name 12" of a kernel header; empty when the header is not installed.
Numbers numbers_in(const char* path) {
  static const std::regex kLine(R"(#define __NR(?:3264)?_(\w+)\s+(\d+)\s*)");
  Numbers numbers;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (std::smatch match; std::regex_match(line, match, kLine)) numbers[match[1]] = std::stoul(match[2]);
  return numbers;
}

Numbers numbers_in_table(std::uint16_t SyscallRow::*column) {
  Numbers numbers;
  for (const auto& row : kSyscallRows)
    if (row.*column != kNo) numbers[std::string(row.name)] = row.*column;
  return numbers;
}

std::uint32_t nr(std::string_view name) { return syscall_nr(name).value(); }

TEST(SyscallTable, AgreesWithTheHeaderOfX86) {
  const auto header = numbers_in("/usr/include/x86_64-linux-gnu/asm/unistd_64.h");
  if (header.empty()) GTEST_SKIP() << "no unistd_64.h on this machine";
  const auto table = numbers_in_table(&SyscallRow::x86_64);
  for (const auto& [name, number] : header) {
    ASSERT_TRUE(table.contains(name)) << name;
    EXPECT_EQ(table.at(name), number) << name;
  }
}

TEST(SyscallTable, AgreesWithTheGenericHeader) {
  const auto header = numbers_in("/usr/include/asm-generic/unistd.h");
  if (header.empty()) GTEST_SKIP() << "no asm-generic/unistd.h on this machine";
  for (const auto& [name, number] : numbers_in_table(&SyscallRow::generic))
    if (header.contains(name)) {
      EXPECT_EQ(header.at(name), number) << name;
    }
}

TEST(SyscallTable, HasEachNumberOnce) {
  for (const auto column : {&SyscallRow::x86_64, &SyscallRow::generic}) {
    std::set<unsigned> seen;
    for (const auto& row : kSyscallRows)
      if (row.*column != kNo) {
        EXPECT_TRUE(seen.insert(row.*column).second) << row.name;
      }
  }
}

TEST(SyscallTable, ExplicitKindsExist) {
  const std::set<std::string> kinds = {"int",   "fd",   "pid", "size", "len",   "count",  "long",     "hex",
                                       "flags", "mode", "ms",  "sig",  "clock", "whence", "epoll_op", "futex_op"};
  static const std::regex kWord(R"(\*\w+|\w+(?::(\w+))?)");
  for (const auto& row : kSyscallRows) {
    const std::string words(row.arguments);
    for (std::sregex_iterator it(words.begin(), words.end(), kWord), end; it != end; ++it)
      if ((*it)[1].matched) {
        EXPECT_TRUE(kinds.contains((*it)[1])) << row.name << ": " << it->str();
      }
    EXPECT_LE(std::count(words.begin(), words.end(), ' '), 5) << row.name;
  }
}

TEST(Syscalls, NumbersAndNamesGoBothWays) {
  EXPECT_EQ(syscall_name(nr("fsync")), "fsync");
  EXPECT_EQ(syscall_name(nr("file_setattr")), "file_setattr");
  EXPECT_FALSE(syscall_nr("fsyncc"));
  EXPECT_FALSE(syscall_nr(""));
  EXPECT_EQ(syscall_name(999), "syscall_999");
  EXPECT_EQ(syscall_name(4000000000u), "syscall_4000000000");
}

TEST(Syscalls, OtherAbisAreMarked) {
  EXPECT_EQ(syscall_name(nr("read"), KF_ABI_X32), "x32:read");
  EXPECT_EQ(syscall_name(118, KF_ABI_COMPAT), "compat:syscall_118");
}

TEST(Syscalls, SuggestsTheNearestName) {
  EXPECT_EQ(nearest_syscall("fsnyc"), "fsync");
  EXPECT_EQ(nearest_syscall("pwrite46"), "pwrite64");
  EXPECT_EQ(nearest_syscall("Epoll_wait"), "epoll_wait");
  EXPECT_EQ(nearest_syscall("quite_another_thing"), "");
}

TEST(Syscalls, ClassifiesArgumentsWorthKeeping) {
  EXPECT_EQ(args_class(nr("getpid")), KF_ARGS_NONE);
  EXPECT_EQ(args_class(nr("fsync")), KF_ARGS_0);
  EXPECT_EQ(args_class(nr("recvfrom")), KF_ARGS_0);
  EXPECT_EQ(args_class(nr("ppoll")), KF_ARGS_0123);
  EXPECT_EQ(args_class(nr("clock_nanosleep")), KF_ARGS_012);
  EXPECT_EQ(args_class(nr("futex")), KF_ARGS_0123);
  EXPECT_EQ(args_class(511), KF_ARGS_0);
}

TEST(Syscalls, KnowsWhichCallsWaitByPurpose) {
  for (const auto* name : {"epoll_pwait", "ppoll", "pselect6", "accept4", "nanosleep", "wait4", "io_uring_enter"})
    EXPECT_TRUE(expected_to_block(nr(name))) << name;
  for (const auto* name : {"read", "recvfrom", "fsync", "futex", "flock", "semtimedop"})
    EXPECT_FALSE(expected_to_block(nr(name))) << name;
  EXPECT_FALSE(expected_to_block(4096));
}

TEST(Syscalls, TellsTimedFutexWaits) {
  constexpr std::uint64_t kWait = 0, kWake = 1, kLockPi = 6, kWaitBitsetPrivateRealtime = 9 | 128 | 256;
  const auto timed = [](std::string_view name, std::vector<std::uint64_t> args) {
    return timed_futex_wait(nr(name), args);
  };
  EXPECT_TRUE(timed("futex", {0x1000, kWait, 2, 0x7ffe}));
  EXPECT_TRUE(timed("futex", {0x1000, kWaitBitsetPrivateRealtime, 2, 0x7ffe, 0, 0xffffffff}));
  EXPECT_FALSE(timed("futex", {0x1000, kWait, 2, 0}));
  EXPECT_FALSE(timed("futex", {0x1000, kWake, 1, 0x7ffe}));
  EXPECT_FALSE(timed("futex", {0x1000, kLockPi, 0, 0x7ffe}));
  EXPECT_FALSE(timed("futex", {0x1000, kWait, 2}));
  EXPECT_TRUE(timed("futex_wait", {0x1000, 2, 0xffffffff, 0, 0x7ffe, 1}));
  EXPECT_FALSE(timed("futex_wait", {0x1000, 2, 0xffffffff, 0, 0, 1}));
  EXPECT_TRUE(timed("futex_waitv", {0x1000, 2, 0, 0x7ffe, 1}));
  EXPECT_FALSE(timed("read", {0x1000, kWait, 2, 0x7ffe}));
}

struct CallCase {
  std::string_view call;
  std::vector<std::uint64_t> args;
  std::string_view text;
};

class DescribeCall : public testing::TestWithParam<CallCase> {};

TEST_P(DescribeCall, ReadsLikeStrace) {
  EXPECT_EQ(describe_call(nr(GetParam().call), KF_ABI_NATIVE, GetParam().args), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    Calls, DescribeCall,
    testing::Values(
        CallCase{"fsync", {7, 0xdead, 0xbeef, 1, 2, 3}, "fsync(fd=7)"},
        CallCase{"getpid", {1, 2, 3, 4, 5, 6}, "getpid()"},
        CallCase{"read", {0xffffffff, 0x7f00, 4096}, "read(fd=-1, buf=0x7f00, count=4096)"},
        CallCase{"read", {3}, "read(fd=3, ...)"}, CallCase{"read", {}, "read(...)"},
        CallCase{"openat",
                 {0xffffff9c, 0x7f00, 0x80000, 0644},
                 "openat(dirfd=AT_FDCWD, path=0x7f00, flags=0x80000, mode=0644)"},
        CallCase{"futex", {0x7f00, 128, 2, 0, 9, 9}, "futex(uaddr=0x7f00, FUTEX_WAIT_PRIVATE, val=2, timeout=0x0)"},
        CallCase{"futex", {0x7f00, 129, 1, 9, 9, 9}, "futex(uaddr=0x7f00, FUTEX_WAKE_PRIVATE, val=1)"},
        CallCase{
            "futex", {0x7f00, 99, 1, 0, 0, 0}, "futex(uaddr=0x7f00, op=99, val=1, timeout=0x0, uaddr2=0x0, val3=0)"},
        CallCase{
            "epoll_wait", {4, 0x7f00, 64, 0xffffffff}, "epoll_wait(epfd=4, events=0x7f00, maxevents=64, timeout=-1)"},
        CallCase{"epoll_wait", {4, 0x7f00, 64, 500}, "epoll_wait(epfd=4, events=0x7f00, maxevents=64, timeout=500ms)"},
        CallCase{"kill", {12, 9}, "kill(pid=12, SIGKILL)"}, CallCase{"kill", {12, 40}, "kill(pid=12, sig=40)"},
        CallCase{"lseek", {3, ~0ull, 2}, "lseek(fd=3, offset=-1, SEEK_END)"},
        CallCase{"clock_nanosleep",
                 {1, 0, 0x7f00, 0},
                 "clock_nanosleep(CLOCK_MONOTONIC, flags=0, request=0x7f00, remain=0x0)"}));

TEST(Describe, UnknownCallsShowWhatIsKnown) {
  const std::array<std::uint64_t, 2> args = {1, 0xff};
  EXPECT_EQ(describe_call(999, KF_ABI_NATIVE, args), "syscall_999(0x1, 0xff, ...)");
  EXPECT_EQ(describe_call(4, KF_ABI_COMPAT, {}), "compat:syscall_4(...)");
}

TEST(Describe, AnEventsCallShowsOnlyWhatWasTaken) {
  kf_sys sys{.nr = nr("futex"), .abi = KF_ABI_NATIVE, .args_taken = KF_ARGS_0123, .args = {0x7f0012345678, 128, 2, 0}};
  EXPECT_EQ(describe_call(sys), "futex(uaddr=0x7f0012345678, FUTEX_WAIT_PRIVATE, val=2, timeout=0x0)");
  sys = {.nr = nr("connect"), .abi = KF_ABI_NATIVE, .args_taken = KF_ARGS_012, .args = {5, 0x1234, 16, 0}};
  EXPECT_EQ(describe_call(sys), "connect(fd=5, addr=0x..00001234, addrlen=16)");
  sys = {.nr = nr("write"), .abi = KF_ABI_NATIVE, .args_taken = KF_ARGS_NONE, .args = {}};
  EXPECT_EQ(describe_call(sys), "write(...)");
}

TEST(Describe, Results) {
  EXPECT_EQ(describe_result(nr("read"), 0), "= 0");
  EXPECT_EQ(describe_result(nr("read"), -11), "= -1 EAGAIN");
  EXPECT_EQ(describe_result(nr("read"), -4095), "= -1 errno 4095");
  EXPECT_EQ(describe_result(nr("nanosleep"), -516), "= ? ERESTART_RESTARTBLOCK (interrupted)");
  EXPECT_EQ(describe_result(nr("read"), -512), "= ? ERESTARTSYS (interrupted)");
  EXPECT_EQ(describe_result(nr("mmap"), 0x7f0000001000), "= 0x7f0000001000");
  EXPECT_EQ(describe_result(nr("mmap"), -12), "= -1 ENOMEM");
}

TEST(Errno, NamesAndNumbersGoBothWays) {
  EXPECT_EQ(errno_nr("EAGAIN"), 11u);
  EXPECT_EQ(errno_nr("EWOULDBLOCK"), 11u);
  EXPECT_EQ(errno_name(11), "EAGAIN");
  EXPECT_EQ(errno_name(4000), "errno 4000");
  EXPECT_EQ(errno_nr("EAGIN"), std::nullopt);
  EXPECT_EQ(nearest_errno("EAGIN"), "EAGAIN");
}

}  // namespace
}  // namespace kflight::dump
