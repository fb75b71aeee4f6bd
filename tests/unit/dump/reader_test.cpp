// SPDX-License-Identifier: Apache-2.0
//
// The reader against whole, cut, flipped and hostile files; about 600 lines, a case per section.
#include <gmock/gmock.h>
#include <zstd.h>

#include <functional>
#include <tuple>

#include "dump/meta.hpp"
#include "dump/section.hpp"
#include "dump/section_writer.hpp"
#include "kflight/dump.hpp"
#include "support/sample_dump.hpp"
#include "support/temp_dir.hpp"

namespace kflight::dump {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Bytes = std::vector<std::byte>;

template <class T>
void append(Bytes& file, const T& value) {
  const auto bytes = std::as_bytes(std::span{&value, 1});
  file.insert(file.end(), bytes.begin(), bytes.end());
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& records) {
  return std::as_bytes(std::span{records});
}

// A file put together by hand: any header, any payload, checksums that hold.
class FileBuilder {
 public:
  FileBuilder() { append(file_, make_file_header(1)); }

  FileBuilder& section(kf_u16 kind, std::span<const std::byte> stored, std::uint64_t raw_bytes, kf_u32 flags = 0) {
    append(file_, make_section_header(kind, flags, stored, raw_bytes));
    file_.insert(file_.end(), stored.begin(), stored.end());
    file_.resize(padded_to_8(file_.size()));
    return *this;
  }
  FileBuilder& section(kf_u16 kind, std::span<const std::byte> stored) { return section(kind, stored, stored.size()); }
  FileBuilder& chunk(const test::BuiltChunk& chunk) { return section(KF_SEC_CHUNKS, chunk.bytes()); }
  FileBuilder& garbage(std::size_t bytes) {
    file_.insert(file_.end(), bytes, std::byte{0xaa});
    return *this;
  }
  Bytes& file() { return file_; }

 private:
  Bytes file_;
};

// A file with index and trailer, in which some sections are damaged.
class CompleteFile {
 public:
  CompleteFile() {
    const auto header = make_file_header(1);
    EXPECT_TRUE(sections_.write_plain(std::as_bytes(std::span{&header, 1})));
  }
  CompleteFile& section(kf_u16 kind, std::span<const std::byte> payload) {
    last_payload_ = sink_.bytes().size() + sizeof(kf_section);
    EXPECT_TRUE(sections_.write_section(kind, payload));
    return *this;
  }
  CompleteFile& meta(const DumpMeta& meta) {
    const auto json = to_json(meta);
    return section(KF_SEC_META, std::as_bytes(std::span{json}));
  }
  CompleteFile& chunk(const test::BuiltChunk& chunk) { return section(KF_SEC_CHUNKS, chunk.bytes()); }
  CompleteFile& damaged() {  // the last section
    damaged_.push_back(last_payload_);
    return *this;
  }
  Bytes file() {
    EXPECT_TRUE(sections_.write_index_and_trailer());
    Bytes file = sink_.take();
    for (const auto at : damaged_) file[at] ^= std::byte{1};
    return file;
  }

