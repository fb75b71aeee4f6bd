// SPDX-License-Identifier: Apache-2.0
//
// interrupts_test.cpp - a thread that computes is interrupted by packets for somebody else, and explain says so. They are
// a thread's own, over a loopback interface in a network namespace of its own, whose packets another CPU receives
// (receive packet steering). Its twin receives its packets itself: then nobody is interrupted. Whoever is woken by such
// packets was woken by their sender, whom they interrupted or not; over a bridge, too.
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
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

// Datagrams go from one to the other, in the namespace of the calling thread.
struct Sockets {
  UniqueFd to{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)}, from{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  Sockets() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    EXPECT_EQ(bind(to.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(getsockname(to.get(), reinterpret_cast<sockaddr*>(&address), &bytes), 0);
    EXPECT_EQ(connect(from.get(), reinterpret_cast<sockaddr*>(&address), bytes), 0);
  }
};

// To a socket that nobody reads.
void flood(const std::atomic<bool>& stop) {
  const Sockets sockets;
  const char packet[1000] = {};
  while (!stop) (void)!send(sockets.from.get(), packet, sizeof packet, 0);
}

std::uint32_t own_tid() { return static_cast<std::uint32_t>(syscall(SYS_gettid)); }

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
      sender = own_tid();
      possible = pin(kSends) && enter_network(receiving_cpu);
      ready = true;
      if (possible) flood(stop);
    });
    std::thread computes([&] {
      victim = own_tid();
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

class Senders : public RecordTest {
 protected:
  struct Result {
    std::uint64_t wakings = 0, named = 0;  // of the receiver by softirqs; of these with the right sender
    bool possible = true;
  };

  // A thread sends a datagram now and then, another one waits for them, a third one has the CPU that receives them.
  Result record(int receiving_cpu) {
    constexpr int kDatagrams = 50;
    std::atomic<bool> stop = false, ready = false, possible = true;
    std::atomic<std::uint32_t> receiver = 0, sender = 0;
    std::atomic<int> receives_from = -1;
    std::thread sends([&] {
      sender = own_tid();
      possible = pin(kSends) && enter_network(receiving_cpu);
      if (possible) {
        const Sockets sockets;
        receives_from = sockets.to.get();
        while (!ready) std::this_thread::yield();
        for (int i = 0; i < kDatagrams; ++i) {
          std::this_thread::sleep_for(std::chrono::milliseconds(2));
          EXPECT_EQ(send(sockets.from.get(), "x", 1, 0), 1);
        }
        while (!stop) std::this_thread::yield();  // its end closes the sockets
      }
    });
    while (possible && receives_from < 0) std::this_thread::yield();
    Result result{.possible = possible};
    if (possible) {
      std::thread computes([&] {
        pin(kComputes);
        while (!stop) {
        }
      });
      Recorder recorder = start_recorder({"--pid", std::to_string(getpid()), "--no-follow", "--min-age", "60s"});
      std::thread receives([&] {
        receiver = own_tid();
        char byte;
        ready = true;
        for (int i = 0; i < kDatagrams; ++i) EXPECT_EQ(recv(receives_from, &byte, 1, 0), 1);
      });
      receives.join();
      const std::string path = dump_path(recorder);
      EXPECT_EQ(recorder.stop(), 0);
      stop = true;
      computes.join();
      count(result, open_trace(path), receiver, sender);
    }
    stop = true;
    sends.join();
    return result;
  }

  // The same without a third thread, over a bridge: the sender is in a container, so to say, the receiver is on its host.
  Result record_over_bridge() {
    constexpr int kDatagrams = 50;
    std::atomic<int> received = 0, receives_from = -1;
    std::atomic<bool> possible = true, guest_is_there = false, bridge_is_there = false, ready = false;
    std::atomic<std::uint32_t> receiver = 0, sender = 0;
    std::thread sends([&] {
      sender = own_tid();
      possible = unshare(CLONE_NEWNET) == 0;
      guest_is_there = true;
      while (possible && !bridge_is_there) std::this_thread::yield();
      if (!possible || !run("ip address add 10.77.0.1/24 dev inside && ip link set inside up")) return;
      const UniqueFd from(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const sockaddr_in to = host_address();
      while (!ready) std::this_thread::yield();
      while (received < kDatagrams) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        (void)!sendto(from.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
      }
    });
    UniqueFd to;
    std::thread host([&] {
      while (!guest_is_there) std::this_thread::yield();
      possible = possible && unshare(CLONE_NEWNET) == 0 &&
                 run("ip link add bridge0 type bridge && ip address add 10.77.0.254/24 dev bridge0 && "
                     "ip link set bridge0 up && ip link add outside type veth peer name inside netns " +
                     std::to_string(sender) + " && ip link set outside master bridge0 up");
      bridge_is_there = true;
      to = UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const sockaddr_in address = host_address();
      possible = possible && bind(to.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    });
    host.join();
    Result result{.possible = possible};
    if (possible) {
      Recorder recorder = start_recorder({"--pid", std::to_string(getpid()), "--no-follow", "--min-age", "60s"});
      std::thread receives([&] {
        receiver = own_tid();
        char byte;
        ready = true;
        for (; received < kDatagrams; ++received) EXPECT_EQ(recv(to.get(), &byte, 1, 0), 1);
      });
      receives.join();
      const std::string path = dump_path(recorder);
      EXPECT_EQ(recorder.stop(), 0);
      count(result, open_trace(path), receiver, sender);
    }
    received = kDatagrams;
    sends.join();
    return result;
  }

  static bool run(const std::string& commands) {
    return std::system(("PATH=$PATH:/usr/sbin:/sbin; (" + commands + ") 2>/dev/null").c_str()) == 0;
  }
  static sockaddr_in host_address() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(7777);
    inet_pton(AF_INET, "10.77.0.254", &address.sin_addr);
    return address;
  }

  static void count(Result& result, const model::Trace& trace, std::uint32_t receiver, std::uint32_t sender) {
    const model::Timeline& timeline = trace.timeline();
    const model::Thread& thread = timeline.thread(timeline.find_thread(receiver, timeline.end_ns()));
    for (const model::Interval& interval : thread.intervals) {
      if (interval.state != model::State::kBlocked || interval.wake == model::kNone) continue;
      const model::Wake& wake = timeline.wake(interval.wake);
      if (wake.ctx != KF_CTX_SOFTIRQ) continue;
      ++result.wakings;
      const bool named = wake.cause == model::CauseKind::kSent && timeline.thread(wake.cause_ref).tid == sender;
      if (!named) continue;
      ++result.named;
      const auto explained = analyze::explain(trace, timeline.find_thread(receiver, interval.begin_ns),
                                              interval.begin_ns, wake.ts_ns);
      for (const analyze::Leaf& leaf : explained.leaves) EXPECT_EQ(timeline.thread(leaf.thread).tid, sender);
    }
  }
};

TEST_F(Senders, AreNamedWhicheverThreadTheirPacketsInterrupt) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one CPU only: sender and receiver must have their own";
  for (const int receiving_cpu : {kComputes, kSends}) {
    const Result result = record(receiving_cpu);
    if (!result.possible) GTEST_SKIP() << "no network namespaces, or no receive packet steering here";
    EXPECT_GT(result.wakings, 10u) << receiving_cpu;
    EXPECT_EQ(result.named, result.wakings) << receiving_cpu;
  }
}

TEST_F(Senders, AreNamedAcrossABridge) {
  const Result result = record_over_bridge();
  if (!result.possible) GTEST_SKIP() << "no network namespaces, no bridges or no ip(8) here";
  EXPECT_GT(result.wakings, 10u);
  EXPECT_GE(result.named + 5, result.wakings);  // the first ones had to wait until the host's address was known
}

}  // namespace
}  // namespace kflight::test
