// SPDX-License-Identifier: Apache-2.0
//
// load_contents.cpp - from untrusted bytes to Dump::Impl. Each section stands alone: one that cannot be used becomes a
// Damage note and the others are read. Memory is bounded by the file's size (see section.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "dump/dump_contents.hpp"
#include "dump/fd_links.hpp"
#include "dump/lane_order.hpp"
#include "dump/meta.hpp"
#include "dump/record_blob.hpp"
#include "dump/section.hpp"
#include "dump/section_walk.hpp"
#include "dump/unpack.hpp"

namespace kflight::dump {

namespace {

constexpr std::size_t kMaxDamageNotes = 256;
constexpr std::uint64_t kHourNs = 3'600'000'000'000;
constexpr std::uint32_t kAnyLane = 0xffffffff;  // in kf_loss

// Threads and CPUs are places in tables of those who read on, where 0xffff means no CPU and ~0 no thread. Events have no
// room for larger numbers than the kernel gives out; records are held to the same.
template <class Record>
void keep_numbers_in_range(Record&) {}
void keep_numbers_in_range(kf_task& task) {
  task.tid &= KF_TID_MASK;
  task.cpu &= KF_CPU_MASK;
}
void keep_numbers_in_range(kf_base_lane& lane) {
  lane.lane &= KF_CPU_MASK;
  lane.cur_tid &= KF_TID_MASK;
}
void keep_numbers_in_range(kf_base_task& task) {
  for (kf_u32* tid : {&task.tid, &task.parent_tid, &task.waker_tid}) *tid &= KF_TID_MASK;
  for (kf_u16* cpu : {&task.in_cpu, &task.out_cpu, &task.waking_cpu, &task.wakeup_cpu}) *cpu &= KF_CPU_MASK;
}

class Loader {
 public:
  explicit Loader(Dump::Impl& contents) : contents_(contents) {}

  void load_sections();
  void set_window();
  void doubt_ends_of_lanes();
  void doubt_begins_of_lanes();

 private:
  struct FoundMeta {
    std::uint64_t offset, bytes;  // of the section
    Payload payload;
  };

  void note(std::uint64_t offset, std::uint64_t bytes, std::string what);
  void take_section(const SectionWalk& walk);
  void take_payload(const SectionWalk& walk, Payload payload);
  void take_chunks(std::uint64_t offset, Payload payload);
  void read_meta();
  void take_views(const SectionWalk& walk, Payload payload);
  template <class Record>
  void take_table(const SectionWalk& walk, std::span<const std::byte> bytes, std::vector<Record>& records);
  bool ends_complete(const SectionWalk& walk) const;
  bool tail_is_missing() const;

