// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/trace_builder.hpp"

namespace kflight::test {

inline constexpr std::uint32_t A = 10, B = 20;

// A on CPU 0 and B on CPU 1.
inline TraceBuilder two_cpus() {
  TraceBuilder t;
  t.runs(0, A).runs(1, B).named(A, "a").named(B, "b");
  return t;
}

}  // namespace kflight::test
