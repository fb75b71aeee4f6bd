// SPDX-License-Identifier: Apache-2.0
//
// Opening a file and looking at everything it holds: frame, sections, metadata, tables, events in order.
#include "dump/meta.hpp"
#include "fuzz/dump_input.hpp"
#include "fuzz/target.hpp"
#include "kflight/dump.hpp"

namespace kflight::fuzz {
namespace {

// Reads what a view points to, for the sanitizer to judge.
std::uint64_t sum_of(std::string_view text) {
  std::uint64_t sum = 0;
  for (const char c : text) sum += static_cast<unsigned char>(c);
  return sum;
}
template <class T>
std::uint64_t sum_of(std::span<const T> records) {
  return sum_of({reinterpret_cast<const char*>(records.data()), records.size_bytes()});
}

std::uint64_t sum_of_tables(const Dump& dump) {
  auto sum = sum_of(dump.tasks()) + sum_of(dump.base_tasks()) + sum_of(dump.base_lanes()) + sum_of(dump.open_calls()) +
             sum_of(dump.resolutions()) + sum_of(dump.losses()) + sum_of(dump.mappings()) + sum_of(dump.base_stacks()) +
             sum_of(dump.vdso());
  for (const Stack& stack : dump.stacks()) {
    require(stack.head.id == 0 || dump.stack(stack.head.id) == &stack, "a stack is found by its id");
    sum += sum_of(stack.frames) + sum_of(stack.tops);
  }
  for (const MappedFile& file : dump.files()) sum += sum_of(file.path);
  for (const KernelSymbol& symbol : dump.kernel_symbols()) sum += sum_of(symbol.name) + sum_of(symbol.module);
  for (const FdLink& link : dump.fd_links()) sum += sum_of(link.target);
  for (const Damage& damage : dump.damage()) sum += sum_of(damage.what);
  return sum;
}

void read_all(std::span<const std::byte> file) {
  const auto dump = Dump::from_bytes(file);
  if (!dump) return require(!dump.error().what.empty(), "an error says what is wrong");
  [[maybe_unused]] volatile std::uint64_t sum = sum_of_tables(*dump);
  require(dump->window_begin_ns() <= dump->window_end_ns(), "the window does not end before it begins");
  std::uint64_t last_ns = 0;
  for (const Event& event : dump->events()) {
    require(head(event).ts_ns >= last_ns, "events are in the order of their times");
    last_ns = head(event).ts_ns;
  }
  (void)dump::to_json(dump->meta());
}

}  // namespace
}  // namespace kflight::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kflight::fuzz::read_all(kflight::fuzz::dump_file_of(data, size));
  return 0;
}
