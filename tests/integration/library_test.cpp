// SPDX-License-Identifier: Apache-2.0
//
// The library without the program around it: what may be asked of a FlightRecorder from where, and that one that is
// started again remembers nothing. This process is the target.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "integration/harness.hpp"
#include "kflight/flight_recorder.hpp"

namespace kflight::test {
namespace {

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

// Whose rings overflow when wanted, because its thread is kept from emptying them.
class LossyRecorder {
 public:
  explicit LossyRecorder(FlightRecorderConfig config) : recorder_(with_heartbeat(std::move(config))) {}
  FlightRecorder& operator*() { return recorder_; }
  FlightRecorder* operator->() { return &recorder_; }

  void lose_events() {
    hold_ = true;
    while (!held_) std::this_thread::yield();
    make_calls(200'000);
    hold_ = false;
    while (recorder_.stats().losses.ring_events == 0) make_calls(1'000);  // until a chunk behind the hole comes
  }

 private:
  static void make_calls(int n) {
    for (int i = 0; i < n; ++i) syscall(SYS_getppid);
  }
  FlightRecorderConfig with_heartbeat(FlightRecorderConfig config) {
    config.on_heartbeat = [this] {
      held_ = hold_.load();
      while (hold_) std::this_thread::yield();
      held_ = false;
    };
    return config;
  }

  std::atomic<bool> hold_ = false, held_ = false;
  FlightRecorder recorder_;
};

TEST_F(Library, RunAfterALossyOne_CountsItsOwnLosses) {
  FlightRecorderConfig config = of_this_process();
  config.probes.syscalls = Syscalls::kAll;
  config.ring_bytes = 64 << 10;
  LossyRecorder recorder(config);
  start(*recorder);
  recorder.lose_events();
  const RecorderStats first = recorder->stats();
  recorder->stop();

  start(*recorder);
  EXPECT_LT(recorder->stats().losses.ring_events, first.losses.ring_events);
  EXPECT_LT(recorder->stats().events_seen, first.events_seen);
  recorder.lose_events();
  recorder->stop();
}

}  // namespace
}  // namespace kflight::test
