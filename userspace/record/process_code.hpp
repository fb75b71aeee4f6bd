// SPDX-License-Identifier: Apache-2.0
//
// process_code.hpp - where code lies in a process at this moment, and which build of which file it is. Each of these
// functions takes the process's mmap_lock and may wait for it as long as the process likes, so they are for a PatientThread
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kflight::record {

// What is mapped, as /proc/PID/maps names it. No inode: memory without a file, or what the kernel maps.
struct CodeFile {
  std::uint64_t device = 0, inode = 0;
  std::string path;
  auto operator<=>(const CodeFile&) const = default;  // NOLINT(modernize-use-nullptr): the check errs
};

// Executable memory: [begin, end) are the file's bytes from `offset` on.
struct CodeRange {
  std::uint64_t begin = 0, end = 0, offset = 0;
  CodeFile file;
};

using BuildId = std::vector<std::byte>;

inline constexpr std::string_view kVdso = "[vdso]";

// Empty when the process is gone, or has given up its memory already.
std::vector<CodeRange> read_code(std::uint32_t tgid);
// Empty when there is none.
BuildId read_build_id(std::uint32_t tgid, const CodeRange& range);

// The code the kernel maps into this process, an ELF file; empty when there is none.
std::span<const std::byte> own_vdso();

}  // namespace kflight::record
