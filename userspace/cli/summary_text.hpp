// SPDX-License-Identifier: Apache-2.0
//
// summary_text.hpp - what a dump and a running recorder have in common to tell: how far the window reaches, what was
// lost, what recording costs. Plain sentences for one screen.
#pragma once

#include <string>
#include <vector>

#include "kflight/dump.hpp"

namespace kflight::cli {

// "9.81 s, as far as 64 MiB reach (max-bytes); 1,234,567 events in 9.6 MiB (8.1 B each), 2,345 chunks"
std::string window_text(const WindowInfo& window, std::uint64_t min_age_ns, std::uint64_t max_bytes);

// "1,234 events: the kernel's ring was full", one entry per way of losing something; empty when nothing was lost.
std::vector<std::string> losses_text(const LossInfo& losses);

// "0.31 % of a CPU (1.2 s in 387 s), 71 MiB resident"
std::string recorder_cost_text(const OwnCost& cost);
// "1.24 % of a CPU in BPF programs: ..." or that the kernel does not measure it.
std::string bpf_cost_text(const OwnCost& cost);

}  // namespace kflight::cli