 private:
  MemorySink sink_;
  SectionWriter sections_{sink_, kDefaultZstdLevel};
  std::size_t last_payload_ = 0;
  std::vector<std::size_t> damaged_;
};

Dump open_bytes(std::span<const std::byte> file) {
  auto dump = Dump::from_bytes(file);
  EXPECT_TRUE(dump) << (dump ? "" : dump.error().what);
  return std::move(*dump);
}

std::vector<Event> events_of(const Dump& dump) {
  std::vector<Event> events;
  for (const auto& event : dump.events()) events.push_back(event);
  return events;
}

std::vector<LossEvent> losses_of(const Dump& dump) {
  std::vector<LossEvent> losses;
  for (const auto& event : dump.events()) visit(event, [&](const LossEvent& e) { losses.push_back(e); });
  return losses;
}

// Losses not counted.
std::size_t decoded_events(const Dump& dump) {
  std::size_t count = 0;
  for (const auto& event : dump.events()) count += !std::holds_alternative<LossEvent>(event);
  return count;
}

std::string damage_text(const Dump& dump) {
  std::string text;
  for (const auto& damage : dump.damage()) text += damage.what + "\n";
  return text;
}

// Everything a reader can learn from a dump, to compare two of them.
std::string fingerprint(const Dump& dump) {
  std::string all = to_json(dump.meta());
  const auto add = [&](auto records) {
    const auto bytes = std::as_bytes(records);
    all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    all += '|';
  };
  add(dump.tasks());
  add(dump.base_tasks());
  add(dump.base_lanes());
  add(dump.open_calls());
  add(dump.resolutions());
  add(dump.losses());
  for (const auto& event : events_of(dump))
    all += std::to_string(event.index()) + '@' + std::to_string(head(event).ts_ns) + ' ';
  return all;
}

// ---- whole files

TEST(Reader, RoundTrip) {
  const auto file = test::sample_dump();
  const auto dump = open_bytes(file);
  EXPECT_TRUE(dump.complete());
  EXPECT_THAT(damage_text(dump), IsEmpty());
  EXPECT_EQ(dump.file_bytes(), file.size());
  EXPECT_EQ(dump.header().created_ns, test::kSampleCreatedNs);
  EXPECT_EQ(dump.meta().cause.comm.view(), "worker");
  EXPECT_THAT(dump.meta_json(), HasSubstr("\"hostname\": \"box\""));
  ASSERT_EQ(dump.tasks().size(), 2u);
  EXPECT_STREQ(dump.tasks()[1].comm, "worker");
  EXPECT_EQ(dump.base_tasks().size(), 1u);
  EXPECT_EQ(dump.base_lanes().size(), 2u);
  EXPECT_EQ(dump.open_calls().size(), 1u);
  EXPECT_EQ(dump.losses()[0].count, 3u);
  EXPECT_EQ(events_of(dump).size(), 18u);
  EXPECT_EQ(dump.window_begin_ns(), 10'000u);
  EXPECT_EQ(dump.window_end_ns(), 19'500u);
}

TEST(Reader, OpensAFileAndOutlivesItsName) {
  test::TempDir dir;
  const auto file = test::sample_dump();
  test::write_text(dir.file("a.kfr"), {reinterpret_cast<const char*>(file.data()), file.size()});
  auto opened = Dump::open(dir.file("a.kfr"));
  ASSERT_TRUE(opened);
  const Dump dump = std::move(*opened);
  ASSERT_EQ(::unlink(dir.file("a.kfr").c_str()), 0);
  EXPECT_EQ(fingerprint(dump), fingerprint(open_bytes(file)));
}

TEST(Reader, UnalignedBytesReadTheSame) {
  const auto file = test::sample_dump();
  Bytes shifted(file.size() + 1);
  std::copy(file.begin(), file.end(), shifted.begin() + 1);
  EXPECT_EQ(fingerprint(open_bytes(std::span{shifted}.subspan(1))), fingerprint(open_bytes(file)));
}

TEST(Reader, TwoRangesAreIndependent) {
  const auto file = test::sample_dump();
  const auto dump = open_bytes(file);
  auto first = dump.events();
  auto it = first.begin();
  ++it;
  EXPECT_EQ(events_of(dump).size(), 18u);
  EXPECT_NE(it, first.end());
}

// ---- what is no dump, or not ours

TEST(Reader, SaysWhatIsNoDump) {
  EXPECT_THAT(Dump::from_bytes({}).error().what, HasSubstr("is empty"));
  const std::string text = "#!/bin/sh\necho hello, this is a script, not a dump at all\n";
  const auto script = Dump::from_bytes(std::as_bytes(std::span{text}));
  ASSERT_FALSE(script);
  EXPECT_EQ(script.error().code, Errc::kDamaged);
  EXPECT_THAT(script.error().what, HasSubstr("no kflight dump"));
  EXPECT_EQ(Dump::open("/nonexistent.kfr").error().code, Errc::kNotFound);
  EXPECT_EQ(Dump::open("/dev").error().code, Errc::kUsage);
}

TEST(Reader, RefusesANewerMajorVersion) {
  auto header = make_file_header(1);
  header.version_major = 2;
  header.checksum = checksum(std::as_bytes(std::span{&header, 1}).first(offsetof(kf_dump_header, checksum)));
  Bytes file;
  append(file, header);
  const auto dump = Dump::from_bytes(file);
  ASSERT_FALSE(dump);
  EXPECT_EQ(dump.error().code, Errc::kUnsupported);
  EXPECT_THAT(dump.error().what, HasSubstr("written by a newer kflight (format 2."));
}

TEST(Reader, SkipsUnknownSectionKindsSilently) {
  const auto file_with = [](bool unknown) {
    CompleteFile builder;
    if (unknown) builder.section(4242, bytes_of(std::vector<int>{1, 2, 3}));
    builder.meta(test::sample_meta()).section(KF_SEC_TASKS, bytes_of(test::sample_tasks()));
    return builder.chunk(test::sample_chunks()[0]).file();
  };
  const auto plain = file_with(false), extended = file_with(true);
  const auto dump = open_bytes(extended);
  EXPECT_EQ(fingerprint(dump), fingerprint(open_bytes(plain)));
  EXPECT_THAT(damage_text(dump), IsEmpty());
}

TEST(Reader, LeavesOutASectionOfALaterLayout) {
  auto tasks = test::sample_tasks();
  auto header = make_section_header(KF_SEC_TASKS, 0, bytes_of(tasks), bytes_of(tasks).size());
  header.version = 2;
  header.header_checksum = checksum(std::as_bytes(std::span{&header, 1}).first(offsetof(kf_section, header_checksum)));
  FileBuilder builder;
  append(builder.file(), header);
  builder.file().insert(builder.file().end(), bytes_of(tasks).begin(), bytes_of(tasks).end());
  const auto dump = open_bytes(builder.file());
  EXPECT_TRUE(dump.tasks().empty());
  EXPECT_THAT(damage_text(dump), HasSubstr("the tasks section has layout 2"));
}

// ---- damage

TEST(Reader, EveryFlippedByteIsReportedOrHarmless) {
  const auto whole = test::sample_dump();
  const auto expected = fingerprint(open_bytes(whole));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    auto file = whole;
    file[at] ^= std::byte{0x5a};
    const auto dump = Dump::from_bytes(file);
    if (!dump) {
      EXPECT_LT(at, 8u) << dump.error().what;  // only the magic number decides that it is no dump
      continue;
    }
    if (dump->damage().empty()) {
      EXPECT_EQ(fingerprint(*dump), expected) << at;
      EXPECT_TRUE(dump->complete()) << at;
    } else {
      events_of(*dump);
    }
  }
}

TEST(Reader, EveryLengthIsReadAsFarAsItGoes) {
  const auto whole = test::sample_dump();
  std::size_t most_events = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes file(whole.begin(),
                     whole.begin() + static_cast<std::ptrdiff_t>(size));  // own block: ASan sees overreads
    const auto dump = Dump::from_bytes(file);
    if (!dump) {
      EXPECT_LT(size, sizeof(kf_dump_header));
      continue;
    }
    EXPECT_FALSE(dump->complete());
    EXPECT_THAT(damage_text(*dump), HasSubstr("does not end with a valid trailer"));
    const auto events = events_of(*dump).size();
    EXPECT_GE(events, most_events);
    most_events = events;
  }
  EXPECT_EQ(most_events, 18u);
}

TEST(Reader, GoesOnBehindGarbage) {
  const auto chunks = test::sample_chunks();
  FileBuilder builder;
  builder.chunk(chunks[0]).garbage(1000).chunk(chunks[1]);
  const auto dump = open_bytes(builder.file());
  EXPECT_EQ(decoded_events(dump), 6u);
  ASSERT_FALSE(dump.damage().empty());
  EXPECT_EQ(dump.damage()[0].bytes, 1000u);
  EXPECT_EQ(dump.damage()[0].what, "no section header here");
}

TEST(Reader, DamagedChunksBecomeALossOfTheFile) {
  const auto chunks = test::sample_chunks();  // 0, 2, 4 are those of CPU 0
  FileBuilder builder;
  builder.chunk(chunks[0]).chunk(chunks[2]);
  const auto damaged_at = builder.file().size() - 1;
  builder.chunk(chunks[4]);
  builder.file()[damaged_at] ^= std::byte{1};
  const auto dump = open_bytes(builder.file());
  const auto losses = losses_of(dump);
  ASSERT_FALSE(losses.empty());
  const LossEvent& loss = losses.back();
  EXPECT_EQ(loss.reason, 2);
  EXPECT_EQ(loss.cpu, 0);
  EXPECT_EQ(loss.from_ns, chunks[0].head.last_ns);
  EXPECT_EQ(loss.ts_ns, chunks[4].head.base_ns);
}

TEST(Reader, DamagedBaseLanesAreNoLossInTheRing) {
  const auto lanes = test::sample_base_lanes();
  const auto chunks = test::sample_chunks();  // number 5, 50 events before: nothing is missing
  for (const bool lanes_first : {true, false}) {
    CompleteFile builder;
    if (lanes_first) builder.section(KF_SEC_BASE_LANES, bytes_of(lanes)).damaged();
    for (const auto& chunk : chunks) builder.chunk(chunk);
    if (!lanes_first) builder.section(KF_SEC_BASE_LANES, bytes_of(lanes)).damaged();
    const auto file = builder.file();
    const auto dump = open_bytes(file);
    EXPECT_TRUE(dump.base_lanes().empty());
    const auto losses = losses_of(dump);
    EXPECT_EQ(losses.size(), 2u);
    EXPECT_THAT(losses, Each(testing::Field(&LossEvent::reason, 2)));
    EXPECT_THAT(losses, Each(testing::Field(&LossEvent::count, 0)));
    EXPECT_TRUE(dump.losses().empty()) << "all chunks are there";
  }
}

TEST(Reader, BadChunkHeaderEndsOnlyItsSection) {
  const auto chunks = test::sample_chunks();
  auto bytes = chunks[0].bytes();
  bytes.resize(bytes.size() + 64, std::byte{0x11});
  FileBuilder builder;
  builder.section(KF_SEC_CHUNKS, bytes).chunk(chunks[1]);
  const auto dump = open_bytes(builder.file());
  EXPECT_EQ(decoded_events(dump), 6u);
  EXPECT_THAT(damage_text(dump), HasSubstr("the last 64 bytes of a chunks section hold no chunk"));
}

TEST(Reader, TableCutInsideARecordKeepsTheWholeOnes) {
  const auto tasks = test::sample_tasks();
  FileBuilder builder;
  builder.section(KF_SEC_TASKS, bytes_of(tasks).first(sizeof(kf_task) + 100));
  const auto dump = open_bytes(builder.file());
  EXPECT_EQ(dump.tasks().size(), 1u);
  EXPECT_THAT(damage_text(dump), HasSubstr("the tasks section ends inside a record"));
}

TEST(Reader, NamesAreAlwaysTerminated) {
  std::vector<kf_task> tasks(1);
  std::memset(tasks[0].comm, 'x', sizeof tasks[0].comm);
  FileBuilder builder;
  builder.section(KF_SEC_TASKS, bytes_of(tasks));
  const auto dump = open_bytes(builder.file());
  EXPECT_STREQ(dump.tasks()[0].comm, "xxxxxxxxxxxxxxx");
}

TEST(Reader, FarTooManyDamagedPlacesAreSummedUp) {
  FileBuilder builder;
  const auto tasks = test::sample_tasks();
  for (int i = 0; i < 1000; ++i) builder.section(KF_SEC_TASKS, bytes_of(tasks).first(1));
  const auto dump = open_bytes(builder.file());
  EXPECT_LE(dump.damage().size(), 257u);
  EXPECT_THAT(dump.damage().back().what, HasSubstr("more places"));
}

// ---- metadata

Bytes with_metas(const std::vector<std::string>& texts, bool last_is_damaged) {
  CompleteFile builder;
  for (const auto& text : texts) builder.section(KF_SEC_META, std::as_bytes(std::span{text}));
  if (last_is_damaged) builder.damaged();
  return builder.file();
}

std::string meta_of(std::string hostname) {
  auto meta = test::sample_meta();
  meta.host.hostname = std::move(hostname);
  return to_json(meta);
}

TEST(Metadata, LastSectionCounts) {
  const auto file = with_metas({meta_of("first"), "no JSON", meta_of("last")}, false);
  const auto dump = open_bytes(file);
  EXPECT_EQ(dump.meta().host.hostname, "last");
  EXPECT_EQ(dump.meta_json(), meta_of("last"));
  EXPECT_THAT(damage_text(dump), IsEmpty());
}

TEST(Metadata, DamagedSectionDoesNotCount) {
  const auto file = with_metas({meta_of("first"), meta_of("last")}, true);
  const auto dump = open_bytes(file);
  EXPECT_EQ(dump.meta().host.hostname, "first");
  EXPECT_THAT(damage_text(dump), HasSubstr("the metadata section's checksum does not hold"));
  EXPECT_THAT(damage_text(dump), Not(HasSubstr("no usable metadata")));
}

TEST(Metadata, LastSectionThatIsNoJsonLeavesNone) {
  const auto file = with_metas({meta_of("first"), "no JSON"}, false);
  const auto dump = open_bytes(file);
  EXPECT_EQ(dump.meta().host.hostname, "");
  EXPECT_EQ(dump.meta_json(), "");
  EXPECT_THAT(damage_text(dump), HasSubstr("metadata: it is no valid JSON"));
  EXPECT_THAT(damage_text(dump), HasSubstr("no usable metadata"));
}

// ---- hostile sizes

TEST(Reader, RefusesZipBombs) {
  const Bytes zeros(8 << 20);
  Bytes packed(ZSTD_compressBound(zeros.size()));
  packed.resize(ZSTD_compress(packed.data(), packed.size(), zeros.data(), zeros.size(), 1));
  FileBuilder builder;
  builder.section(KF_SEC_TASKS, packed, zeros.size(), KF_SECTION_ZSTD);
  const auto dump = open_bytes(builder.file());
  EXPECT_TRUE(dump.tasks().empty());
  EXPECT_THAT(damage_text(dump), HasSubstr("sizes that no dump may have"));
}

TEST(Reader, DecompressesNoMoreThanPromised) {
  const Bytes zeros(64 << 10);
  Bytes packed(ZSTD_compressBound(zeros.size()));
  packed.resize(ZSTD_compress(packed.data(), packed.size(), zeros.data(), zeros.size(), 1));
  for (const std::uint64_t claim :
       {std::uint64_t{16}, std::uint64_t{packed.size() * kMaxExpansion}, std::uint64_t{0}}) {
    FileBuilder builder;
    builder.section(KF_SEC_TASKS, packed, claim, KF_SECTION_ZSTD);
    const auto dump = open_bytes(builder.file());
    EXPECT_TRUE(dump.tasks().empty());
    EXPECT_THAT(damage_text(dump), HasSubstr("does not decompress to the"));
  }
}

TEST(Reader, HugeClaimsAreOnlyClaims) {
  for (const std::uint64_t claim :
       {~std::uint64_t{0}, ~std::uint64_t{0} - 47, std::uint64_t{1} << 63, std::uint64_t{1} << 40}) {
    FileBuilder builder;
    kf_section header = make_section_header(KF_SEC_CHUNKS, 0, {}, 0);
    header.stored_bytes = header.raw_bytes = claim;
    header.header_checksum =
        checksum(std::as_bytes(std::span{&header, 1}).first(offsetof(kf_section, header_checksum)));
    append(builder.file(), header);
    builder.chunk(test::sample_chunks()[0]);
    const auto dump = open_bytes(builder.file());
    EXPECT_EQ(decoded_events(dump), 3u) << "the section behind it is found";
    EXPECT_THAT(dump.damage(), Not(IsEmpty()));
  }
}

// ---- the window

TEST(Window, WithoutEvictionBeginsWithTheRecording) {
  auto meta = test::sample_meta();
  meta.window.from_ns = 5'000;
  const auto json = to_json(meta);
  FileBuilder builder;
  builder.section(KF_SEC_META, std::as_bytes(std::span{json})).chunk(test::sample_chunks()[0]);
  EXPECT_EQ(open_bytes(builder.file()).window_begin_ns(), 5'000u);
}

TEST(Window, WithoutMetadataIsWhatTheChunksHold) {
  const auto chunk = test::sample_chunks()[0];
  FileBuilder builder;
  builder.chunk(chunk);
  const auto dump = open_bytes(builder.file());
  EXPECT_EQ(dump.window_begin_ns(), chunk.head.base_ns);
  EXPECT_EQ(dump.window_end_ns(), chunk.head.last_ns + 1);
  EXPECT_THAT(damage_text(dump), HasSubstr("no usable metadata"));
}

TEST(Window, DoesNotBelieveAnAbsurdEnd) {
  auto meta = test::sample_meta();
  meta.window.to_ns = ~std::uint64_t{0};
  const auto json = to_json(meta);
  const auto chunk = test::sample_chunks()[0];
  FileBuilder builder;
  builder.section(KF_SEC_META, std::as_bytes(std::span{json})).chunk(chunk);
  EXPECT_EQ(open_bytes(builder.file()).window_end_ns(), chunk.head.last_ns + 1);
}

TEST(Window, OfAFileCutShortEndsWithItsLastEvent) {
  auto file = test::sample_dump();
  const auto last_ns = test::sample_chunks().back().head.last_ns;
  EXPECT_EQ(open_bytes(file).window_end_ns(), 19'500u);
  file.resize(file.size() - 1);
  EXPECT_EQ(open_bytes(file).window_end_ns(), last_ns + 1);
}

// ---- what CPUs may have done behind their last chunk

using LossOfLane = std::tuple<kf_u32, kf_u64, kf_u64>;  // lane, from, to

std::vector<LossOfLane> missing_ends(const Dump& dump) {
  std::vector<LossOfLane> out;
  for (const kf_loss& loss : dump.losses()) {
    EXPECT_EQ(loss.kind, kf_u32{KF_LOSS_UNFLUSHED});
    EXPECT_EQ(loss.count, 0u);
    out.emplace_back(loss.lane, loss.from_ns, loss.to_ns);
  }
  return out;
}

// Two CPUs; `chunks` are sections of their own.
struct TwoCpus {
  std::vector<test::BuiltChunk> chunks = test::sample_chunks();  // 0, 2, 4 of CPU 0; 1, 3, 5 of CPU 1
  std::vector<kf_base_lane> lanes = test::sample_base_lanes();
  CompleteFile builder;

  TwoCpus() {
    auto meta = test::sample_meta();
    meta.host.cpus_online = 2;
    builder.meta(meta);
  }
  CompleteFile& with_lanes() { return builder.section(KF_SEC_BASE_LANES, bytes_of(lanes)); }
  std::uint64_t last_ns(std::size_t chunk) const { return chunks[chunk].head.last_ns; }
};

TEST(MissingEnds, IntactFileHasNone) {
  TwoCpus cpus;
  const auto file = cpus.with_lanes().chunk(cpus.chunks[0]).chunk(cpus.chunks[1]).chunk(cpus.chunks[2]).file();
  const auto dump = open_bytes(file);
  EXPECT_THAT(damage_text(dump), IsEmpty());
  EXPECT_THAT(missing_ends(dump), IsEmpty());
}

TEST(MissingEnds, DamagedLastChunksAreALossOfEachCpuUntilTheWindowEnds) {
  TwoCpus cpus;
  cpus.with_lanes().chunk(cpus.chunks[0]).chunk(cpus.chunks[1]).chunk(cpus.chunks[2]).chunk(cpus.chunks[4]);
  const auto file = cpus.builder.chunk(cpus.chunks[3]).damaged().file();
  const auto dump = open_bytes(file);
  EXPECT_TRUE(dump.complete());
  const auto end_ns = cpus.last_ns(4) + 1;
  EXPECT_EQ(dump.window_end_ns(), end_ns);
  EXPECT_THAT(missing_ends(dump),
              ElementsAre(LossOfLane(0, cpus.last_ns(4), end_ns), LossOfLane(1, cpus.last_ns(1), end_ns)));
}

TEST(MissingEnds, CutFileMayLackTheLastOfEachCpu) {
  TwoCpus cpus;
  auto file = cpus.with_lanes().chunk(cpus.chunks[0]).chunk(cpus.chunks[2]).file();
  file.resize(file.size() - 1);
  const auto dump = open_bytes(file);
  const auto end_ns = cpus.last_ns(2) + 1;
  EXPECT_THAT(missing_ends(dump), ElementsAre(LossOfLane(0, cpus.last_ns(2), end_ns),
                                              LossOfLane(1, cpus.lanes[1].through_ns, end_ns)));
}

TEST(MissingEnds, DamageInTheMiddleConcernsWhoHasNothingBehindIt) {
  TwoCpus cpus;
  cpus.with_lanes().chunk(cpus.chunks[0]).chunk(cpus.chunks[1]).chunk(cpus.chunks[3]).damaged();
  const auto file = cpus.builder.chunk(cpus.chunks[2]).file();
  const auto dump = open_bytes(file);
  EXPECT_EQ(dump.window_end_ns(), 19'500u);
  EXPECT_THAT(missing_ends(dump), ElementsAre(LossOfLane(1, cpus.last_ns(1), 19'500)));
}

TEST(MissingEnds, CpusThatNothingIsKnownOfMayLackEverything) {
  TwoCpus cpus;
  const auto file = cpus.builder.chunk(cpus.chunks[0]).chunk(cpus.chunks[1]).damaged().file();
  const auto dump = open_bytes(file);
  const auto end_ns = cpus.last_ns(0) + 1;
  EXPECT_THAT(missing_ends(dump), ElementsAre(LossOfLane(0, cpus.last_ns(0), end_ns),
                                              LossOfLane(0xffffffff, dump.window_begin_ns(), end_ns)));
}

// A nested event overtakes the chunk that it interrupted.
TEST(MissingEnds, NestedEventDoesNotSayHowFarItsCpuIsKnown) {
  TwoCpus cpus;
  const auto nested = test::ChunkBuilder(1).at(std::chrono::microseconds(18)).nested(0).wakeup(2, 0).build();
  auto file = cpus.with_lanes().chunk(cpus.chunks[0]).chunk(cpus.chunks[1]).chunk(nested).file();
  file.resize(file.size() - 1);
  const auto dump = open_bytes(file);
  EXPECT_THAT(missing_ends(dump),
              ElementsAre(LossOfLane(0, cpus.last_ns(0), 18'001), LossOfLane(1, cpus.last_ns(1), 18'001)));
}

TEST(HostileFile, ThreadsAndCpusStayInTheRangeOfTheKernels) {
  kf_task task{};
  kf_base_task base_task{};
  kf_base_lane base_lane{};
  task.tid = base_task.tid = base_task.waker_tid = base_lane.cur_tid = ~0u;
  task.cpu = base_task.in_cpu = base_task.wakeup_cpu = base_lane.lane = 0xffff;
  auto chunk = test::ChunkBuilder(0).at(std::chrono::microseconds(1)).wakeup(1, 0).build();
  chunk.head.lane = 0xffff;
  FileBuilder file;
  file.section(KF_SEC_TASKS, std::as_bytes(std::span{&task, 1}))
      .section(KF_SEC_BASE_TASKS, std::as_bytes(std::span{&base_task, 1}))
      .section(KF_SEC_BASE_LANES, std::as_bytes(std::span{&base_lane, 1}))
      .chunk(chunk);
  const Dump dump = open_bytes(file.file());
  EXPECT_EQ(dump.tasks()[0].tid, KF_TID_MASK);
  EXPECT_EQ(dump.tasks()[0].cpu, KF_CPU_MASK);
  EXPECT_EQ(dump.base_tasks()[0].tid, KF_TID_MASK);
  EXPECT_EQ(dump.base_tasks()[0].waker_tid, KF_TID_MASK);
  EXPECT_EQ(dump.base_tasks()[0].in_cpu, KF_CPU_MASK);
  EXPECT_EQ(dump.base_tasks()[0].wakeup_cpu, KF_CPU_MASK);
  EXPECT_EQ(dump.base_lanes()[0].lane, KF_CPU_MASK);
  EXPECT_EQ(dump.base_lanes()[0].cur_tid, KF_TID_MASK);
  EXPECT_TRUE(dump.chunks().empty());
}

}  // namespace
}  // namespace kflight::dump
