// SPDX-License-Identifier: Apache-2.0
//
// call_log.hpp - which system call is a thread in? Puts together what switch-outs, returns and the dump's flush say of
// the same call. Where entries are traced a call is known by its entry time; where they are not, equal calls seen at
// consecutive switch-outs share one record, for nobody can tell one long call from several short ones.
#pragma once

#include "kflight/event.hpp"
#include "model/interval.hpp"
#include "model/thread_table.hpp"

namespace kflight::model {

// `open` is the index of the call the thread was last seen in, kNone for none; the functions keep it.

// The thread is in this call at ts_ns (enter_ns 0: not known since when). Returns its index in thread.calls.
std::uint32_t note_call(Thread& thread, std::uint32_t& open, const kf_sys& sys, std::uint64_t enter_ns,
                        std::uint64_t ts_ns);
// A call has returned.
void finish_call(Thread& thread, std::uint32_t& open, const SyscallEvent& event);

}  // namespace kflight::model
