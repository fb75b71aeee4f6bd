// SPDX-License-Identifier: Apache-2.0
#include "record/process_code.hpp"

#include <fmt/format.h>
#include <sys/auxv.h>

#include <cstdio>
#include <fstream>

#include "record/build_id.hpp"

namespace kflight::record {

namespace {

constexpr std::size_t kMostRanges = 65536;  // what a process may map unless somebody raised vm.max_map_count

// "7f1c2a000000-7f1c2a021000 r-xp 00001000 fe:00 1234   /usr/lib/x.so". Only executable memory.
bool parse(const std::string& text, CodeRange& range) {
  unsigned long long begin = 0, end = 0, offset = 0, inode = 0;
  unsigned major = 0, minor = 0;
  char flags[8] = {};
  int path_at = 0;
  if (std::sscanf(text.c_str(), "%llx-%llx %7s %llx %x:%x %llu %n", &begin, &end, flags, &offset, &major, &minor,
                  &inode, &path_at) != 7)
    return false;
  if (flags[2] != 'x' || begin >= end) return false;
  range.begin = begin;
  range.end = end;
  range.offset = offset;
  range.file = {std::uint64_t{major} << 32 | minor, inode, text.substr(static_cast<std::size_t>(path_at))};
  return range.file.path != "[vsyscall]";
}

}  // namespace

std::vector<CodeRange> read_code(std::uint32_t tgid) {
  std::ifstream maps(fmt::format("/proc/{}/maps", tgid));
  std::vector<CodeRange> ranges;
  CodeRange range;
  for (std::string text; ranges.size() < kMostRanges && std::getline(maps, text);)
    if (parse(text, range)) ranges.push_back(range);
  return ranges;
}

// Through map_files it is the very file that is mapped, whatever has become of its path.
BuildId read_build_id(std::uint32_t tgid, const CodeRange& range) {
  if (range.file.path == kVdso) return build_id_of_image(own_vdso());
  if (range.file.inode == 0) return {};
  return build_id_of_file(fmt::format("/proc/{}/map_files/{:x}-{:x}", tgid, range.begin, range.end).c_str());
}

std::span<const std::byte> own_vdso() {
  const auto begin = getauxval(AT_SYSINFO_EHDR);
  if (begin == 0) return {};
  std::ifstream maps("/proc/self/maps");
  for (std::string text; std::getline(maps, text);) {
    unsigned long long from = 0, to = 0;
    if (std::sscanf(text.c_str(), "%llx-%llx", &from, &to) == 2 && from == begin)
      // NOLINTNEXTLINE(performance-no-int-to-ptr): getauxval gives a number
      return {reinterpret_cast<const std::byte*>(begin), static_cast<std::size_t>(to - from)};
  }
  return {};
}

}  // namespace kflight::record
