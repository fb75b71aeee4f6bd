// SPDX-License-Identifier: Apache-2.0
//
// control_mailbox.hpp - how replies reach the thread that serves the control socket: a locked list and an eventfd to
// wake it. Shared by the server and every reply that is still owed.
#pragma once

#include <sys/eventfd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.hpp"
#include "base/unique_fd.hpp"

namespace kflight::record {

class ControlMailbox {
 public:
  struct Letter {
    std::uint64_t client;
    std::string line;
  };

  ControlMailbox() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  bool usable() const noexcept { return static_cast<bool>(wake_); }
  int wake_fd() const noexcept { return wake_.get(); }

  void post(Letter letter) KF_EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      letters_.push_back(std::move(letter));
    }
    ::eventfd_write(wake_.get(), 1);
  }
  void close() KF_EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      closing_ = true;
    }
    ::eventfd_write(wake_.get(), 1);
  }

  // The serving thread only.
  std::vector<Letter> collect() KF_EXCLUDES(mutex_) {
    eventfd_t ignored;
    ::eventfd_read(wake_.get(), &ignored);
    MutexLock lock(mutex_);
    return std::exchange(letters_, {});
  }
  bool closing() const KF_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return closing_;
  }

 private:
  UniqueFd wake_;
  mutable Mutex mutex_;
  std::vector<Letter> letters_ KF_GUARDED_BY(mutex_);
  bool closing_ KF_GUARDED_BY(mutex_) = false;
};

}  // namespace kflight::record
