// SPDX-License-Identifier: Apache-2.0
//
// The two texts that are generated from the field table: JSON for the dump, Markdown for docs/events.md.
#include "dump/schema.hpp"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

namespace kflight::dump {
namespace {

template <class T>
constexpr std::string_view kTypeName = "";
template <>
constexpr std::string_view kTypeName<bool> = "bool";
template <>
constexpr std::string_view kTypeName<std::uint8_t> = "u8";
template <>
constexpr std::string_view kTypeName<std::uint16_t> = "u16";
template <>
constexpr std::string_view kTypeName<std::uint32_t> = "u32";
template <>
constexpr std::string_view kTypeName<std::uint64_t> = "u64";
template <>
constexpr std::string_view kTypeName<std::int64_t> = "s64";
template <>
constexpr std::string_view kTypeName<std::array<std::uint64_t, 2>> = "u64[2]";
template <>
constexpr std::string_view kTypeName<Comm> = "text";
template <>
constexpr std::string_view kTypeName<std::string_view> = "text";
template <>
constexpr std::string_view kTypeName<kf_sys> = "call";

std::string_view meaning_name(Meaning meaning) {
  switch (meaning) {
    case Meaning::kTime:
      return "time";
    case Meaning::kTid:
      return "tid";
    case Meaning::kTgid:
      return "tgid";
    case Meaning::kCpu:
      return "cpu";
    case Meaning::kFlag:
      return "flag";
    case Meaning::kState:
      return "state";
    case Meaning::kPrio:
      return "prio";
    case Meaning::kPolicy:
      return "policy";
    case Meaning::kContext:
      return "context";
    case Meaning::kSyscall:
      return "syscall";
    case Meaning::kAbi:
      return "abi";
    case Meaning::kCall:
      return "call";
    case Meaning::kResult:
      return "result";
    case Meaning::kCause:
      return "cause";
    case Meaning::kLoss:
      return "loss";
    case Meaning::kRole:
      return "role";
    case Meaning::kStack:
      return "stack";
    case Meaning::kStatus:
      return "status";
    case Meaning::kPhase:
      return "phase";
    case Meaning::kBlockOp:
      return "operation";
    case Meaning::kDevice:
      return "device";
    case Meaning::kSignal:
      return "signal";
    case Meaning::kText:
      return "text";
    case Meaning::kCount:
      return "count";
    case Meaning::kNumber:
      return "number";
  }
  return "";
}

// The table without its types, for the writers below.
struct FieldRow {
  FieldInfo info;
  std::string_view type;
};
struct EventRow {
  EventDoc doc;
  std::vector<FieldRow> fields;
};

template <class E>
std::vector<FieldRow> field_rows() {
  const auto row = [](const auto& f) {
    constexpr auto type = kTypeName<typename std::decay_t<decltype(f)>::Type>;
    static_assert(!type.empty(), "a field's type has no name for the schema");
    return FieldRow{f.info, type};
  };
  return std::apply([&](const auto&... f) { return std::vector<FieldRow>{row(f)...}; }, Schema<E>::fields);
}

template <class>
struct Rows;
template <class... Es>
struct Rows<std::variant<Es...>> {
  static std::vector<EventRow> all() { return {EventRow{Schema<Es>::doc, field_rows<Es>()}...}; }
};

nlohmann::ordered_json to_json(const std::vector<FieldRow>& fields) {
  auto out = nlohmann::ordered_json::array();
  for (const auto& f : fields)
    out.push_back(
        {{"name", f.info.name}, {"type", f.type}, {"meaning", meaning_name(f.info.meaning)}, {"doc", f.info.doc}});
  return out;
}

void append_table(std::string& out, const std::vector<FieldRow>& fields) {
  out += "| field | type | meaning | description |\n|---|---|---|---|\n";
  for (const auto& f : fields)
    fmt::format_to(std::back_inserter(out), "| `{}` | {} | {} | {} |\n", f.info.name, f.type,
                   meaning_name(f.info.meaning), f.info.doc);
}

std::string where_recorded(const EventDoc& doc) {
  if (doc.word_kind == 0) return "Not recorded: the reader finds it.";
  if (doc.word_kind != KF_EV_GENERIC) return fmt::format("Recorded as kind {}.", doc.word_kind);
  return fmt::format("Recorded as kind {}, generic kind {}.", doc.word_kind, doc.generic_kind);
}

constexpr std::string_view kIntroduction =
    R"(<!-- Generated from userspace/dump/schema.hpp: change the table there, then run
     KFLIGHT_UPDATE_DOCS=1 unit_dump --gtest_filter='Schema.EventsDocIsUpToDate' -->
# Events

What a dump decodes to, kind by kind. `kflight events FILE --format jsonl` prints them under these names, the C++ structs
of `kflight/event.hpp` use the same ones, and every dump carries this list as JSON. How events are packed is described in
`kflight/wire.h` and [dump-format.md](dump-format.md).

Times are CLOCK_BOOTTIME in nanoseconds. Thread ids are those of the initial PID namespace; 0 is the idle task. A call
(`call`) has the members `nr`, `abi`, `args_taken` (0 none, 1 the first argument, 2 three, 3 four) and `args`; of the
second and third argument only the low 32 bits are recorded.

## Every event

)";

}  // namespace

std::string schema_json() {
  nlohmann::ordered_json out;
  out["wire_version"] = KF_WIRE_VERSION;
  out["head"] = to_json(field_rows<EventHead>());
  auto& events = out["events"] = nlohmann::ordered_json::array();
  for (const auto& event : Rows<Event>::all()) {
    nlohmann::ordered_json entry = {{"kind", event.doc.kind}, {"doc", event.doc.doc}};
    if (event.doc.word_kind != 0) entry["word_kind"] = event.doc.word_kind;
    if (event.doc.generic_kind != 0) entry["generic_kind"] = event.doc.generic_kind;
    entry["fields"] = to_json(event.fields);
    events.push_back(std::move(entry));
  }
  return out.dump();
}

std::string schema_markdown() {
  std::string out(kIntroduction);
  append_table(out, field_rows<EventHead>());
  for (const auto& event : Rows<Event>::all()) {
    fmt::format_to(std::back_inserter(out), "\n## {}\n{} {}\n\n", event.doc.kind, event.doc.doc,
                   where_recorded(event.doc));
    append_table(out, event.fields);
  }
  return out;
}

}  // namespace kflight::dump
