// SPDX-License-Identifier: Apache-2.0
//
// window_keeper.hpp - a thread that saves the recorder's state beside a window that is to outlive it, about once a second
// and never for more than half a percent of a CPU. When saving fails it says so once and goes on trying: the window of
// old state is better than none.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "base/mutex.hpp"
#include "kflight/result.hpp"

namespace kflight::record {

class WindowKeeper {
 public:
  using Save = std::function<Result<>()>;

  // `save` is called on the keeper's thread until the keeper is destroyed, `on_start` first, once.
  explicit WindowKeeper(Save save, std::function<void()> on_start = {});
  ~WindowKeeper();
  WindowKeeper(const WindowKeeper&) = delete;
  WindowKeeper& operator=(const WindowKeeper&) = delete;

 private:
  void run();
  bool sleep_for(std::chrono::nanoseconds time) KF_EXCLUDES(mutex_);  // false: it is time to end

  Save save_;
  std::function<void()> on_start_;
  Mutex mutex_;
  CondVar woken_;
  bool ending_ KF_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kflight::record
