// SPDX-License-Identifier: Apache-2.0
//
// event_json.hpp - an event as one line of JSON, straight from the field table: every field under its own name, numbers
// exact. Codes are followed by NAME_name with what they mean; a call that is not there is null. docs/events.md
// describes the fields.
#pragma once

#include <string>

#include "kflight/event.hpp"

namespace kflight::exports {

void append_event_json(std::string& out, const Event& event);

}  // namespace kflight::exports
