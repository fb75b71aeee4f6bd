// SPDX-License-Identifier: Apache-2.0
//
// meta.cpp - each structure's fields are listed once, in describe(); Saver and MetaReader walk the same lists, so what is
// written is what is read.
#include "dump/meta.hpp"

#include <fmt/format.h>

#include <concepts>
#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/escape.hpp"

namespace kflight::dump {

namespace {

using Json = nlohmann::ordered_json;

// ---- the fields

template <class Archive>
void describe(Archive& archive, HostInfo& host) {
  archive("hostname", host.hostname);
  archive("kernel_release", host.kernel_release);
  archive("kernel_version", host.kernel_version);
  archive("machine", host.machine);
  archive("boot_id", host.boot_id);
  archive("cpus_possible", host.cpus_possible);
  archive("cpus_online", host.cpus_online);
  archive("clock_tick_hz", host.clock_tick_hz);
}

template <class Archive>
void describe(Archive& archive, ClockReading& clocks) {
  archive("boottime_ns", clocks.boottime);
  archive("monotonic_ns", clocks.monotonic);
  archive("realtime_ns", clocks.realtime);
}

template <class Archive>
void describe(Archive& archive, RecordedConfig& config) {
  archive("kflight_version", config.kflight_version);
  archive("target_pids", config.target_pids);
  archive("comm_globs", config.comm_globs);
  archive("command", config.command);
  archive("everyone", config.everyone);
  archive("follow", config.follow);
  archive("syscalls", config.syscalls);
  archive("scope", config.scope);
  archive("stacks", config.stacks);
  archive("sample_hz", config.sample_hz);
  archive("triggers", config.triggers);
  archive("min_age_ns", config.min_age_ns);
  archive("max_bytes", config.max_bytes);
  archive("post_ns", config.post_ns);
  archive("cooldown_ns", config.cooldown_ns);
  archive("slow_floor_ns", config.slow_floor_ns);
  archive("stack_wait_ns", config.stack_wait_ns);
  archive("missing", config.missing);
}

template <class Archive>
void describe(Archive& archive, Cause& cause) {
  archive("trigger", cause.trigger);
  archive("kind", cause.kind);
  archive("fired_ns", cause.fired_ns);
  archive("received_ns", cause.received_ns);
  archive("merged", cause.merged);
  archive("has_call", cause.has_call);
  archive("call_in_flight", cause.call_in_flight);
  archive("tid", cause.tid);
  archive("tgid", cause.tgid);
  archive("comm", cause.comm);
  archive("nr", cause.nr);
  archive("abi", cause.abi);
  archive("args", cause.args);
  archive("enter_ns", cause.enter_ns);
  archive("exit_ns", cause.exit_ns);
  archive("ret", cause.ret);
  archive("fd_path", cause.fd_path);
  archive("note", cause.note);
}

template <class Archive>
void describe(Archive& archive, WindowInfo& window) {
  archive("from_ns", window.from_ns);
  archive("to_ns", window.to_ns);
  archive("bytes", window.bytes);
  archive("chunks", window.chunks);
  archive("events", window.events);
  archive("hits", window.hits);
  archive("limited_by", window.limited_by);
  archive("pinned_extra_bytes", window.pinned_extra_bytes);
}

template <class Archive>
void describe(Archive& archive, LossInfo& losses) {
  archive("ring_events", losses.ring_events);
  archive("nested_events", losses.nested_events);
  archive("recursion", losses.recursion);
  archive("control", losses.control);
  archive("inflight", losses.inflight);
  archive("window", losses.window);
  archive("stacks", losses.stacks);
  archive.optional("capped", losses.capped);
}

template <class Archive>
void describe(Archive& archive, ProgramCost& program) {
  archive("name", program.name);
  archive("run_count", program.run_count);
  archive("run_ns", program.run_ns);
}

template <class Archive>
void describe(Archive& archive, OwnCost& cost) {
  archive("recorder_cpu_ns", cost.recorder_cpu_ns);
  archive("recording_ns", cost.recording_ns);
  archive("rss_bytes", cost.rss_bytes);
  archive("polls", cost.polls);
  archive("programs", cost.programs);
}

template <class Archive>
void describe(Archive& archive, ProcessInfo& process) {
  archive("tgid", process.tgid);
  archive("exe", process.exe);
}

template <class Archive>
void describe(Archive& archive, DumpMeta& meta) {
  archive("host", meta.host);
  archive("clocks", meta.clocks);
  archive("config", meta.config);
  archive("cause", meta.cause);
  archive("window", meta.window);
  archive("losses", meta.losses);
  archive("cost", meta.cost);
  archive("targets", meta.targets);
  archive("dump_number", meta.dump_number);
}

template <class T>
concept Described = std::is_class_v<T> && !std::same_as<T, std::string> && !std::same_as<T, Comm>;

// ---- strings of any bytes

std::string bytes_to_text(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const auto length = utf8_sequence_bytes(bytes);
    if (length == 0)
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
    else if (bytes[0] == '\\')
      text += "\\\\";
    else
      text += bytes.substr(0, length);
    bytes.remove_prefix(length == 0 ? 1 : length);
  }
  return text;
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  return std::nullopt;
}

// An escape nobody writes stays as it is.
std::string text_to_bytes(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto rest = text.substr(i);
    if (rest.starts_with("\\\\")) {
      bytes += '\\';
      i += 1;
    } else if (rest.starts_with("\\x") && rest.size() >= 4 && hex_digit(rest[2]) && hex_digit(rest[3])) {
      bytes += static_cast<char>(*hex_digit(rest[2]) << 4 | *hex_digit(rest[3]));
      i += 3;
    } else {
      bytes += rest[0];
    }
  }
  return bytes;
}

