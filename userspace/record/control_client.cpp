// SPDX-License-Identifier: Apache-2.0
#include "record/control_client.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/errors.hpp"
#include "base/unique_fd.hpp"
#include "base/units.hpp"
#include "record/recorder_name.hpp"

namespace kflight::record {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kLongestReply = 16 << 20;

class Request {
 public:
  Request(const std::string& name, std::chrono::milliseconds timeout)
      : name_(name), path_(control_socket_path(name)), timeout_(timeout), deadline_(Clock::now() + timeout) {}

  Result<> connect() {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path_.size() >= sizeof address.sun_path) return not_running();
    std::memcpy(address.sun_path, path_.data(), path_.size());
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd_) return errno_error(errno, tried());
    while (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      if (errno == ENOENT || errno == ECONNREFUSED) return not_running();
      if (errno == EACCES) return errno_error(errno, tried(), "run this as root or as the user who runs the recorder");
      if (errno != EAGAIN && errno != EINTR) return errno_error(errno, tried());
      constexpr int kBacklogFullMs = 10;  // poll cannot wait for room in a Unix socket's backlog
      if (time_left_ms() == 0) return timed_out();
      ::poll(nullptr, 0, std::min(kBacklogFullMs, time_left_ms()));
    }
    return {};
  }

  Result<> send(std::string_view line) {
    while (!line.empty()) {
      const auto bytes = ::send(fd_.get(), line.data(), line.size(), MSG_NOSIGNAL);
      if (bytes > 0) line.remove_prefix(static_cast<std::size_t>(bytes));
      // It may have refused the request without reading all of it: the reply says why.
      if (bytes < 0 && (errno == EPIPE || errno == ECONNRESET)) return {};
      if (bytes < 0) KF_TRY(wait_for(POLLOUT));
    }
    return {};
  }

  Result<std::string> receive() {
    std::string reply;
    char buffer[4096];
    for (;;) {
      const auto bytes = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (bytes > 0) reply.append(buffer, static_cast<std::size_t>(bytes));
      const auto end = reply.find('\n');
      if (end != std::string::npos) return reply.substr(0, end);
      if (bytes == 0 || reply.size() > kLongestReply)
        return Error{Errc::kIo, tried() + ": it ended without an answer; see its own messages"};
      if (bytes < 0) KF_TRY(wait_for(POLLIN));
    }
  }

 private:
  std::string tried() const { return fmt::format("cannot reach the recorder named '{}' at '{}'", name_, path_); }

  Error not_running() const {
    const auto names = recorder_names();
    const auto others = fmt::format("there is '{}'", fmt::join(names, "', '"));
    return Error{Errc::kNotFound,
                 fmt::format("no recorder named '{0}' is running ({1}); start one with `kflight record --name {0}`",
                             name_, names.empty() ? fmt::format("nothing listens at '{}'", path_) : others)};
  }

  Error timed_out() const {
    return Error{Errc::kIo,
                 fmt::format("the recorder named '{}' did not answer within {}; it may be writing to a slow disk, "
                             "try again later",
                             name_, format_duration(timeout_))};
  }

  int time_left_ms() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
  }

  // After a call that failed: waits when it would have blocked.
  Result<> wait_for(short events) {
    if (errno == EINTR) return {};
    if (errno != EAGAIN) return errno_error(errno, tried());
    pollfd polled{fd_.get(), events, 0};
    if (time_left_ms() == 0 || ::poll(&polled, 1, time_left_ms()) == 0) return timed_out();
    return {};
  }

  const std::string& name_;
  const std::string path_;
  const std::chrono::milliseconds timeout_;
  const Clock::time_point deadline_;
  UniqueFd fd_;
};

}  // namespace

Result<std::string> control_request(const std::string& name, const std::string& json,
                                    std::chrono::milliseconds timeout) {
  KF_TRY(check_recorder_name(name));
  Request request(name, timeout);
  KF_TRY(request.connect());
  KF_TRY(request.send(json + "\n"));
  return request.receive();
}

}  // namespace kflight::record
