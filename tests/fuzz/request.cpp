// SPDX-License-Identifier: Apache-2.0
//
// A line that came over the control socket, and the reply to a wrong one.
#include "fuzz/target.hpp"
#include "record/session_json.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kflight;
  const auto request = record::parse_request(fuzz::text_of(data, size));
  if (request) {
    fuzz::require(request->path.empty() || request->path.front() == '/', "a path is absolute");
  } else {
    const auto reply = record::error_json(request.error());
    fuzz::require(reply.find('\n') == reply.npos, "a reply is one line");
  }
  return 0;
}