// ---- to JSON

class Saver {
 public:
  template <class T>
  void operator()(const char* name, T& field) {
    object_[name] = save(field);
  }
  template <class T>
  void optional(const char* name, T& field) {
    (*this)(name, field);
  }
  Json take() { return std::move(object_); }

 private:
  static Json save(const std::string& field) { return bytes_to_text(field); }
  static Json save(const Comm& field) { return bytes_to_text(field.view()); }
  static Json save(bool field) { return field; }
  template <std::integral T>
  static Json save(T field) {
    return field;
  }
  template <Described T>
  static Json save(T& field) {
    Saver inner;
    describe(inner, field);
    return inner.take();
  }
  template <class T>
  static Json save_all(T& fields) {
    auto array = Json::array();
    for (auto& field : fields) array.push_back(save(field));
    return array;
  }
  template <class T>
  static Json save(std::vector<T>& fields) {
    return save_all(fields);
  }
  template <class T, std::size_t n>
  static Json save(std::array<T, n>& fields) {
    return save_all(fields);
  }

  Json object_ = Json::object();
};

// ---- from JSON

class MetaReader {
 public:
  MetaReader(const Json& object, std::string path, ParsedMeta& parsed)
      : object_(object), path_(std::move(path)), parsed_(parsed) {}

  template <class T>
  void operator()(const char* name, T& field) {
    const auto path = path_ + name;
    const auto found = object_.find(name);
    if (found == object_.end())
      add(parsed_.missing, path);
    else
      load(*found, path, field);
  }
  // What dumps of earlier versions do not have.
  template <class T>
  void optional(const char* name, T& field) {
    if (object_.contains(name)) (*this)(name, field);
  }

