// SPDX-License-Identifier: Apache-2.0
#include "record/descriptor_limit.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "base/errors.hpp"
#include "base/unique_fd.hpp"

namespace kflight::record {

Result<> allow_descriptors(std::uint64_t more) {
  // The kernel hands out the lowest free number: there are fewer open ones than that number and a few holes.
  const UniqueFd lowest_free(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const rlim_t wanted = more + 1 + static_cast<rlim_t>(std::max(lowest_free.get(), 0));
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit)) return errno_error(errno, "reading the limit on open files");
  if (limit.rlim_cur >= wanted) return {};
  const rlim_t hard = limit.rlim_max;
  limit = {wanted, std::max(hard, wanted)};
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
  return errno_error(errno, fmt::format("raising the limit on open files from {} to {}", hard, wanted),
                     "so many are needed on a machine with so many CPUs; raise it with `ulimit -Hn` or LimitNOFILE=");
}

}  // namespace kflight::record
