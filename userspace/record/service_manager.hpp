// SPDX-License-Identifier: Apache-2.0
//
// service_manager.hpp - tells systemd (or whoever speaks sd_notify(3)) that recording has begun, goes on, and ends.
// Only ready() waits for whoever listens; the other messages are not sent when they cannot be delivered at once.
#pragma once

#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace kflight::record {

class ServiceManager {
 public:
  // Reads NOTIFY_SOCKET and WATCHDOG_USEC, and removes them: they are not for a command that the recorder starts. Does
  // nothing later when nobody asked to be told. Before other threads start.
  static ServiceManager from_environment();

  void ready() const;                         // READY=1
  void alive() const;                         // WATCHDOG=1, when somebody watches; any thread
  void stopping(std::string_view why) const;  // STOPPING=1

 private:
  void tell(const std::string& lines, int flags) const;

  UniqueFd socket_;
  bool watched_ = false;
};

}  // namespace kflight::record
