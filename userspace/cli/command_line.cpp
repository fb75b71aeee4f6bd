// SPDX-License-Identifier: Apache-2.0
//
// command_line.cpp - the only file that knows CLI11 (it is slow to compile). CLI11 finds the options; words and values are
// judged here, so that messages are ours. Its exceptions end in parse_command_line(). About
// 400 lines: an option is a few.
#include "cli/command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "base/escape.hpp"
#include "base/nearest_word.hpp"
#include "cli/command_help.hpp"
#include "cli/contradictions.hpp"
#include "cli/event_filter.hpp"
#include "cli/option_values.hpp"

namespace kflight::cli {

namespace {

constexpr std::size_t kHelpWidth = 80, kHelpIndent = 27;

// ------------------------------------------------------------------ help

// One column for the options, one for what they do, wrapped to 80 columns.
class HelpFormatter final : public CLI::Formatter {
 public:
  explicit HelpFormatter(const CommandHelp& help) : help_(help) {}

  std::string make_description(const CLI::App*) const override { return fmt::format("{}\n\n", help_.summary); }

  std::string make_usage(const CLI::App*, std::string) const override {
    std::string out = "Usage: ";
    for (const char c : help_.usage) c == '\n' ? out.append("\n       ") : out.append(1, c);
    return out + '\n';
  }

  std::string make_positionals(const CLI::App*) const override { return {}; }

  std::string make_group(std::string group, bool positional, std::vector<const CLI::Option*> options) const override {
    std::string out = fmt::format("{}:\n", group);
    for (const CLI::Option* option : options) out += make_option(option, positional);
    return out;
  }

  std::string make_option(const CLI::Option* option, bool positional) const override {
    const std::string value = option->get_type_name();
    const std::string left = fmt::format("  {}{}{}{}", option->get_snames().empty() ? "    " : "",
                                         spaced(make_option_name(option, positional)), value.empty() ? "" : " ", value);
    const std::string right = wrap_text(option->get_description(), kHelpIndent, kHelpIndent, kHelpWidth);
    if (left.size() + 2 > kHelpIndent) return fmt::format("{}\n{:{}}{}\n", left, "", kHelpIndent, right);
    return fmt::format("{:<{}}{}\n", left, kHelpIndent, right);
  }

  std::string make_footer(const CLI::App*) const override {
    return fmt::format("{}\n\nExit status: 0 done, 1 failed, 2 wrong usage, 3 check found violations.\n",
                       help_.details);
  }

 private:
  // "-o,--out" -> "-o, --out"
  static std::string spaced(std::string names) {
    if (const auto comma = names.find(','); comma != names.npos) names.insert(comma + 1, 1, ' ');
    return names;
  }

