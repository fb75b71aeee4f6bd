// SPDX-License-Identifier: Apache-2.0
#include "dump/fd_links.hpp"

#include <algorithm>
#include <utility>

#include "dump/record_blob.hpp"

namespace kflight::dump {

std::size_t take_fd_links(std::span<const std::byte> payload, std::vector<FdLink>& links) {
  const auto tail = [](const kf_fd_link& head) { return std::size_t{head.text_bytes}; };
  return for_each_record<kf_fd_link>(payload, tail, [&](const kf_fd_link& head, std::span<const std::byte> bytes) {
    links.push_back({head.tgid, head.fd, head.seen_ns, text_of(bytes)});
  });
}

void sort_fd_links(std::vector<FdLink>& links) {
  const auto descriptor = [](const FdLink& link) { return std::pair(link.tgid, link.fd); };
  std::ranges::stable_sort(links, {}, descriptor);
  const auto same = [&](const FdLink& a, const FdLink& b) { return descriptor(a) == descriptor(b); };
  links.erase(std::unique(links.begin(), links.end(), same), links.end());
}

}  // namespace kflight::dump
