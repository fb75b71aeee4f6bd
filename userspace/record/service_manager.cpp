// SPDX-License-Identifier: Apache-2.0
//
// The protocol is a datagram of NAME=VALUE lines to the socket that $NOTIFY_SOCKET names. libsystemd would bring
// nothing more, and has no static library, which the build for old kernels needs.
#include "record/service_manager.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/errors.hpp"
#include "base/log.hpp"

namespace kflight::record {

namespace {

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value ? value : "";
  ::unsetenv(name);
  return text;
}

// "/path", or "@name" for one in the abstract namespace.
UniqueFd connect_to(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() < 2 || path.size() >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@')) {
    errno = EINVAL;
    return {};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), bytes) != 0) return {};
  return fd;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager;
  const std::string path = take_variable("NOTIFY_SOCKET"), period = take_variable("WATCHDOG_USEC"),
                    watched_pid = take_variable("WATCHDOG_PID");
  if (path.empty()) return manager;
  manager.socket_ = connect_to(path);
  if (!manager.socket_)
    log_warn("the service manager cannot be told that recording has begun: $NOTIFY_SOCKET is '{}': {}", path,
             errno_text(errno));
  manager.watched_ = !period.empty() && (watched_pid.empty() || watched_pid == fmt::format("{}", ::getpid()));
  return manager;
}

void ServiceManager::ready() const { tell("READY=1\nSTATUS=recording", 0); }

void ServiceManager::alive() const {
  if (watched_) tell("WATCHDOG=1", MSG_DONTWAIT);
}

void ServiceManager::stopping(std::string_view why) const {
  std::string line(why);
  std::ranges::replace(line, '\n', ' ');
  tell(fmt::format("STOPPING=1\nSTATUS={}", line), MSG_DONTWAIT);
}

void ServiceManager::tell(const std::string& lines, int flags) const {
  if (socket_ && ::send(socket_.get(), lines.data(), lines.size(), MSG_NOSIGNAL | flags) < 0)
    log_debug("the service manager was not told '{}': {}", lines, errno_text(errno));
}

}  // namespace kflight::record
