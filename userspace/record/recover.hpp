// SPDX-License-Identifier: Apache-2.0
//
// recover.hpp - makes an ordinary dump of the window that a killed recorder left behind. What the dump lacks is said in
// it: what the CPUs had not handed over is a loss dated from each CPU's last chunk to the window's end
// (KF_LOSS_UNFLUSHED); chunks evicted since the facts about threads were saved are one before the window
// (KF_LOSS_EVICTED); stacks met since then are counted as lost. Nothing is made up. Any thread.
#pragma once

#include "kflight/byte_sink.hpp"
#include "kflight/result.hpp"
#include "record/window_file.hpp"

namespace kflight::record {

struct Recovered {
  std::uint32_t pid = 0;  // of the recorder that died
  std::uint64_t events = 0;
  std::uint64_t window_ns = 0;
  std::uint64_t damaged_chunks = 0;
};

// Writes the dump; its cause is "recovered". kDamaged when there is nothing to make one of.
Result<Recovered> write_recovered(const Leftover& left, ByteSink& sink);

}  // namespace kflight::record
