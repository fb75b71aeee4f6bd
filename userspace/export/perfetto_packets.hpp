// SPDX-License-Identifier: Apache-2.0
//
// perfetto_packets.hpp - writes a Perfetto trace packet by packet: a trace is nothing but a sequence of
// length-delimited packets, so that no more than one is ever held.
#pragma once

#include <string>
#include <string_view>

#include "export/buffered_output.hpp"
#include "export/perfetto_fields.hpp"

namespace kflight::exports {

class PacketOutput {
 public:
  explicit PacketOutput(ByteSink& sink) : out_(sink) {}

  // `fill` gets the packet's builder.
  template <class Fill>
  void packet(Fill fill) {
    bytes_.clear();
    {
      pf::Message<pf::Packet> packet(bytes_);
      fill(packet);
      packet.add_uint32(pf::Packet::kSequenceId, kSequence);
      packet.add_uint32(pf::Packet::kSequenceFlags, first_ ? pf::kStateCleared : pf::kNeedsState);
    }
    first_ = false;
    pf::Message<pf::Trace>(out_.text()).add_message(pf::Trace::kPacket, bytes_);
    out_.flush_if_full();
  }
  bool failed() const noexcept { return out_.failed(); }
  Result<> finish() { return out_.finish(); }

 private:
  static constexpr std::uint32_t kSequence = 1;  // all packets come from one writer
  BufferedOutput out_;
  std::string bytes_;
  bool first_ = true;
};

}  // namespace kflight::exports
