// SPDX-License-Identifier: Apache-2.0
//
// cmd_stop.cpp - `kflight stop`: asks a recorder to end and waits until its process has.
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/errors.hpp"
#include "base/unique_fd.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/recorder_request.hpp"

namespace kflight::cli {

namespace {

constexpr std::chrono::milliseconds kAnswerTimeout{10'000}, kEndTimeout{120'000};

// A handle on the recorder's process that becomes readable when it ends, whoever gets its PID afterwards.
Result<UniqueFd> watch_process(const std::string& name) {
  KF_TRY_ASSIGN(const std::string status, request_recorder(name, R"({"op":"status"})", kAnswerTimeout));
  const auto answer = nlohmann::json::parse(status, nullptr, false);
  const auto pid = answer.value("pid", std::int64_t{0});
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process)
    return errno_error(errno, fmt::format("looking at process {} of recorder '{}'", pid, name),
                       "run this in the recorder's PID namespace, or send it SIGTERM");
  return process;
}

Result<> stop(const StopOptions& options) {
  KF_TRY_ASSIGN(const std::string name, choose_recorder(options.name));
  KF_TRY_ASSIGN(const UniqueFd process, watch_process(name));
  KF_TRY(request_recorder(name, R"({"op":"stop"})", kAnswerTimeout));
  pollfd ended{process.get(), POLLIN, 0};
  if (::poll(&ended, 1, static_cast<int>(kEndTimeout.count())) > 0) return {};
  return Error{Errc::kIo,
               fmt::format("recorder '{}' was told to stop but still runs; it may be writing a dump to a slow "
                           "disk: see `kflight status --name {}`",
                           name, name)};
}

}  // namespace

int cmd_stop(const StopOptions& options) {
  const auto stopped = stop(options);
  return stopped ? kExitDone : fail(stopped.error());
}

}  // namespace kflight::cli
