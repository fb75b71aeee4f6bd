// SPDX-License-Identifier: Apache-2.0
//
// symbols.hpp - what the addresses of a dump's stacks mean: functions, lines, inlined calls. Resolved when asked for,
// from the kernel's symbols in the dump and from the files of this machine that are the very builds that were mapped.
// What cannot be resolved stays `module+0xoffset`; nothing is guessed. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kflight/dump.hpp"
#include "model/elf_image.hpp"

namespace kflight::model {

struct Frame {
  std::uint64_t address = 0;  // as in the stack; 0: of the one before it, which was inlined here
  std::string function;       // demangled; empty: not known
  std::string module;  // file name without its folders, "kernel", a kernel module; empty: nothing is mapped there
  std::uint64_t module_offset = 0;  // byte of the file; for the kernel, offset in the function
  std::string file;                 // of the source; empty: not known
  int line = 0;
  bool is_kernel = false;
};

// "refill at cache.cpp:12", "read (libc.so.6)", "libx.so+0x1234", "0x7f00". Safe to print.
std::string frame_text(const Frame& frame);
// The function alone, "libx.so+0x1234" without one. Safe to print.
std::string frame_name(const Frame& frame);

struct ResolvedStack {
  std::vector<Frame> frames;  // innermost first
  bool truncated = false;     // it went on
};

class Symbolizer {
 public:
  explicit Symbolizer(const Dump& dump) : dump_(dump) {}
  Symbolizer(const Symbolizer&) = delete;
  Symbolizer& operator=(const Symbolizer&) = delete;

  // The stack of an event at that time; no frames when the dump does not hold it (it was lost).
  const ResolvedStack& resolve(std::uint64_t stack_id, std::uint64_t at_ns);

 private:
  // Where a user address lies.
  struct Place {
    const MappedFile* file = nullptr;
    std::uint64_t offset = 0;
  };

  ResolvedStack resolve_kernel(const Stack& stack) const;
  ResolvedStack resolve_user(const Stack& stack, std::uint64_t at_ns);
  std::vector<std::uint64_t> with_skipped_callers(const Stack& stack, std::uint64_t at_ns);
  Place place_of(std::uint32_t tgid, std::uint64_t address, std::uint64_t at_ns) const;
  ElfImage* image_of(const MappedFile& file);
  bool may_be_caller(const Place& place);
  void append_user(std::vector<Frame>& out, const Place& place, std::uint64_t address, bool is_caller);

  const Dump& dump_;
  std::map<std::uint32_t, std::unique_ptr<ElfImage>> images_;  // by file number; null: not on this machine
  std::map<std::uint64_t, ResolvedStack> resolved_;            // by stack
};

// Where a waiting thread really is: the first kernel frame that is neither ours nor the scheduler's; null: none.
const Frame* first_telling_frame(const ResolvedStack& kernel_stack);
// The innermost frame of the program itself or of a library of its own: not of the C and C++ libraries, the loader or
// the vdso, where nearly every call ends, nor of a template of theirs. When there is none, the nearest to that; null:
// nothing is known.
const Frame* first_own_frame(const ResolvedStack& user_stack);

}  // namespace kflight::model
