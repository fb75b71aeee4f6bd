// SPDX-License-Identifier: Apache-2.0
//
// control_client.hpp - asks a running recorder something: one line of JSON there, one back. Any thread, nothing shared.
#pragma once

#include <chrono>
#include <string>

#include "kflight/result.hpp"

namespace kflight::record {

// The reply line. kNotFound: no recorder of that name is running; the message names those that are there. kIo when it
// did not answer in `timeout`.
Result<std::string> control_request(const std::string& name, const std::string& json,
                                    std::chrono::milliseconds timeout);

}  // namespace kflight::record
