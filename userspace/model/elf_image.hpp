// SPDX-License-Identifier: Apache-2.0
//
// elf_image.hpp - what an ELF file of this machine says about addresses: functions from its symbol tables, lines and
// inlined calls from its DWARF, how to get from a function to its caller from its unwind information. Opened only when
// its build id is the one asked for; separate debug information is found by the same id. Tables are built when first
// asked for. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kflight::model {

// A function that holds an address. Views live as long as the image.
struct FunctionAt {
  std::string_view name;  // as the linker has it
  std::uint64_t offset = 0;
};

// One of the calls that were inlined at an address, the innermost first; the last one is the function itself.
struct SourceAt {
  std::string function;  // as the linker or the debugger has it; may be empty
  std::string file;      // empty: not known
  int line = 0;
};

// How a caller is found: at [stack pointer + to_frame_bytes - 8] lies the return address, or the frame pointer says.
struct CallerRule {
  enum class Kind : std::uint8_t { kStackPointer, kFramePointer, kNoCaller };
  Kind kind = Kind::kFramePointer;
  std::uint64_t to_frame_bytes = 0;
};

class ElfImage {
 public:
  // Null when no file on this machine has this build id. `path` is where it was mapped from.
  static std::unique_ptr<ElfImage> find(const std::string& path, std::span<const std::byte> build_id);
  // An image in memory, which must outlive it. Null when it is no ELF file. It may be damaged in any way; only its
  // symbol tables are read.
  static std::unique_ptr<ElfImage> of_memory(std::span<const std::byte> image);
  ~ElfImage();

  // Places in the image are byte offsets in the file, as mappings give them.
  std::optional<FunctionAt> function_at(std::uint64_t offset);
  std::vector<SourceAt> sources_at(std::uint64_t offset);  // empty without DWARF
  std::optional<CallerRule> caller_rule(std::uint64_t offset);
  // Can this be a return address: is there a call just before it?
  bool follows_call(std::uint64_t offset);

 private:
  struct Impl;
  explicit ElfImage(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kflight::model
