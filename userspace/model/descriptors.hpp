// SPDX-License-Identifier: Apache-2.0
//
// descriptors.hpp - what was behind the file descriptor of a call? The recorder looked when the dump was written, or
// when the trigger fired. Of a wait that went on then this is certain; after it the descriptor may have become another
// file's. The functions of names.hpp with that knowledge added.
#pragma once

#include <optional>
#include <string>

#include "model/names.hpp"
#include "model/trace.hpp"

namespace kflight::model {

struct Descriptor {
  const FdLink* link;
  bool certain = false;
};
std::optional<Descriptor> find_descriptor(const Trace& trace, const Thread& thread, const Call& call);
std::optional<Descriptor> find_descriptor(const Trace& trace, const Thread& thread, const Interval& blocked);

// "pipe:[4711]", "eventfd", "/var/log/x", safe to print.
std::string descriptor_text(const FdLink& link);

WaitKind wait_kind(const Trace& trace, const Thread& thread, const Interval& blocked);
// "read fd 7 (pipe:[4711])"; "read fd 7 (pipe:[4711], seen afterwards)" where it is not certain.
std::string wait_object(const Trace& trace, const Thread& thread, const Interval& blocked);
std::string describe_call(const Trace& trace, const Thread& thread, const Call& call);

}  // namespace kflight::model