  const CommandHelp& help_;
};

// ------------------------------------------------------------------ values

// "-o,--out" -> "--out"
std::string long_name(std::string_view flags) { return std::string(flags.substr(flags.rfind(',') + 1)); }

// Options whose text `parse` judges. One that must not be repeated has `once` set.
template <class Parse, class Store>
CLI::Option* add_parsed(CLI::App& app, const char* flags, const char* type, const std::string& doc, bool once,
                        Parse parse, Store store) {
  const auto take = [name = long_name(flags), once, parse, store](const std::vector<std::string>& texts) {
    if (once && texts.size() > 1)
      throw CLI::ValidationError(fmt::format("{} is given {} times; give it once", name, texts.size()));
    for (const std::string& text : texts) {
      auto value = parse(std::string_view(text));
      if (!value) throw CLI::ValidationError(fmt::format("{}: {}", name, value.error().what));
      store(*std::move(value));
    }
    return true;
  };
  auto* option = app.add_option(flags, take, doc);
  return option->type_name(type)->expected(1, 1)->type_size(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

template <class T, class Parse>
CLI::Option* add_value(CLI::App& app, const char* flags, T& out, const char* type, const std::string& doc,
                       Parse parse) {
  return add_parsed(app, flags, type, doc, true, parse, [&out](auto value) { out = std::move(value); });
}
template <class T, class Parse>
CLI::Option* add_values(CLI::App& app, const char* flags, std::vector<T>& out, const char* type, const std::string& doc,
                        Parse parse) {
  return add_parsed(app, flags, type, doc, false, parse, [&out](auto value) { out.push_back(std::move(value)); });
}

constexpr std::pair<std::string_view, Syscalls> kSyscallsWords[] = {
    {"auto", Syscalls::kAuto}, {"all", Syscalls::kAll}, {"slow", Syscalls::kSlow}, {"blocked", Syscalls::kBlocked}};
constexpr std::pair<std::string_view, Scope> kScopeWords[] = {{"system", Scope::kSystem}, {"target", Scope::kTarget}};
constexpr std::pair<std::string_view, Stacks> kStacksWords[] = {
    {"none", Stacks::kNone}, {"blocked", Stacks::kBlocked}, {"all", Stacks::kAll}};
constexpr std::pair<std::string_view, bool> kOnOffWords[] = {{"on", true}, {"off", false}};
constexpr std::pair<std::string_view, bool> kFormatWords[] = {{"text", false}, {"jsonl", true}};

// ------------------------------------------------------------------ commands

void add_flag(CLI::App& app, const char* flags, bool& out, const std::string& doc) { app.add_flag(flags, out, doc); }

void add_file(CLI::App& app, std::string& path) { app.add_option("FILE", path, "the dump")->required(); }

void define_record(CLI::App& app, RecordOptions& o) {
  const char* target = "Target";
  add_values(app, "-p,--pid", o.pids, "P", "this process with all its threads (repeatable)", parse_pid)->group(target);
  add_values(app, "--comm", o.comm_globs, "GLOB",
             "every process whose name matches, also those that come later; * ? [a-z] (repeatable)", parse_text)
      ->group(target);
  app.add_flag("--all", o.all, "every process")->group(target);
  app.add_flag_callback(
         "--no-follow", [&o] { o.follow = false; }, "leave out children that are forked later")
      ->group(target);
  app.add_flag("--wait", o.wait, "go on when no process of the target is left, or none is there yet")->group(target);

  const char* dumps = "Triggers and dumps";
  add_values(app, "-t,--trigger", o.triggers, "SPEC", "dump when this happens, see below (repeatable)",
             parse_trigger_text)
      ->group(dumps);
  add_value(app, "-o,--out", o.out_dir, "DIR", "directory for the dumps (.)", parse_absolute_path)->group(dumps);
  add_value(app, "--post", o.post, "TIME", "record this much longer after a trigger (500ms)", parse_plain_duration)
      ->group(dumps);
  add_value(app, "--cooldown", o.cooldown, "TIME",
            "at least this much between two dumps of the same trigger; what fires meanwhile is counted (30s)",
            parse_plain_duration)
      ->group(dumps);
  add_value(app, "--max-dumps", o.max_dumps, "N", "end after N dumps by triggers (no limit)", parse_count)
      ->group(dumps);
  add_value(app, "--max-dump-bytes", o.max_dump_bytes, "SIZE",
            "remove the oldest dumps of this recorder (its --name) in the folder when all take more than SIZE (no limit)", parse_plain_bytes)
      ->group(dumps);

  const char* probes = "What is recorded";
  add_value(app, "--syscalls", o.syscalls, "WHICH",
            "of the target's calls: all; slow: longer than --slow-floor or blocked; blocked: seen where they block, "
            "without durations, free for other calls (auto: slow when a trigger needs durations, else blocked)",
            one_of(kSyscallsWords))
      ->group(probes);
  add_value(app, "--slow-floor", o.slow_floor, "TIME", "what is slow (100us)", parse_plain_duration)->group(probes);
  add_value(app, "--scope", o.scope, "SCOPE",
            "system: scheduling of every task, needed to say who held a CPU or a lock; target: of the target only "
            "(system)",
            one_of(kScopeWords))
      ->group(probes);

  add_value(app, "--causes", o.causes, "on|off",
            "note why an interrupt wakes somebody: timer, disk, network, which work (on)", one_of(kOnOffWords))
      ->group(probes);
  add_value(app, "--stacks", o.stacks, "WHICH",
            "where threads of the target are: blocked: where they wait; all: also of whoever wakes them; none "
            "(blocked; none with --all)",
            one_of(kStacksWords))
      ->group(probes);
  add_value(app, "--stack-wait", o.stack_wait, "TIME",
            "a wait has stacks when it lasted at least this long; 0s for every wait, which costs about 2 us each (a tenth "
            "of the shortest trigger, at most 5ms)",
            parse_plain_duration)
      ->group(probes);
  add_value(app, "--sample", o.sample_hz, "HZ",
            "where running threads of the target are, HZ times a second; 99 is a good number (no samples)",
            parse_sample_rate)
      ->group(probes);
  add_values(app, "--without", o.without, "FEATURE",
             "do as if the kernel lacked this feature, one of `kflight doctor --json` (repeatable)", parse_text)
      ->group(probes);

  const char* window = "Window";
  add_value(app, "--min-age", o.min_age, "TIME", "keep at least this much, as far as it fits (10s)",
            parse_positive_duration)
      ->group(window);
  add_value(app, "--max-bytes", o.max_bytes, "SIZE", "never hold more than this (64MiB)", parse_window_bytes)
      ->group(window);
  add_value(app, "--ring-bytes", o.ring_bytes, "SIZE",
            "kernel buffer per 16 CPUs, a power of two; larger when events get lost (8MiB)", parse_ring_bytes)
      ->group(window);

  const char* run = "Run";
  add_value(app, "--name", o.name, "NAME", "what dump, status and stop call this recorder (default)", parse_name)
      ->group(run);
  add_value(app, "--duration", o.duration, "TIME", "end by itself after this", parse_positive_duration)->group(run);
  app.add_flag("--keep-arguments", o.keep_arguments,
               "write the arguments of COMMAND into its dumps, too; they may hold passwords (its name only)")
      ->group(run);
  app.add_flag_callback(
         "--no-sandbox", [&o] { o.sandbox = false; },
         "keep all privileges and allow every system call, should the sandbox stand in the way")
      ->group(run);
  app.add_flag("--json", o.json, "JSON lines on standard output")->group(run);
  app.add_flag("-q,--quiet", o.quiet, "on standard error only what goes wrong or is missing")->group(run);
}

void add_recorder_name(CLI::App& app, std::string& name) {
  add_value(app, "--name", name, "NAME", "which recorder (the only one that runs)", parse_name);
}

void define_dump(CLI::App& app, DumpOptions& o) {
  add_recorder_name(app, o.name);
  add_value(app, "-o,--out", o.out_file, "FILE", "the file to write (one in the recorder's directory)",
            parse_absolute_path);
  add_value(app, "--note", o.note, "TEXT", "why, for whoever reads the dump", parse_text);
  add_flag(app, "--json", o.json, "JSON on standard output");
}

void define_status(CLI::App& app, StatusOptions& o) {
  add_recorder_name(app, o.name);
  add_flag(app, "--json", o.json, "everything, as JSON");
}

void define_stop(CLI::App& app, StopOptions& o) { add_recorder_name(app, o.name); }

void define_recover(CLI::App& app, RecoverOptions& o) {
  add_value(app, "--name", o.name, "NAME", "which recorder's (the only one that was killed)", parse_name);
  add_value(app, "-o,--out", o.out_file, "FILE", "the file to write (one in this directory)", parse_absolute_path);
  add_flag(app, "--json", o.json, "JSON on standard output");
}

void define_info(CLI::App& app, InfoOptions& o) {
  add_file(app, o.path);
  add_flag(app, "--json", o.json, "as JSON; times are CLOCK_BOOTTIME ns");
}

void define_explain(CLI::App& app, ExplainOptions& o) {
  add_file(app, o.path);
  add_flag(app, "--list", o.list, "the slowest operations, numbered for --op");
  add_value(app, "--op", o.op, "N", "explain number N of --list (what the trigger reported)", parse_count);
  add_flag(app, "--all-slow", o.all_slow, "the operations of --list together");
  add_value(app, "--tid", o.tid, "T", "explain this thread, with --from and --to", parse_tid);
  add_value(app, "--from", o.from, "TIME", "from this time on", parse_time_point);
  add_value(app, "--to", o.to, "TIME", "up to this time", parse_time_point);
  add_value(app, "--rows", o.rows, "N", "rows of the table (12)", parse_count);
  add_flag(app, "--json", o.json, "as JSON");
  add_flag(app, "--folded", o.folded, "folded stacks of the chain, for a flame graph");
}

void define_events(CLI::App& app, EventsOptions& o) {
  add_file(app, o.path);
  add_value(app, "--format", o.jsonl, "FORMAT", "text or jsonl (text)", one_of(kFormatWords));
  add_flag(app, "--absolute", o.absolute, "wall-clock times");
  add_flag(app, "--stacks", o.stacks, "print what stacks hold, a line per frame");
  const char* filters = "Filters";
  add_values(app, "--tid", o.tids, "T", "events about this thread, in whatever role (repeatable)", parse_tid)
      ->group(filters);
  add_values(app, "--kind", o.kinds, "KIND", fmt::format("events of this kind (repeatable): {}", event_kind_list()),
             parse_event_kind)
      ->group(filters);
  add_values(app, "--cpu", o.cpus, "CPU", "events of this CPU (repeatable)", parse_cpu)->group(filters);
  add_value(app, "--from", o.from, "TIME", "events from this time on", parse_time_point)->group(filters);
  add_value(app, "--to", o.to, "TIME", "events before this time", parse_time_point)->group(filters);
  add_value(app, "--limit", o.limit, "N", "stop after N events", parse_count)->group(filters);
}

void define_check(CLI::App& app, CheckOptions& o) {
  add_file(app, o.path);
  add_value(app, "--evidence", o.evidence, "N", "lines shown per violated invariant (5)", parse_small_count);
  add_value(app, "--explanations", o.explanations, "N",
            "random stretches of threads' time to explain (1000); 0 is faster", parse_small_count);
  add_flag(app, "--json", o.json, "as JSON");
}

void define_export(CLI::App& app, ExportOptions& o) {
  add_file(app, o.path);
  add_value(app, "--format", o.format, "FORMAT", fmt::format("{} (perfetto)", export_format_list()),
            parse_export_format);
  add_value(app, "-o,--out", o.out, "PATH", "file or directory to write to, - for standard output (beside the dump)",
            parse_text);
  add_value(app, "--op", o.op, "N", "explain number N of `kflight explain --list` (what the trigger reported)",
            parse_count);
  app.add_flag_callback(
      "--no-explain", [&o] { o.explain = false; }, "leave out where the operation's time went");
  add_flag(app, "-f,--force", o.force, "replace the file if it is there");
}

void define_doctor(CLI::App& app, DoctorOptions& o) { add_flag(app, "--json", o.json, "as JSON"); }
void define_version(CLI::App& app, VersionOptions& o) { add_flag(app, "--json", o.json, "as JSON"); }

// ------------------------------------------------------------------ parsing

Error wrong_usage(std::string_view command, std::string_view what) {
  return Error{Errc::kUsage, fmt::format("{}: {}\nTry `kflight {} --help`.", command, what, command)};
}

// An argument no option takes.
Error unexpected(const CLI::App& app, std::string_view command, const std::string& argument) {
  if (!argument.starts_with('-'))
    return wrong_usage(command, fmt::format("unexpected argument '{}'", escape_for_terminal(argument)));
  const std::string name = argument.substr(0, argument.find('='));
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& word : option->get_lnames()) known.push_back("--" + word);
  const std::vector<std::string_view> words(known.begin(), known.end());
  const auto nearest = nearest_word(name, words);
  return wrong_usage(command, fmt::format("unknown option '{}'{}", escape_for_terminal(name),
                                          nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest)));
}

template <class Options>
Result<Command> parse(const CommandHelp& help, std::vector<std::string> args, Options options,
                      void (*define)(CLI::App&, Options&)) {
  CLI::App app{std::string(help.summary)};
  app.formatter(std::make_shared<HelpFormatter>(help));
  app.get_formatter()->column_width(kHelpIndent);
  app.set_help_flag("-h,--help", "this text");
  app.allow_extras();
  define(app, options);
  for (CLI::Option* option : app.get_options())
    if (option->get_expected_max() == 0) option->disable_flag_override();  // else "--all=0" is read as a number
  std::reverse(args.begin(), args.end());  // the order CLI11 takes them in
  try {
    app.parse(std::move(args));
  } catch (const CLI::CallForHelp&) {
    return Command(HelpText{app.help()});
  } catch (const CLI::RequiredError&) {
    return wrong_usage(help.name, "FILE is missing: name a dump");
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string what = error.what();  // "--pid: 1 required P missing", "all was given a disallowed flag override"
    const std::string name = escape_for_terminal(what.substr(0, what.find_first_of(": ")));
    if (what.find(':') != what.npos) return wrong_usage(help.name, fmt::format("{}: its value is missing", name));
    return wrong_usage(help.name, fmt::format("--{}: it takes no value", name));
  } catch (const CLI::ValidationError& error) {
    return wrong_usage(help.name, error.what());  // a judgement of ours: printable
  } catch (const CLI::ParseError& error) {
    return wrong_usage(help.name, escape_for_terminal(error.what()));
  }
  if (const auto left = app.remaining(); !left.empty()) return unexpected(app, help.name, left.front());
  if (auto checked = check_options(options); !checked) return wrong_usage(help.name, checked.error().what);
  return Command(std::move(options));
}

Result<Command> parse_record(const CommandHelp& help, std::vector<std::string> args) {
  RecordOptions options;
  KF_TRY_ASSIGN(options.out_dir, parse_absolute_path("."));
  const auto dashes = std::ranges::find(args, "--");
  if (dashes != args.end()) {
    options.command.assign(dashes + 1, args.end());
    if (options.command.empty()) return wrong_usage(help.name, "no COMMAND follows --");
    args.erase(dashes, args.end());
  }
  return parse(help, std::move(args), std::move(options), define_record);
}

template <class Options, void (*define)(CLI::App&, Options&)>
Result<Command> parse_plain(const CommandHelp& help, std::vector<std::string> args) {
  return parse(help, std::move(args), Options{}, define);
}

struct Parser {
  std::string_view command;
  Result<Command> (*parse)(const CommandHelp&, std::vector<std::string>);
};
constexpr Parser kParsers[] = {
    {"record", parse_record},
    {"dump", parse_plain<DumpOptions, define_dump>},
    {"status", parse_plain<StatusOptions, define_status>},
    {"stop", parse_plain<StopOptions, define_stop>},
    {"recover", parse_plain<RecoverOptions, define_recover>},
    {"info", parse_plain<InfoOptions, define_info>},
    {"explain", parse_plain<ExplainOptions, define_explain>},
    {"events", parse_plain<EventsOptions, define_events>},
    {"check", parse_plain<CheckOptions, define_check>},
    {"export", parse_plain<ExportOptions, define_export>},
    {"doctor", parse_plain<DoctorOptions, define_doctor>},
    {"version", parse_plain<VersionOptions, define_version>},
};

Error unknown_command(std::string_view word) {
  std::vector<std::string_view> names;
  for (const Parser& parser : kParsers) names.push_back(parser.command);
  const auto nearest = nearest_word(word, names);
  return Error{Errc::kUsage, fmt::format("unknown command '{}'{}\nTry `kflight --help`.", escape_for_terminal(word),
                                         nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest))};
}

}  // namespace

Result<Command> parse_command_line(std::span<const std::string> args) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h") return Command(HelpText{overview()});
  std::string word = args[0];
  std::vector<std::string> rest(args.begin() + 1, args.end());
  if (word == "--version" || word == "-V") word = "version";
  if (word == "help") {
    if (rest.empty()) return Command(HelpText{overview()});
    word = rest[0];
    rest = {"--help"};
  }
  const auto* parser = std::ranges::find(kParsers, word, &Parser::command);
  if (parser == std::end(kParsers)) return unknown_command(word);
  return parser->parse(*find_command(word), std::move(rest));
}

}  // namespace kflight::cli
