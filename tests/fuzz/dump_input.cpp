// SPDX-License-Identifier: Apache-2.0
#include "fuzz/dump_input.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "base/sinks.hpp"
#include "dump/meta.hpp"
#include "dump/section.hpp"
#include "dump/section_writer.hpp"
#include "fuzz/target.hpp"
#include "support/chunk_builder.hpp"

namespace kflight::fuzz {

namespace {

using test::ChunkBuilder;
using test::Nanos;

constexpr std::string_view kSeparator = "KFCS";

// Few threads, CPUs, requests and stacks, so that events have to do with each other.
class EventsProgram {
 public:
  explicit EventsProgram(Input input) : input_(input) {
    for (kf_u16 lane = 0; lane < kLanes; ++lane) lanes_.emplace_back(lane);
  }

  std::vector<std::byte> run() {
    while (!input_.empty()) step();
    for (auto& lane : lanes_) seal(lane);
    return std::move(chunks_);
  }

 private:
  static constexpr kf_u16 kLanes = 4;
  static constexpr std::size_t kMostWords = 400;  // an event more still fits into a chunk

  kf_u32 tid() {
    const auto byte = input_.byte();
    return byte < 0xf0 ? byte % 16 : input_.number<std::uint16_t>();  // tables by thread stay small, and runs short
  }
  kf_u32 cpu() { return input_.byte() % (kLanes + 1); }
  Nanos time() {
    const auto byte = input_.byte();
    return Nanos((byte & 15) << (byte >> 4) * 2);
  }
  kf_u64 small() { return input_.byte() % 8; }
  kf_sys sys() {
    kf_sys sys{};
    sys.nr = input_.number<std::uint16_t>() % 1100;
    sys.abi = static_cast<kf_u16>(input_.byte() % 3);
    sys.args_taken = static_cast<kf_u16>(input_.byte() % 4);
    for (auto& arg : sys.args) arg = small();
    return sys;
  }
  std::string_view name() { return input_.text(input_.byte() % 24); }

  void seal(ChunkBuilder& lane) {
    if (lane.empty()) return;
    const auto bytes = lane.build().bytes();
    chunks_.insert(chunks_.end(), bytes.begin(), bytes.end());
  }

  void step() {
    const auto op = input_.byte();
    auto& lane = lanes_[op % kLanes];
    now_ += time();
    lane.at(now_);
    event(lane, op / kLanes);
    if (lane.word_count() > kMostWords) seal(lane);
  }

  void switch_event(ChunkBuilder& lane) {
    const auto flags = input_.byte();
    test::SwitchOptions options{.preempt = bool(flags & 1), .iowait = bool(flags & 2), .throttled = bool(flags & 4)};
    options.nsw = input_.byte();
    if (flags & 8) options.sys = sys();
    if (flags & 16) options.in_call_for = time();
    if (flags & 32) options.prio = input_.number<kf_u64>();
    const auto next = tid();
    lane.switch_to(next, flags >> 6 ? KF_ST_SLEEP : input_.byte() % 16, options);
  }
  test::WakingOptions waking_options() {
    test::WakingOptions options{.cpu = cpu(), .delay = time(), .ctx = input_.byte() % 4u};
    options.waker_nr = input_.number<std::uint16_t>();
    options.cause = input_.byte() % 16;
    options.detail = input_.byte();
    options.cause_args.resize(input_.byte() % 3);
    for (auto& arg : options.cause_args) arg = small();
    return options;
  }

  void event(ChunkBuilder& lane, unsigned op) {
    switch (op % 27) {
      case 0:
      case 1:
      case 2:
        return switch_event(lane);
      case 3:
      case 4:
        return void(lane.woken(tid(), waking_options()));
      case 5:
        return void(lane.waking(tid(), waking_options()));
      case 6:
        return void(lane.wakeup(tid(), cpu(), small() == 0, small() == 0));
      case 7:
        return void(lane.migrate(tid(), cpu(), cpu()));
      case 8:
        return void(lane.fork(tid(), tid(), tid(), {small() == 0, small(), small(), name()}));
      case 9:
        return void(lane.exec(tid(), tid(), name(), name()));
      case 10:
        return void(lane.exit(tid(), small() == 0, input_.byte()));
      case 11:
        return void(lane.rename(tid(), name()));
      case 12:
      case 13: {
        test::SyscallOptions options{.took = time(), .entry_unknown = small() == 0, .blocked = small() == 0};
        if (small() != 0) options.args = sys();
        return void(lane.syscall(input_.number<std::uint16_t>() % 1100, input_.number<std::int16_t>(), options));
      }
      case 14:
        return void(lane.syscall_open(sys(), time()));
      case 15:
        return void(lane.block(input_.byte() % 4, input_.byte(), small(), input_.byte(), small()));
      case 16:
        return void(lane.work(small(), time(), time(), tid(), cpu()));
      case 17:
        return void(lane.signal(tid(), input_.byte(), tid()));
      case 18:
        return void(lane.lock_wait(tid(), small()));
      case 19:
        return void(lane.throttle(small(), small()));
      case 20:
        return void(lane.refill(small(), small() == 0));
      case 21:
        return void(lane.stack(tid(), input_.byte() % 4, small(), small(), input_.byte() % 4u << 24));
      case 22:
        return void(lane.raw(input_.number<kf_u64>()));
      case 23:
        return void(lane.current(tid()));
      case 24:
        return seal(lane);
      case 25:
        return void(lane.interrupts(time(), time(), input_.byte() % 4u, input_.byte() % 16u, input_.byte()));
      default:
        if (small() < 4) return void(lane.build());  // lost
        seal(lane);
        lane.nested(small());
        event(lane, input_.byte() % 24);
        return seal(lane);
    }
  }

