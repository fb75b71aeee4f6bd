// SPDX-License-Identifier: Apache-2.0
//
// code_names.hpp - what the small codes in events are called, the same in every text and JSON output. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kflight::dump {

// "R", "S", "D", ... as ps shows them; "?" for a code without a name.
std::string_view state_letter(std::uint32_t code);
// "task", "softirq", "hardirq", "nmi".
std::string_view context_name(std::uint32_t code);
// "ring full", "nested event", "file damaged".
std::string_view loss_reason(std::uint32_t code);
// What is missing, by KF_LOSS_*: "control records", "not handed over yet".
std::string_view loss_kind(std::uint32_t kind);
// "blocks at", "wakes at", "runs at".
std::string_view stack_role(std::uint32_t code);
// "insert", "issue", "complete": KF_BLOCK_*.
std::string_view block_phase_name(std::uint32_t code);
// "irq 24", "softirq NET_RX", "local timer", of KF_CAUSE_IRQ, _SOFTIRQ and _IPI; empty for other causes.
std::string interrupt_name(std::uint32_t cause, std::uint32_t detail);
// "exit 3", "killed by signal 9".
std::string exit_status_text(std::uint32_t wait_status);

}  // namespace kflight::dump
