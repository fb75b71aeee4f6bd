// SPDX-License-Identifier: Apache-2.0
//
// interrupts_test.cpp - a thread that computes is interrupted by packets for somebody else, and explain says so. They are
// a thread's own, over a loopback interface in a network namespace of its own, whose packets another CPU receives
// (receive packet steering). Its twin receives its packets itself: then nobody is interrupted.
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "analyze/explain.hpp"
#include "base/unique_fd.hpp"
#include "integration/dump_facts.hpp"
#include "integration/oracle.hpp"

namespace kflight::test {
namespace {

constexpr int kComputes = 0, kSends = 1;  // CPUs

bool pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

// Of the calling thread only, and gone with it: a namespace with a loopback interface that is up, and its packets received
// by that CPU. False where this is not possible.
bool enter_network(int receiving_cpu) {
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return false;
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  if (mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) return false;
  std::ofstream steering("/sys/class/net/lo/queues/rx-0/rps_cpus");
  steering << std::hex << (1u << receiving_cpu) << std::endl;
  const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  std::snprintf(loopback.ifr_name, sizeof loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP | IFF_RUNNING;
  return steering.good() && ioctl(any.get(), SIOCSIFFLAGS, &loopback) == 0;
}

// Datagrams to a socket that nobody reads.
void flood(const std::atomic<bool>& stop) {
  const UniqueFd to(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), from(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  bind(to.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  getsockname(to.get(), reinterpret_cast<sockaddr*>(&address), &bytes);
  connect(from.get(), reinterpret_cast<sockaddr*>(&address), bytes);
  const char packet[1000] = {};
  while (!stop) (void)!send(from.get(), packet, sizeof packet, 0);
}

class Interrupts : public RecordTest {
 protected:
  struct Result {
    double victim = 0, sender = 0;  // share of their time that softirqs for the network interrupted
    bool possible = true;
  };

  Result share_of_packets(int receiving_cpu) {
    std::atomic<bool> stop = false, ready = false, possible = true;
    std::atomic<std::uint32_t> victim = 0, sender = 0;
    std::thread sends([&] {
      sender = static_cast<std::uint32_t>(syscall(SYS_gettid));
      possible = pin(kSends) && enter_network(receiving_cpu);
      ready = true;
      if (possible) flood(stop);
    });
    std::thread computes([&] {
      victim = static_cast<std::uint32_t>(syscall(SYS_gettid));
      pin(kComputes);
      while (!stop) {
      }
    });
    while (!ready || victim == 0) std::this_thread::yield();
    Result result{.possible = possible};
    if (possible) {
      Recorder recorder = start_recorder({"--pid", std::to_string(getpid()), "--no-follow", "--min-age", "60s"});
      std::this_thread::sleep_for(std::chrono::milliseconds(600));
      const model::Trace trace = open_trace(dump_path(recorder));
      EXPECT_EQ(recorder.stop(), 0);
      result.victim = share(trace, victim);
      result.sender = share(trace, sender);
    }
    stop = true;
    sends.join();
    computes.join();
    return result;
  }

  static double share(const model::Trace& trace, std::uint32_t tid) {
    const model::Timeline& timeline = trace.timeline();
    const std::uint64_t begin_ns = timeline.begin_ns() + (timeline.end_ns() - timeline.begin_ns()) / 2;
    const auto explanation =
        analyze::explain(trace, timeline.find_thread(tid, begin_ns), begin_ns, timeline.end_ns());
    constexpr std::uint32_t kNetRx = analyze::kTookCpu | KF_CAUSE_SOFTIRQ << 16 | 3;
    std::uint64_t taken_ns = 0;
    for (const analyze::Leaf& leaf : explanation.leaves)
      if (leaf.category == analyze::Category::kIrq && leaf.who.id == kNetRx) taken_ns += leaf.length_ns();
    return static_cast<double>(taken_ns) / static_cast<double>(explanation.length_ns());
  }
};

TEST_F(Interrupts, PacketsForOthersInterruptAThread_ItsTwinIsLeftAlone) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one CPU only: sender and receiver must have their own";
  const Result storm = share_of_packets(kComputes);
  if (!storm.possible) GTEST_SKIP() << "no network namespaces, or no receive packet steering here";
  const Result twin = share_of_packets(kSends);
  SCOPED_TRACE(testing::Message() << "interrupted: victim " << storm.victim << ", its twin " << twin.victim
                                  << ", senders " << storm.sender << " and " << twin.sender);
  EXPECT_GT(storm.victim, 0.02);
  EXPECT_LT(twin.victim, storm.victim / 5);
  // What it sends itself is its own work, whichever CPU receives it.
  EXPECT_LT(storm.sender, storm.victim / 5);
  EXPECT_LT(twin.sender, storm.victim / 5);
}

}  // namespace
}  // namespace kflight::test
