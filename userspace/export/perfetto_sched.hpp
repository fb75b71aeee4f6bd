// SPDX-License-Identifier: Apache-2.0
//
// perfetto_sched.hpp - the Timeline as the scheduler's own events would tell it: per CPU switches and wakings from
// which Perfetto makes the same states, wakers and names again. One pass in time order over all CPUs and threads at
// once, with one cursor each, so that bundles leave as they fill.
#pragma once

#include "export/perfetto_packets.hpp"
#include "model/trace.hpp"

namespace kflight::exports {

void write_sched(const model::Trace& trace, PacketOutput& out);

}  // namespace kflight::exports