  Input input_;
  std::vector<ChunkBuilder> lanes_;
  Nanos now_ = Nanos(1'000'000);
  std::vector<std::byte> chunks_;
};

std::string window_metadata(Input input) {
  DumpMeta meta;
  meta.host = {.hostname = "box", .kernel_release = "6.18.0", .cpus_possible = 4, .cpus_online = 4};
  meta.window.from_ns = input.number<std::uint32_t>() * std::uint64_t{1000};
  meta.window.to_ns = meta.window.from_ns + input.number<std::uint32_t>() * std::uint64_t{1000};
  meta.clocks = {.boottime = meta.window.to_ns, .monotonic = meta.window.to_ns, .realtime = meta.window.to_ns};
  meta.config.scope = "system";
  meta.config.syscalls = input.byte() % 2 ? "all" : "slow";
  meta.config.everyone = input.byte() % 2;
  meta.cause.has_call = input.byte() % 2;
  meta.cause.call_in_flight = input.byte() % 2;
  meta.cause.tid = meta.cause.tgid = input.byte() % 16;
  meta.cause.nr = input.number<std::uint16_t>();
  meta.cause.enter_ns = meta.window.from_ns + input.number<std::uint32_t>();
  meta.cause.exit_ns = meta.cause.enter_ns + input.number<std::uint32_t>();
  return dump::to_json(meta);
}

class FileBuilder {
 public:
  FileBuilder() : writer_(sink_, 1) {
    const auto header = dump::make_file_header(1'700'000'000'000'000'000);
    (void)writer_.write_plain(std::as_bytes(std::span(&header, 1)));
  }

  void add(std::string_view part) {
    Input input(std::as_bytes(std::span(part.data(), part.size())));
    const auto kind = input.byte(), how = input.byte();
    if (kind == kCutPart) {
      cut_ = input.number<std::uint16_t>();
    } else if (kind == kEventsPart) {
      const auto chunks = EventsProgram(input).run();
      (void)writer_.write_section(KF_SEC_CHUNKS, chunks);
    } else if (kind == kWindowPart) {
      const auto json = window_metadata(input);
      (void)writer_.write_section(KF_SEC_META, std::as_bytes(std::span(json.data(), json.size())));
    } else if (how == kStorePlain) {
      (void)writer_.write_section(kind, input.rest());
    } else {
      add_lying(kind, how, input.rest());
    }
  }

  std::vector<std::byte> take() {
    (void)writer_.write_index_and_trailer();
    auto file = sink_.take();
    file.resize(file.size() - std::min<std::size_t>(cut_, file.size()));
    return file;
  }

 private:
  // A section that no writer would write, in a frame that is sound.
  void add_lying(std::uint8_t kind, std::uint8_t how, std::span<const std::byte> payload) {
    const bool zstd = how & kStoreAsZstd;
    const auto raw_bytes = zstd ? std::min(payload.size() * (how >> 3), dump::kMaxSectionBytes) : payload.size();
    auto header = dump::make_section_header(kind, zstd ? KF_SECTION_ZSTD : 0, payload, raw_bytes);
    header.version += how & kStoreBadVersion ? 1 : 0;
    header.checksum += how & kStoreBadChecksum ? 1 : 0;
    header.header_checksum =
        dump::checksum(std::as_bytes(std::span(&header, 1)).first(offsetof(kf_section, header_checksum)));
    std::vector<std::byte> frame(sizeof header + dump::padded_to_8(payload.size()));
    std::memcpy(frame.data(), &header, sizeof header);
    std::ranges::copy(payload, frame.begin() + sizeof header);
    (void)writer_.write_plain(frame);
  }

  MemorySink sink_;
  dump::SectionWriter writer_;
  std::size_t cut_ = 0;
};

}  // namespace

std::vector<std::byte> dump_file_of(const std::uint8_t* data, std::size_t size) {
  auto text = text_of(data, size);
  if (text.starts_with("KFLTKR1\n")) {
    const auto bytes = std::as_bytes(std::span(data, size));
    return {bytes.begin(), bytes.end()};
  }
  FileBuilder file;
  while (!text.empty()) {
    const auto end = text.find(kSeparator);
    if (end != 0) file.add(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + kSeparator.size());
  }
  return file.take();
}

}  // namespace kflight::fuzz
