// SPDX-License-Identifier: Apache-2.0
#include "record/stack_store.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_set>

namespace kflight::record {

namespace {

constexpr std::uint64_t kInFlightNs = 1'000'000'000;  // an event whose stack was not sent because it had been, just now

template <class T>
std::vector<T> each_once(std::vector<T> values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

}  // namespace

bool StackStore::add(std::span<const std::byte> record, std::uint64_t now_ns) {
  kf_stack head;
  if (record.size() < sizeof head) return false;
  std::memcpy(&head, record.data(), sizeof head);
  const std::size_t words = std::size_t{head.frames} + head.tops;
  if (head.id == 0 || record.size() < sizeof head + words * sizeof(kf_u64)) return false;
  const auto [place, is_new] = stacks_.try_emplace(head.id);
  if (!is_new) {
    place->second.head.sent_ns = head.sent_ns;
    return true;
  }
  if (bytes_ + cost(words) > max_bytes_) {
    stacks_.erase(place);
    ++lost_;
    return false;
  }
  Kept& kept = place->second;
  kept.head = head;
  kept.words.resize(words);
  std::memcpy(kept.words.data(), record.data() + sizeof head, words * sizeof(kf_u64));
  bytes_ += cost(words);
  if (resent_ns_ == 0 && bytes_ > max_bytes_ / 2) {
    resend_();
    resent_ns_ = now_ns + kInFlightNs;
  }
  return true;
}

void StackStore::shrink(std::uint64_t window_begin_ns, std::span<const kf_base_stack> base) {
  if (!wants_to_shrink(window_begin_ns)) return;
  std::unordered_set<std::uint64_t> named;
  for (const kf_base_stack& stack : base) named.insert({stack.kernel, stack.user});
  std::erase_if(stacks_, [&](const auto& entry) {
    const Kept& kept = entry.second;
    if (kept.head.sent_ns + kInFlightNs >= resent_ns_ || named.contains(entry.first)) return false;
    bytes_ -= cost(kept.words.size());
    return true;
  });
  resent_ns_ = 0;
}

dump::RecordBlob StackStore::records() const {
  dump::RecordBlob blob;
  for (const auto& [id, kept] : stacks_) blob.add(kept.head, std::as_bytes(std::span(kept.words)));
  return blob;
}

std::vector<std::uint64_t> StackStore::kernel_addresses() const {
  std::vector<std::uint64_t> addresses;
  for (const auto& [id, kept] : stacks_)
    if (!(kept.head.flags & KF_STACK_USER)) addresses.insert(addresses.end(), kept.words.begin(), kept.words.end());
  return each_once(std::move(addresses));
}

std::vector<std::uint32_t> StackStore::processes() const {
  std::vector<std::uint32_t> tgids;
  for (const auto& [id, kept] : stacks_)
    if (kept.head.flags & KF_STACK_USER) tgids.push_back(kept.head.tgid);
  return each_once(std::move(tgids));
}

}  // namespace kflight::record
