// SPDX-License-Identifier: Apache-2.0
#include "record/process_maps.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace kflight::record {

namespace {

constexpr std::size_t kMostMappings = 8192;            // of one process: executable ones
constexpr std::uint64_t kLookAgainNs = 1'000'000'000;  // for callers that no mapping holds; frame pointers may lie
constexpr std::size_t kMostProcesses = 16384;

}  // namespace

std::vector<const CodeRange*> ProcessMaps::files_missing(std::span<const CodeRange> ranges, const BuildIds& ids) const {
  std::vector<const CodeRange*> missing;
  std::set<CodeFile> seen;
  for (const CodeRange& range : ranges)
    if (!files_.contains(range.file) && !ids.contains(range.file) && seen.insert(range.file).second)
      missing.push_back(&range);
  return missing;
}

std::uint32_t ProcessMaps::file_of(const CodeFile& file, const BuildIds& ids) {
  const auto [place, is_new] = files_.try_emplace(file);
  kf_file& known = place->second;
  if (!is_new) return known.number;
  known.number = next_file_++;
  if (const auto id = ids.find(file); id != ids.end() && !id->second.empty()) {
    known.build_id_bytes = static_cast<kf_u16>(std::min<std::size_t>(id->second.size(), KF_BUILD_ID_BYTES));
    std::memcpy(known.build_id, id->second.data(), known.build_id_bytes);
  }
  known.path_bytes = static_cast<kf_u16>(std::min<std::size_t>(file.path.size(), 0xffff));
  return known.number;
}

void ProcessMaps::put(std::uint32_t tgid, std::span<const CodeRange> ranges, const BuildIds& ids, std::uint64_t now_ns) {
  if (ranges.empty()) return;  // it is exiting: its memory is gone already
  if (processes_.size() >= kMostProcesses && !processes_.contains(tgid)) return;
  Process& process = processes_[tgid];
  std::unordered_map<std::uint64_t, std::size_t> by_begin;  // of those that were there the last time
  for (std::size_t i = 0; i < process.mappings.size(); ++i)
    if (process.mappings[i].until_ns == 0) by_begin.emplace(process.mappings[i].begin, i);
  const auto unchanged = [&](const kf_mapping& old, const CodeRange& range) {
    const auto file = files_.find(range.file);
    return old.end == range.end && old.offset == range.offset && file != files_.end() && old.file == file->second.number;
  };
  for (const CodeRange& range : ranges) {
    const auto before = by_begin.find(range.begin);
    if (before != by_begin.end() && unchanged(process.mappings[before->second], range))
      by_begin.erase(before);
    else if (process.mappings.size() < kMostMappings)
      process.mappings.push_back({tgid, file_of(range.file, ids), range.begin, range.end, range.offset, now_ns, 0});
  }
  process.looked_ns = now_ns;
  process.gone_ns = 0;
  for (const auto& [begin, index] : by_begin) process.mappings[index].until_ns = now_ns;
}

bool ProcessMaps::holds(const Process& process, std::uint64_t address) const {
  return std::ranges::any_of(process.mappings, [address](const kf_mapping& m) {
    return m.until_ns == 0 && m.begin <= address && address < m.end;
  });
}

bool ProcessMaps::should_look(const kf_stack& stack, std::span<const kf_u64> frames, std::uint64_t now_ns) const {
  const auto known = processes_.find(stack.tgid);
  if (stack.flags & KF_STACK_NEW_SPACE || known == processes_.end()) return true;
  const Process& process = known->second;
  const auto outside = [&](std::uint64_t address) { return !holds(process, address); };
  const bool again = now_ns > process.looked_ns + kLookAgainNs;
  return !frames.empty() && (outside(frames.front()) || (again && std::ranges::any_of(frames, outside)));
}

void ProcessMaps::inherit(std::uint32_t child, std::uint32_t parent, std::uint64_t now_ns) {
  const auto from = processes_.find(parent);
  if (from == processes_.end() || processes_.contains(child) || processes_.size() >= kMostProcesses) return;
  Process process = from->second;
  process.looked_ns = now_ns;
  process.gone_ns = 0;
  std::erase_if(process.mappings, [](const kf_mapping& mapping) { return mapping.until_ns != 0; });
  for (kf_mapping& mapping : process.mappings) mapping.tgid = child;
  processes_.emplace(child, std::move(process));
}

void ProcessMaps::forget_dead(std::uint64_t window_begin_ns, std::uint64_t now_ns) {
  for (auto& [tgid, process] : processes_)
    if (process.gone_ns == 0 && process.looked_ns < window_begin_ns &&
        ::access(fmt::format("/proc/{}", tgid).c_str(), F_OK) != 0)
      process.gone_ns = now_ns;
  std::size_t dropped = std::erase_if(processes_, [&](const auto& entry) {
    return entry.second.gone_ns != 0 && entry.second.gone_ns < window_begin_ns;
  });
  for (auto& [tgid, process] : processes_)
    dropped += std::erase_if(process.mappings, [window_begin_ns](const kf_mapping& mapping) {
      return mapping.until_ns != 0 && mapping.until_ns < window_begin_ns;
    });
  if (dropped != 0) forget_files();
}

void ProcessMaps::forget_files() {
  std::unordered_set<std::uint32_t> named;
  for (const auto& [tgid, process] : processes_)
    for (const kf_mapping& mapping : process.mappings) named.insert(mapping.file);
  std::erase_if(files_, [&](const auto& entry) { return !named.contains(entry.second.number); });
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
  for (const auto& [file, head] : files_) blob.add(head, std::string_view(file.path).substr(0, head.path_bytes));
  return blob;
}

}  // namespace kflight::record
