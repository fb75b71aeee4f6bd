// SPDX-License-Identifier: Apache-2.0
//
// recorder_request.hpp - how dump, status and stop find the recorder they mean and talk to it.
#pragma once

#include <chrono>
#include <string>

#include "kflight/result.hpp"

namespace kflight::cli {

// `name` as given, or the only recorder that runs. kUsage when there are several, kNotFound when there is none.
Result<std::string> choose_recorder(const std::string& name);

// The reply's JSON text; what the recorder refuses is an error with its own message.
Result<std::string> request_recorder(const std::string& name, const std::string& request_json,
                                     std::chrono::milliseconds timeout);

}  // namespace kflight::cli
