// SPDX-License-Identifier: Apache-2.0
//
// perfetto_tracks.hpp - what kflight has to say beside the scheduler's events, on tracks of its own: what fired, where
// the time of the explained operation went, when the recording was blind, when a cgroup was out of CPU quota.
#pragma once

#include "export/exporter.hpp"
#include "export/perfetto_packets.hpp"

namespace kflight::exports {

void write_tracks(const model::Trace& trace, const ExplainedOperation& explained, PacketOutput& out);

}  // namespace kflight::exports
