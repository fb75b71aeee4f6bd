// SPDX-License-Identifier: Apache-2.0
#include "record/process_maps.hpp"

#include <fmt/format.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string_view>

#include "record/build_id.hpp"

namespace kflight::record {

namespace {

constexpr std::size_t kMostMappings = 8192;            // of one process: executable ones
constexpr std::uint64_t kLookAgainNs = 1'000'000'000;  // for callers that no mapping holds; frame pointers may lie
constexpr std::uint32_t kLooksPerSecond = 200;
constexpr std::size_t kMostProcesses = 16384;
constexpr std::string_view kVdso = "[vdso]";

}  // namespace

struct ProcessMaps::Line {
  std::uint64_t begin = 0, end = 0, offset = 0;
  FileKey key;
};

// "7f1c2a000000-7f1c2a021000 r-xp 00001000 fe:00 1234   /usr/lib/x.so". Only executable memory.
bool ProcessMaps::parse(const std::string& text, Line& line) {
  unsigned long long begin = 0, end = 0, offset = 0, inode = 0;
  unsigned major = 0, minor = 0;
  char flags[8] = {};
  int path_at = 0;
  if (std::sscanf(text.c_str(), "%llx-%llx %7s %llx %x:%x %llu %n", &begin, &end, flags, &offset, &major, &minor,
                  &inode, &path_at) != 7)
    return false;
  if (flags[2] != 'x' || begin >= end) return false;
  line.begin = begin;
  line.end = end;
  line.offset = offset;
  line.key = {std::uint64_t{major} << 32 | minor, inode, text.substr(static_cast<std::size_t>(path_at))};
  return line.key.path != "[vsyscall]";
}

// Through map_files it is the very file that is mapped, whatever has become of its path.
std::uint32_t ProcessMaps::file_of(std::uint32_t tgid, const Line& line) {
  const auto [place, is_new] = numbers_.try_emplace(line.key, static_cast<std::uint32_t>(files_.size()));
  if (!is_new) return place->second;
  kf_file file{};
  file.number = place->second;
  std::vector<std::byte> id;
  if (line.key.path == kVdso) {
    id = build_id_of_image(own_vdso());
  } else if (line.key.inode != 0) {
    id = build_id_of_file(fmt::format("/proc/{}/map_files/{:x}-{:x}", tgid, line.begin, line.end).c_str());
  }
  file.build_id_bytes = static_cast<kf_u16>(std::min<std::size_t>(id.size(), KF_BUILD_ID_BYTES));
  std::memcpy(file.build_id, id.data(), file.build_id_bytes);
  file.path_bytes = static_cast<kf_u16>(std::min<std::size_t>(line.key.path.size(), 0xffff));
  files_.push_back(file);
  return file.number;
}

void ProcessMaps::look(std::uint32_t tgid, std::uint64_t now_ns) {
  std::ifstream maps(fmt::format("/proc/{}/maps", tgid));
  if (!maps || (processes_.size() >= kMostProcesses && !processes_.contains(tgid))) return;
  Process& process = processes_[tgid];
  std::vector<bool> there(process.mappings.size(), false);
  Line line;
  bool any = false;
  for (std::string text; std::getline(maps, text);) {
    if (!parse(text, line)) continue;
    any = true;
    const kf_mapping fresh{tgid, file_of(tgid, line), line.begin, line.end, line.offset, now_ns, 0};
    const auto same = std::ranges::find_if(process.mappings, [&](const kf_mapping& m) {
      return m.until_ns == 0 && m.begin == fresh.begin && m.end == fresh.end && m.offset == fresh.offset &&
             m.file == fresh.file;
    });
    const auto index = static_cast<std::size_t>(same - process.mappings.begin());
    if (index < there.size())
      there[index] = true;
    else if (same == process.mappings.end() && process.mappings.size() < kMostMappings)
      process.mappings.push_back(fresh);
  }
  if (!any) return;  // it is exiting: its memory is gone already
  process.looked_ns = now_ns;
  process.gone_ns = 0;
  for (std::size_t i = 0; i < there.size(); ++i)
    if (!there[i] && process.mappings[i].until_ns == 0) process.mappings[i].until_ns = now_ns;
}

bool ProcessMaps::holds(const Process& process, std::uint64_t address) const {
  return std::ranges::any_of(process.mappings, [address](const kf_mapping& m) {
    return m.until_ns == 0 && m.begin <= address && address < m.end;
  });
}

bool ProcessMaps::may_look(std::uint64_t now_ns) {
  if (now_ns - second_ns_ > 1'000'000'000) {
    second_ns_ = now_ns;
    looks_ = 0;
  }
  return ++looks_ <= kLooksPerSecond;
}

void ProcessMaps::saw(const kf_stack& stack, std::span<const kf_u64> frames, std::uint64_t now_ns) {
  const auto known = processes_.find(stack.tgid);
  if (stack.flags & KF_STACK_NEW_SPACE || known == processes_.end()) {
    if (may_look(now_ns)) look(stack.tgid, now_ns);
    return;
  }
  const Process& process = known->second;
  const auto outside = [&](std::uint64_t address) { return !holds(process, address); };
  const bool again = now_ns - process.looked_ns > kLookAgainNs;
  if (frames.empty() || !(outside(frames.front()) || (again && std::ranges::any_of(frames, outside)))) return;
  if (may_look(now_ns)) look(stack.tgid, now_ns);
}

void ProcessMaps::inherit(std::uint32_t child, std::uint32_t parent, std::uint64_t now_ns) {
  const auto from = processes_.find(parent);
  if (from == processes_.end() || processes_.contains(child) || processes_.size() >= kMostProcesses) return;
  Process process = from->second;
  process.looked_ns = now_ns;
  process.gone_ns = 0;
  for (kf_mapping& mapping : process.mappings) mapping.tgid = child;
  processes_.emplace(child, std::move(process));
}

void ProcessMaps::forget_dead(std::uint64_t window_begin_ns, std::uint64_t now_ns) {
  for (auto& [tgid, process] : processes_)
    if (process.gone_ns == 0 && process.looked_ns < window_begin_ns &&
        ::access(fmt::format("/proc/{}", tgid).c_str(), F_OK) != 0)
      process.gone_ns = now_ns;
  std::erase_if(processes_, [&](const auto& entry) {
    return entry.second.gone_ns != 0 && entry.second.gone_ns < window_begin_ns;
  });
}

std::vector<kf_mapping> ProcessMaps::mappings(std::span<const std::uint32_t> tgids) const {
  std::vector<kf_mapping> all;
  for (const auto& [tgid, process] : processes_)
    if (std::ranges::binary_search(tgids, tgid))
      all.insert(all.end(), process.mappings.begin(), process.mappings.end());
  return all;
}

dump::RecordBlob ProcessMaps::files() const {
  dump::RecordBlob blob;
  for (const auto& [key, number] : numbers_)
    blob.add(files_[number], std::string_view(key.path).substr(0, files_[number].path_bytes));
  return blob;
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
