// SPDX-License-Identifier: Apache-2.0
//
// The library without the program around it: what may be asked of a FlightRecorder from where, and that one that is
// started again remembers nothing.
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "integration/harness.hpp"
#include "kflight/flight_recorder.hpp"

namespace kflight::test {
namespace {

using namespace std::chrono_literals;

class Library : public IntegrationTest {
 protected:
  static FlightRecorderConfig of_this_process() {
    FlightRecorderConfig config;
    config.target.pids = {static_cast<std::uint32_t>(getpid())};
    return config;
  }
  static void start(FlightRecorder& recorder) {
    const auto started = recorder.start();
    ASSERT_TRUE(started) << started.error().what;
  }
};

// The consumer's thread ends only when its callback has returned.
TEST_F(Library, CallbackAsksWhileTheRecorderStops) {
  std::atomic<FlightRecorder*> asked = nullptr;
  std::atomic<bool> in_callback = false;
  FlightRecorderConfig config = of_this_process();
  config.on_heartbeat = [&] {
    in_callback = true;
    FlightRecorder* recorder = nullptr;
    while ((recorder = asked.load()) == nullptr) std::this_thread::yield();
    while (recorder->enabled()) std::this_thread::yield();  // stop() is under way
    EXPECT_EQ(recorder->stats().targets_alive, 0u);
    EXPECT_TRUE(recorder->missing_features().empty());
  };
  FlightRecorder recorder(config);
  start(recorder);
  while (!in_callback) std::this_thread::yield();
  asked = &recorder;
  recorder.stop();
  EXPECT_FALSE(recorder.enabled());
}

// A process that does nothing but calls, while it is let. (The calls of the process that records are never recorded.)
class Caller {
 public:
  Caller() : pid_(fork()) {
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      raise(SIGSTOP);
      for (;;) syscall(SYS_getppid);
    }
    waitpid(pid_, nullptr, WUNTRACED);
  }
  ~Caller() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }
  void go() const { kill(pid_, SIGCONT); }
  void stop() const {
    kill(pid_, SIGSTOP);
    waitpid(pid_, nullptr, WUNTRACED);
  }

 private:
  const pid_t pid_;
};

// Its rings overflow when that is wanted, because the thread that should empty them is kept in a callback.
class LossyRecorder {
 public:
  LossyRecorder() : recorder_(config()) {}
  FlightRecorder& operator*() { return recorder_; }

  void lose_events() {
    caller_.go();
    while (recorder_.stats().losses.ring_events == 0) {
      hold_ = true;
      while (!held_) std::this_thread::yield();
      std::this_thread::sleep_for(50ms);
      hold_ = false;
      while (held_) std::this_thread::yield();
      std::this_thread::sleep_for(50ms);  // for a chunk from behind the hole
    }
    caller_.stop();
  }

 private:
  FlightRecorderConfig config() {
    FlightRecorderConfig config;
    config.target.pids = {caller_.pid()};
    config.probes.syscalls = Syscalls::kAll;
    config.ring_bytes = 64 << 10;
    config.on_heartbeat = [this] {
      held_ = hold_.load();
      while (hold_) std::this_thread::yield();
      held_ = false;
    };
    return config;
  }

  Caller caller_;
  std::atomic<bool> hold_ = false, held_ = false;
  FlightRecorder recorder_;
};

TEST_F(Library, RunAfterALossyOne_CountsItsOwnLosses) {
  LossyRecorder recorder;
  start(*recorder);
  recorder.lose_events();
  const RecorderStats first = (*recorder).stats();
  (*recorder).stop();

  start(*recorder);
  EXPECT_LT((*recorder).stats().losses.ring_events, first.losses.ring_events);
  EXPECT_LT((*recorder).stats().events_seen, first.events_seen);
  recorder.lose_events();
  (*recorder).stop();
}

}  // namespace
}  // namespace kflight::test
