// SPDX-License-Identifier: Apache-2.0
//
// byte_sink.hpp - where bytes go: a file, memory, a pipe. The seam between whoever produces a dump or an export and
// whoever stores it; tests put a failing one in. Not thread-safe: one writer.
#pragma once

#include <cstddef>
#include <span>

#include "kflight/result.hpp"

namespace kflight {

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // All of it or an error; after an error the sink takes nothing more.
  virtual Result<> write(std::span<const std::byte> bytes) = 0;
};

}  // namespace kflight
