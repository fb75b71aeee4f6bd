// SPDX-License-Identifier: Apache-2.0
//
// The words of one chunk, whatever they are: a header's fields that matter, then words.
#include <vector>

#include "dump/decoder.hpp"
#include "dump/merge.hpp"
#include "fuzz/target.hpp"

namespace kflight::fuzz {
namespace {

std::uint64_t bytes_of_name(const Event& event) {
  std::uint64_t sum = 0;
  const auto* exec = std::get_if<ExecEvent>(&event);
  for (const char c : exec ? exec->filename : std::string_view{}) sum += static_cast<unsigned char>(c);
  return sum;
}

void decode(Input input) {
  kf_chunk head{};
  head.magic = KF_CHUNK_MAGIC;
  head.lane = input.byte();
  head.flags = input.byte();
  head.n_words = input.number<kf_u16>();
  head.base_ns = input.number<kf_u64>();
  std::vector<kf_u64> words(input.rest().size() / sizeof(kf_u64));
  if (!words.empty()) std::memcpy(words.data(), input.rest().data(), words.size() * sizeof(kf_u64));
  if (head.n_words == 0) head.n_words = static_cast<kf_u16>(words.size());

  dump::ChunkCursor cursor(head, words);
  Event event;
  [[maybe_unused]] volatile std::uint64_t sum = 0;
  std::uint32_t count = 0;
  while (cursor.next(event)) {
    sum = bytes_of_name(event);
    require(++count == cursor.decoded(), "every event counts");
    require(count <= words.size(), "an event takes a word at least");
  }
  require(cursor.damage_word() <= words.size(), "nothing is read behind the words");
  require(!cursor.next(event), "an ended chunk stays ended");
}

}  // namespace
}  // namespace kflight::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kflight::fuzz::decode({data, size});
  return 0;
}
