// SPDX-License-Identifier: Apache-2.0
//
// record_blob.hpp - records of different lengths one after another, each a multiple of 8 bytes: a fixed structure, then
// what it says the length of. The writer knows where each ends, so that it can cut between them; the reader trusts
// none.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace kflight::dump {

class RecordBlob {
 public:
  void add(std::span<const std::byte> record) {
    append(record.data(), record.size());
    end_record();
  }
  // A structure, then texts.
  template <class Head, class... Texts>
  void add(const Head& head, const Texts&... texts) {
    append(&head, sizeof head);
    (append(texts.data(), texts.size()), ...);
    end_record();
  }

  std::span<const std::byte> bytes() const { return bytes_; }
  std::size_t count() const { return ends_.size(); }
  // Bytes of the records from `first` on that fit into `most`, and at least one. Moves `first` behind them.
  std::span<const std::byte> part(std::size_t& first, std::size_t most) const {
    const std::size_t begin = first == 0 ? 0 : ends_[first - 1];
    do ++first;
    while (first < ends_.size() && ends_[first] - begin <= most);
    return bytes().subspan(begin, ends_[first - 1] - begin);
  }

 private:
  void append(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
  }
  void end_record() {
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    ends_.push_back(bytes_.size());
  }

  std::vector<std::byte> bytes_;
  std::vector<std::size_t> ends_;
};

inline constexpr std::size_t kInvalidTail = ~std::size_t{0};

// Calls take(head, tail) for each record of `untrusted` until one does not fit; size_of(head) says how long its tail
// is. Returns how many bytes at the end hold no record.
template <class Head, class SizeOf, class Take>
std::size_t for_each_record(std::span<const std::byte> untrusted, SizeOf size_of, Take take) {
  while (untrusted.size() >= sizeof(Head)) {
    Head head;
    std::memcpy(&head, untrusted.data(), sizeof head);
    const std::size_t tail = size_of(head);
    if (tail > untrusted.size() - sizeof head) break;
    const std::size_t padded = (sizeof head + tail + 7) / 8 * 8;
    if (padded > untrusted.size()) break;
    take(head, untrusted.subspan(sizeof head, tail));
    untrusted = untrusted.subspan(padded);
  }
  return untrusted.size();
}

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace kflight::dump