 private:
  void load(const Json& json, const std::string& path, std::string& field) {
    if (const auto* text = json.get_ptr<const std::string*>())
      field = text_to_bytes(*text);
    else
      note(path + " is no text");
  }
  void load(const Json& json, const std::string& path, Comm& field) {
    std::string text;
    load(json, path, text);
    field = Comm::from(text);
  }
  void load(const Json& json, const std::string& path, bool& field) {
    if (const auto* value = json.get_ptr<const bool*>())
      field = *value;
    else
      note(path + " is neither true nor false");
  }
  template <std::integral T>
  void load(const Json& json, const std::string& path, T& field) {
    const auto* as_unsigned = json.get_ptr<const std::uint64_t*>();
    const auto* as_signed = json.get_ptr<const std::int64_t*>();
    if (as_unsigned && std::in_range<T>(*as_unsigned))
      field = static_cast<T>(*as_unsigned);
    else if (!as_unsigned && as_signed && std::in_range<T>(*as_signed))
      field = static_cast<T>(*as_signed);
    else
      note(fmt::format("{} is no number of {} bits", path, sizeof(T) * 8));
  }
  template <Described T>
  void load(const Json& json, const std::string& path, T& field) {
    if (!json.is_object()) return note(path + " is no object");
    MetaReader inner{json, path + ".", parsed_};
    describe(inner, field);
  }
  template <class T>
  void load(const Json& json, const std::string& path, std::vector<T>& fields) {
    if (!json.is_array()) return note(path + " is no list");
    fields.clear();
    fields.reserve(json.size());
    for (const auto& element : json) load(element, path + "[]", fields.emplace_back());
  }
  template <class T, std::size_t n>
  void load(const Json& json, const std::string& path, std::array<T, n>& fields) {
    if (!json.is_array() || json.size() != n) return note(fmt::format("{} is no list of {}", path, n));
    for (std::size_t i = 0; i < n; ++i) load(json[i], path + "[]", fields[i]);
  }

  void note(std::string problem) { add(parsed_.problems, std::move(problem)); }
  // A hostile text can be wrong in a million places.
  static void add(std::vector<std::string>& list, std::string entry) {
    if (list.size() < kMaxEntries) list.push_back(std::move(entry));
  }

  static constexpr std::size_t kMaxEntries = 100;

  const Json& object_;
  std::string path_;
  ParsedMeta& parsed_;
};

// ---- how much of it there may be

// A megabyte of text can stand for a tree of a hundred, or for one too deep to walk. This walks the text without
// building anything; what it lets through is far beyond what any recorder writes.
class Limits final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t&) override { return within(++members_.back() <= kMaxMembers); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  bool exceeded() const { return exceeded_; }

 private:
  static constexpr std::size_t kMaxValues = 256 << 10, kMaxMembers = 1000, kMaxDepth = 16;

  bool within(bool holds) {
    exceeded_ |= !holds;
    return holds;
  }
  bool count() { return within(++values_ <= kMaxValues); }
  bool open() {
    members_.push_back(0);
    return count() && within(members_.size() <= kMaxDepth);
  }
  bool close() {
    members_.pop_back();
    return true;
  }

  std::size_t values_ = 0;
  std::vector<std::size_t> members_;  // of the objects and lists that are open
  bool exceeded_ = false;
};

}  // namespace

std::string to_json(const DumpMeta& meta) {
  auto copy = meta;  // describe() serves both directions and so takes what it could change
  Saver saver;
  describe(saver, copy);
  return saver.take().dump(1, ' ', false, Json::error_handler_t::replace);
}

ParsedMeta meta_from_json(std::string_view untrusted) {
  ParsedMeta parsed;
  Limits limits;
  if (!Json::sax_parse(untrusted, &limits) && limits.exceeded()) {
    parsed.problems.emplace_back("it holds more values, or deeper ones, than any recorder writes");
    return parsed;
  }
  const auto json = Json::parse(untrusted, nullptr, false);
  if (!json.is_object()) {
    parsed.problems.emplace_back(json.is_discarded() ? "it is no valid JSON" : "it is no JSON object");
    return parsed;
  }
  parsed.is_object = true;
  MetaReader loader{json, "", parsed};
  describe(loader, parsed.meta);
  return parsed;
}

}  // namespace kflight::dump
