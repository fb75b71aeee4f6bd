// SPDX-License-Identifier: Apache-2.0
//
// inbox.hpp - how other threads tell the session's loop what happened: closures in a locked list, and an eventfd for the
// loop's poll. They run on the loop's thread, so the session's state needs no lock.
#pragma once

#include <sys/eventfd.h>

#include <functional>
#include <utility>
#include <vector>

#include "base/mutex.hpp"
#include "base/unique_fd.hpp"

namespace kflight::record {

class Inbox {
 public:
  using Message = std::function<void()>;

  Inbox() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  int fd() const noexcept { return wake_.get(); }

  // Any thread.
  void post(Message message) KF_EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      messages_.push_back(std::move(message));
    }
    ::eventfd_write(wake_.get(), 1);
  }

  // The loop's thread: runs all messages that have come.
  void run() KF_EXCLUDES(mutex_) {
    eventfd_t ignored;
    ::eventfd_read(wake_.get(), &ignored);
    std::vector<Message> messages;
    {
      MutexLock lock(mutex_);
      messages.swap(messages_);
    }
    for (const Message& message : messages) message();
  }

 private:
  UniqueFd wake_;
  Mutex mutex_;
  std::vector<Message> messages_ KF_GUARDED_BY(mutex_);
};

}  // namespace kflight::record