  Dump::Impl& contents_;
  Unpacker unpacker_;
  std::uint64_t index_offset_ = 0;  // of the last INDEX section seen
  std::uint32_t chunk_damage_ = 0;  // places so far where chunks may be missing
  bool base_lanes_damaged_ = false;
  std::optional<FoundMeta> meta_;  // the last so far
  std::uint64_t notes_left_out_ = 0;
};

void Loader::note(std::uint64_t offset, std::uint64_t bytes, std::string what) {
  if (contents_.damage.size() < kMaxDamageNotes)
    contents_.damage.push_back({offset, bytes, std::move(what)});
  else
    ++notes_left_out_;
}

void Loader::load_sections() {
  SectionWalk walk(contents_.file, contents_.header.header_bytes);
  for (;;) {
    switch (walk.next()) {
      case SectionWalk::Found::kSection:
        take_section(walk);
        break;
      case SectionWalk::Found::kTrailer:
        contents_.complete = ends_complete(walk);
        break;
      case SectionWalk::Found::kDamage:
        note(walk.offset(), walk.bytes(), walk.problem());
        ++chunk_damage_;
        break;
      case SectionWalk::Found::kEnd:
        if (!contents_.complete)
          note(contents_.file.size(), 0,
               "the file does not end with a valid trailer: it was cut off or never finished");
        read_meta();
        if (notes_left_out_ > 0) contents_.damage.push_back({0, 0, fmt::format("{} more places", notes_left_out_)});
        return;
    }
  }
}

bool Loader::ends_complete(const SectionWalk& walk) const {
  return walk.offset() + walk.bytes() == contents_.file.size() && index_offset_ != 0 &&
         walk.trailer().index_offset == index_offset_;
}

void Loader::take_section(const SectionWalk& walk) {
  auto payload = unpacker_.unpack(walk.header(), walk.stored());
  if (payload) return take_payload(walk, std::move(*payload));
  note(walk.offset(), walk.bytes(), payload.error().what);
  if (walk.header().kind == KF_SEC_CHUNKS) ++chunk_damage_;
  if (walk.header().kind == KF_SEC_BASE_LANES) base_lanes_damaged_ = true;
}

void Loader::take_payload(const SectionWalk& walk, Payload payload) {
  switch (walk.header().kind) {
    case KF_SEC_META:
      meta_ = {walk.offset(), walk.bytes(), std::move(payload)};
      return;
    case KF_SEC_TASKS:
      return take_table(walk, payload.bytes, contents_.tasks);
    case KF_SEC_BASE_TASKS:
      return take_table(walk, payload.bytes, contents_.base_tasks);
    case KF_SEC_BASE_LANES:
      return take_table(walk, payload.bytes, contents_.base_lanes);
    case KF_SEC_CHUNKS:
      return take_chunks(walk.offset(), std::move(payload));
    case KF_SEC_INFLIGHT:
      return take_table(walk, payload.bytes, contents_.open_calls);
    case KF_SEC_RESOLUTION:
      return take_table(walk, payload.bytes, contents_.resolutions);
    case KF_SEC_TABLE_LOSSES:
      return take_table(walk, payload.bytes, contents_.losses);
    case KF_SEC_MAPPINGS:
      return take_table(walk, payload.bytes, contents_.stacks.mappings);
    case KF_SEC_BASE_STACKS:
      return take_table(walk, payload.bytes, contents_.stacks.base_stacks);
    case KF_SEC_STACKS:
    case KF_SEC_FILES:
    case KF_SEC_KERNEL_SYMBOLS:
    case KF_SEC_VDSO:
    case KF_SEC_FD_LINKS:
      return take_views(walk, std::move(payload));
    case KF_SEC_INDEX:
      index_offset_ = walk.offset();
      return;
    default:  // the schema is for other readers; unknown kinds belong to later versions
      return;
  }
}

template <class Record>
void Loader::take_table(const SectionWalk& walk, std::span<const std::byte> bytes, std::vector<Record>& records) {
  const auto count = bytes.size() / sizeof(Record);
  const auto old_count = records.size();
  records.resize(old_count + count);
  if (count > 0) std::memcpy(records.data() + old_count, bytes.data(), count * sizeof(Record));
  for (auto& record : std::span{records}.subspan(old_count)) {
    if constexpr (requires { record.comm; }) record.comm[KF_COMM_BYTES - 1] = '\0';
    keep_numbers_in_range(record);
  }
  if (bytes.size() % sizeof(Record) != 0)
    note(walk.offset(), walk.bytes(),
         fmt::format("the {} section ends inside a record", section_name(walk.header().kind)));
}

// Records of different lengths, which stay where they are.
void Loader::take_views(const SectionWalk& walk, Payload payload) {
  StackTables& tables = contents_.stacks;
  std::size_t rest = 0;
  switch (walk.header().kind) {
    case KF_SEC_STACKS:
      rest = tables.take_stacks(payload.bytes);
      break;
    case KF_SEC_FILES:
      rest = tables.take_files(payload.bytes);
      break;
    case KF_SEC_KERNEL_SYMBOLS:
      rest = tables.take_symbols(payload.bytes);
      break;
    case KF_SEC_FD_LINKS:
      rest = take_fd_links(payload.bytes, contents_.fd_links);
      break;
    default:
      tables.vdso = payload.bytes;
  }
  if (rest > 0)
    note(walk.offset(), walk.bytes(),
         fmt::format("the last {} bytes of the {} section hold no record; they are left out", rest,
                     section_name(walk.header().kind)));
  if (payload.owned) contents_.unpacked.push_back(std::move(payload.owned));
}

// Only the last one is parsed: many of them take no longer than one. From a copy, because it is read twice.
void Loader::read_meta() {
  ParsedMeta parsed;
  if (meta_) {
    contents_.meta_json = text_of(meta_->payload.bytes);
    meta_->payload = {};
    parsed = meta_from_json(contents_.meta_json);
    if (!parsed.problems.empty())
      note(meta_->offset, meta_->bytes, fmt::format("metadata: {}", fmt::join(parsed.problems, ", ")));
  }
  if (!parsed.is_object) {
    contents_.meta_json.clear();
    return note(0, 0, "there is no usable metadata section: host, clocks and cause are not known");
  }
  contents_.meta = std::move(parsed.meta);
  // A writer of this minor version or a later one knows every field we know.
  if (!parsed.missing.empty() && std::cmp_greater_equal(contents_.header.version_minor, KF_DUMP_VERSION_MINOR))
    note(meta_->offset, meta_->bytes, fmt::format("metadata without {}", fmt::join(parsed.missing, ", ")));
}

// The length of the chunk at the start of `bytes`, 0 when no chunk is there.
std::size_t chunk_bytes(std::span<const std::byte> bytes) {
  kf_chunk head;
  if (bytes.size() < sizeof head) return 0;
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.magic != KF_CHUNK_MAGIC || head.lane > KF_CPU_MASK || head.n_words == 0 ||
      head.n_words > KF_CHUNK_WORDS + KF_EVENT_WORDS_MAX)
    return 0;
  const auto size = sizeof head + head.n_words * sizeof(kf_u64);
  return size <= bytes.size() ? size : 0;
}

void Loader::take_chunks(std::uint64_t offset, Payload payload) {
  for (auto rest = payload.bytes; !rest.empty();) {
    const auto size = chunk_bytes(rest);
    if (size == 0) {
      note(offset, 0,
           fmt::format("the last {} bytes of a chunks section hold no chunk; they are left out", rest.size()));
      ++chunk_damage_;
      break;
    }
    const auto* head = reinterpret_cast<const kf_chunk*>(rest.data());
    const auto* words = reinterpret_cast<const kf_u64*>(rest.data() + sizeof *head);
    const auto n_words = (size - sizeof *head) / sizeof *words;  // as checked: the header may have changed since
    contents_.chunks.push_back({.head = head, .words = {words, n_words}, .damage_before = chunk_damage_});
    rest = rest.subspan(size);
  }
  if (payload.owned) contents_.unpacked.push_back(std::move(payload.owned));
}

// Chunks that the file should hold behind the last one we have are gone.
bool Loader::tail_is_missing() const {
  const auto damage_before_last = contents_.chunks.empty() ? 0 : contents_.chunks.back().damage_before;
  return !contents_.complete || chunk_damage_ > damage_before_last;
}

void Loader::set_window() {
  std::uint64_t evicted_through = 0, first_base = ~std::uint64_t{0}, last = 0;
  for (const auto& lane : contents_.base_lanes)
    if (lane.known) evicted_through = std::max<std::uint64_t>(evicted_through, lane.through_ns);
  for (const auto& chunk : contents_.chunks) {
    first_base = std::min<std::uint64_t>(first_base, chunk.head->base_ns);
    last = std::max<std::uint64_t>(last, chunk.head->last_ns);
  }
  // The first chunks hold events of the time when programs were still being attached, one after the other: complete
  // since the recording began, which only the metadata knows.
  const auto& window = contents_.meta.window;
  const bool from_is_sane = window.from_ns != 0 && window.from_ns <= std::max(last, window.to_ns);
  auto begin = from_is_sane ? std::max<std::uint64_t>(evicted_through, window.from_ns) : evicted_through;
  if (begin == 0 && !contents_.chunks.empty()) begin = first_base;
  // The recorder's own end is later than the last event on an idle machine. It counts when all its chunks are here and
  // it is not absurd.
  const bool near_last = contents_.chunks.empty() || window.to_ns <= last || window.to_ns - last <= kHourNs;
  const bool to_is_sane = window.to_ns != 0 && window.to_ns >= begin && near_last && !tail_is_missing();
  contents_.window_begin_ns = begin;
  contents_.window_end_ns = to_is_sane ? window.to_ns : std::max(begin, last + (last != 0));
}

// The chunks' numbers show holes in front of a chunk. A CPU without a chunk behind the last damage, or behind the cut,
// may have had some there: nothing is known of it from the end of its last one on.
void Loader::doubt_ends_of_lanes() {
  if (contents_.complete && chunk_damage_ == 0) return;
  struct End {
    std::uint64_t ns = 0;
    std::uint32_t damage_before = 0;
  };
  std::map<std::uint16_t, End> ends;
  for (const auto& lane : contents_.base_lanes) {
    End& end = ends[lane.lane];
    end.ns = std::max<std::uint64_t>(end.ns, lane.through_ns);
  }
  for (const auto& chunk : contents_.chunks) {
    End& end = ends[chunk.head->lane & KF_CPU_MASK];
    if (is_nested(*chunk.head)) continue;  // it overtakes others
    end.ns = std::max<std::uint64_t>(end.ns, chunk.head->last_ns);
    end.damage_before = std::max(end.damage_before, chunk.damage_before);
  }
  const auto doubt = [&](std::uint32_t lane, std::uint64_t from_ns) {
    const auto to_ns = contents_.window_end_ns;
    contents_.losses.push_back({.kind = KF_LOSS_UNFLUSHED, .lane = lane, .from_ns = std::min(from_ns, to_ns),
                                .to_ns = to_ns, .count = 0});
  };
  for (const auto& [lane, end] : ends)
    if (!contents_.complete || end.damage_before < chunk_damage_)
      doubt(lane, end.ns != 0 ? end.ns : contents_.window_begin_ns);
  if (ends.size() < contents_.meta.host.cpus_online) doubt(kAnyLane, contents_.window_begin_ns);
}

// Without the base lanes, wherever they stood, what precedes a lane's first chunk looks lost: the file is to blame.
void Loader::doubt_begins_of_lanes() {
  if (!base_lanes_damaged_) return;
  for (auto& chunk : contents_.chunks) ++chunk.damage_before;
}

// A header whose checksum fails is replaced: the version it claims is not to be believed, and the rest of the file may
// well be intact.
Result<> take_header(Dump::Impl& contents, const std::string& name) {
  auto& header = contents.header;
  const auto file = contents.file;
  if (file.empty()) return Error{Errc::kDamaged, fmt::format("{} is empty; it is no kflight dump", name)};
  if (file.size() < sizeof header.magic || std::memcmp(file.data(), "KFLTKR1\n", 8) != 0)
    return Error{Errc::kDamaged, fmt::format("{} is no kflight dump: it does not begin with KFLTKR1; name a file that "
                                             "kflight record or kflight dump wrote",
                                             name)};
  if (file.size() < sizeof header)
    return Error{Errc::kDamaged, fmt::format("{} is cut off inside its header; nothing in it can be read", name)};
  std::memcpy(&header, file.data(), sizeof header);
  if (!checksum_holds(header) || header.header_bytes < sizeof header || header.header_bytes % 8 != 0) {
    header = make_file_header(0);
    contents.damage.push_back({0, sizeof header, "the file header's checksum does not hold; version 1 is assumed"});
    return Ok{};
  }
  if (header.version_major > KF_DUMP_VERSION_MAJOR || header.wire_version > KF_WIRE_VERSION)
    return Error{Errc::kUnsupported,
                 fmt::format("{} was written by a newer kflight (format {}.{}, events {}); this one reads format {}, "
                             "events {}: use a newer kflight",
                             name, header.version_major, header.version_minor, header.wire_version,
                             KF_DUMP_VERSION_MAJOR, KF_WIRE_VERSION)};
  return Ok{};
}

}  // namespace

Result<> load_contents(Dump::Impl& contents, const std::string& name) {
  KF_TRY(take_header(contents, name));
  Loader loader(contents);
  loader.load_sections();
  loader.set_window();
  loader.doubt_ends_of_lanes();
  loader.doubt_begins_of_lanes();
  contents.stacks.finish();
  sort_fd_links(contents.fd_links);
  return Ok{};
}

}  // namespace kflight::dump
