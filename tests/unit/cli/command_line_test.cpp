// SPDX-License-Identifier: Apache-2.0
//
// What people type, and what they are told when it is wrong.
#include "cli/command_line.hpp"

#include <gmock/gmock.h>

#include <filesystem>

#include "cli/command_help.hpp"

namespace kflight::cli {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Result<Command> parse(const std::vector<std::string>& args) { return parse_command_line(args); }

template <class Options>
Options options(const std::vector<std::string>& args) {
  const auto command = parse(args);
  EXPECT_TRUE(command) << (command ? "" : command.error().what);
  const Options* found = command ? std::get_if<Options>(&*command) : nullptr;
  EXPECT_NE(found, nullptr);
  return found ? *found : Options{};
}

std::string error(const std::vector<std::string>& args) {
  const auto command = parse(args);
  EXPECT_FALSE(command);
  if (command) return {};
  EXPECT_EQ(command.error().code, Errc::kUsage);
  return command.error().what;
}

std::string help(const std::vector<std::string>& args) { return options<HelpText>(args).text; }

// ------------------------------------------------------------------ record

TEST(CommandLine, Record_Defaults) {
  const auto o = options<RecordOptions>({"record", "--pid", "12"});
  EXPECT_THAT(o.pids, ElementsAre(12u));
  EXPECT_TRUE(o.follow);
  EXPECT_EQ(o.min_age, 10s);
  EXPECT_EQ(o.max_bytes, 64u << 20);
  EXPECT_EQ(o.syscalls, Syscalls::kAuto);
  EXPECT_EQ(o.scope, Scope::kSystem);
  EXPECT_EQ(o.post, 500ms);
  EXPECT_EQ(o.cooldown, 30s);
  EXPECT_EQ(o.max_dumps, 0u);
  EXPECT_EQ(o.out_dir, std::filesystem::current_path());
  EXPECT_EQ(o.name, "default");
  EXPECT_FALSE(o.duration);
}

TEST(CommandLine, Record_Stacks) {
  EXPECT_EQ(options<RecordOptions>({"record", "--all"}).stacks, Stacks::kAuto);
  EXPECT_EQ(options<RecordOptions>({"record", "--all", "--stacks", "none"}).stacks, Stacks::kNone);
  EXPECT_EQ(options<RecordOptions>({"record", "--all", "--stacks", "blocked"}).stacks, Stacks::kBlocked);
  EXPECT_EQ(options<RecordOptions>({"record", "--all", "--stacks=all"}).stacks, Stacks::kAll);
  EXPECT_EQ(options<RecordOptions>({"record", "--all"}).sample_hz, 0u);
  EXPECT_EQ(options<RecordOptions>({"record", "--all", "--sample", "99"}).sample_hz, 99u);
  EXPECT_EQ(options<RecordOptions>({"record", "--all", "--without", "quotas", "--without", "prev_state"}).without,
            (std::vector<std::string>{"quotas", "prev_state"}));
  EXPECT_THAT(error({"record", "--all", "--stacks", "al"}), HasSubstr("did you mean all?"));
  EXPECT_THAT(error({"record", "--all", "--sample", "0"}), HasSubstr("expected a whole number from 1 to 100000"));
}

TEST(CommandLine, Events_FramesAreText) {
  EXPECT_TRUE(options<EventsOptions>({"events", "x.kfr", "--stacks"}).stacks);
  EXPECT_THAT(error({"events", "x.kfr", "--stacks", "--format", "jsonl"}), HasSubstr("JSON lines have the stacks' ids"));
}

TEST(CommandLine, Record_EveryOption) {
  const auto o = options<RecordOptions>({"record",       "--pid",       "1",
                                         "-p",           "2",           "--comm",
                                         "a*",           "--no-follow", "--wait",
                                         "-t",           "syscall>5ms", "--trigger",
                                         "inflight>2s",  "-o",          "/tmp",
                                         "--name",       "web",         "--min-age=3s",
                                         "--max-bytes",  "1GiB",        "--syscalls",
                                         "slow",         "--scope",     "target",
                                         "--slow-floor", "1ms",         "--post",
                                         "0s",           "--cooldown",  "1m",
                                         "--max-dumps",  "7",           "--max-dump-bytes",
                                         "2G",           "--duration",  "30s",
                                         "--json",       "--quiet",     "--ring-bytes",
                                         "1MiB"});
  EXPECT_THAT(o.pids, ElementsAre(1u, 2u));
  EXPECT_THAT(o.comm_globs, ElementsAre("a*"));
  EXPECT_THAT(o.triggers, ElementsAre("syscall>5ms", "inflight>2s"));
  EXPECT_FALSE(o.follow);
  EXPECT_TRUE(o.wait && o.json && o.quiet);
  EXPECT_EQ(o.out_dir, "/tmp");
  EXPECT_EQ(o.name, "web");
  EXPECT_EQ(o.min_age, 3s);
  EXPECT_EQ(o.max_bytes, 1u << 30);
  EXPECT_EQ(o.syscalls, Syscalls::kSlow);
  EXPECT_EQ(o.scope, Scope::kTarget);
  EXPECT_EQ(o.slow_floor, 1ms);
  EXPECT_EQ(o.post, 0s);
  EXPECT_EQ(o.cooldown, 1min);
  EXPECT_EQ(o.max_dumps, 7u);
  EXPECT_EQ(o.max_dump_bytes, 2ull << 30);
  EXPECT_EQ(o.duration, 30s);
  EXPECT_EQ(o.ring_bytes, 1u << 20);
}

TEST(CommandLine, Record_CommandKeepsItsOwnOptions) {
  const auto o = options<RecordOptions>({"record", "--json", "--", "ls", "-l", "--", "--pid"});
  EXPECT_THAT(o.command, ElementsAre("ls", "-l", "--", "--pid"));
  EXPECT_TRUE(o.pids.empty());
  EXPECT_FALSE(o.keep_arguments);
  EXPECT_TRUE(o.sandbox);
}

TEST(CommandLine, Record_SandboxAndSecrets) {
  const auto o = options<RecordOptions>({"record", "--no-sandbox", "--keep-arguments", "--", "ls"});
  EXPECT_TRUE(o.keep_arguments);
  EXPECT_FALSE(o.sandbox);
  EXPECT_THAT(error({"record", "--all", "--keep-arguments"}), HasSubstr("about those of a COMMAND, and there is none"));
}

TEST(CommandLine, Record_TargetsThatContradict) {
  EXPECT_THAT(error({"record"}), HasSubstr("there is no target; give --pid P"));
  EXPECT_THAT(error({"record", "--all", "--pid", "1"}), HasSubstr("leave out --pid and --comm"));
  EXPECT_THAT(error({"record", "--pid", "1", "--", "ls"}), HasSubstr("a COMMAND is a target of its own"));
  EXPECT_THAT(error({"record", "--"}), HasSubstr("no COMMAND follows --"));
  EXPECT_THAT(error({"record", "--all", "--slow-floor", "1ms"}), HasSubstr("with a --trigger or --syscalls slow only"));
  EXPECT_THAT(error({"record", "--all", "--stack-wait", "1ms"}), HasSubstr("about stacks, and none are taken"));
  EXPECT_THAT(error({"events", "a.kfr", "--format", "jsonl", "--absolute"}), HasSubstr("--absolute is about times as text"));
  EXPECT_THAT(error({"explain", "a.kfr", "--rows", "3", "--json"}), HasSubstr("--rows is about a table"));
  EXPECT_THAT(error({"record", "--all", "--no-follow"}), HasSubstr("--no-follow means nothing with --all"));
  EXPECT_THAT(error({"record", "--all", "--scope", "target"}), HasSubstr("the same as --scope system"));
  EXPECT_THAT(error({"record", "--all", "--max-dumps", "3"}), HasSubstr("there is no --trigger"));
}

TEST(CommandLine, Record_BadValues) {
  const auto with = [](const std::string& option, const std::string& value) {
    return error({"record", "--all", option, value});
  };
  EXPECT_THAT(with("--pid", "abc"), HasSubstr("--pid: bad PID 'abc': expected a whole number from 1 to 4194303"));
  EXPECT_THAT(with("--pid", "-1"), HasSubstr("bad PID '-1'"));
  EXPECT_THAT(with("--pid", "0"), HasSubstr("bad PID '0'"));
  EXPECT_THAT(with("--pid", "4194304"), HasSubstr("bad PID"));
  EXPECT_THAT(with("--min-age", "10"), HasSubstr("--min-age: bad duration '10', column 3: the unit is missing"));
  EXPECT_THAT(with("--min-age", "0s"), HasSubstr("longer than nothing"));
  EXPECT_THAT(with("--max-bytes", "64"), HasSubstr("--max-bytes: bad size '64', column 3: the unit is missing"));
  EXPECT_THAT(with("--max-bytes", "1KiB"), HasSubstr("a window needs at least 1MiB"));
  EXPECT_THAT(with("--ring-bytes", "3MiB"), HasSubstr("power of two"));
  EXPECT_THAT(with("--max-dumps", "0"), HasSubstr("--max-dumps: bad number '0'"));
  EXPECT_THAT(with("--name", "../x"), HasSubstr("bad recorder name '../x'"));
  EXPECT_THAT(with("--comm", ""), HasSubstr("--comm: it is empty"));
  EXPECT_THAT(with("--syscalls", "slwo"), HasSubstr("did you mean slow?"));
}

TEST(CommandLine, Record_BadTriggerShowsThePlace) {
  EXPECT_THAT(error({"record", "--all", "-t", "syscall:fsnc>5ms"}),
              AllOf(HasSubstr("unknown system call 'fsnc'; did you mean 'fsync'?"),
                    HasSubstr("  syscall:fsnc>5ms\n          ^~~~\n")));
}

// ------------------------------------------------------------------ words

TEST(CommandLine, UnknownWords_NameTheNearest) {
  EXPECT_THAT(error({"recrod"}), HasSubstr("unknown command 'recrod'; did you mean record?"));
  EXPECT_THAT(error({"record", "--al"}), HasSubstr("unknown option '--al'; did you mean --all?"));
  EXPECT_THAT(error({"info", "--jsn=1", "x"}), HasSubstr("unknown option '--jsn'; did you mean --json?"));
  EXPECT_THAT(error({"info", "a", "b"}), HasSubstr("unexpected argument 'b'"));
  EXPECT_THAT(error({"events", "x", "--kind", "swich"}), HasSubstr("did you mean switch?"));
}

TEST(CommandLine, UnknownWords_AreEscaped) { EXPECT_THAT(error({"\x1b[31m"}), HasSubstr("'\\x1b[31m'")); }

TEST(CommandLine, MissingParts) {
  EXPECT_THAT(error({"info"}), HasSubstr("FILE is missing"));
  EXPECT_THAT(error({"record", "--pid"}), HasSubstr("--pid: its value is missing"));
  for (const char* flag : {"--all=7x", "--all=0", "--all=\x01", "--no-follow=false", "--quiet=\x1b[31m"})
    EXPECT_THAT(error({"record", flag}), testing::ContainsRegex("--[a-z-]+: it takes no value")) << flag;
  EXPECT_THAT(error({"status", "--name", "a", "--name", "b"}), HasSubstr("--name is given 2 times; give it once"));
}

TEST(CommandLine, EveryErrorSaysWhereHelpIs) {
  EXPECT_THAT(error({"recrod"}), HasSubstr("Try `kflight --help`."));
  EXPECT_THAT(error({"info"}), HasSubstr("Try `kflight info --help`."));
}

// ------------------------------------------------------------------ the others

TEST(CommandLine, Dump_PathIsMadeAbsolute) {
  const auto o = options<DumpOptions>({"dump", "-o", "a/../x.kfr"});
  EXPECT_THAT(o.out_file, AllOf(testing::StartsWith("/"), testing::EndsWith("/x.kfr"), Not(HasSubstr(".."))));
}

TEST(CommandLine, Events_Filters) {
  const auto o =
      options<EventsOptions>({"events", "x.kfr", "--tid", "5", "--tid", "0", "--kind", "fork", "--cpu", "1",
                              "--from", "-2s", "--to", "@77", "--limit", "9", "--absolute"});
  EXPECT_EQ(o.path, "x.kfr");
  EXPECT_TRUE(!o.jsonl && o.absolute);
  EXPECT_THAT(o.tids, ElementsAre(5u, 0u));
  EXPECT_THAT(o.kinds, ElementsAre("fork"));
  EXPECT_THAT(o.cpus, ElementsAre(1u));
  ASSERT_TRUE(o.from && o.to);
  EXPECT_EQ(o.from->ns, 2'000'000'000u);
  EXPECT_EQ(o.to->kind, TimePoint::Kind::kBoottime);
  EXPECT_EQ(o.limit, 9u);
}

TEST(CommandLine, Explain_OptionsThatExcludeEachOther) {
  for (const std::vector<std::string>& wrong : std::initializer_list<std::vector<std::string>>{
           {"--list", "--all-slow"},
           {"--list", "--tid", "7"},
           {"--list", "--op", "1"},
           {"--all-slow", "--from", "-1s"},
           {"--op", "1", "--tid", "7"},
           {"--op", "1", "--from", "-1s"},
           {"--op", "1", "--to", "-1s"},
           {"--folded", "--list"},
           {"--folded", "--all-slow"},
           {"--folded", "--json"},
           {"--rows", "3", "--list"},
           {"--rows", "3", "--json"}}) {
    std::vector<std::string> words{"explain", "x.kfr"};
    words.insert(words.end(), wrong.begin(), wrong.end());
    EXPECT_THAT(error(words), HasSubstr("leave")) << wrong[0] << ' ' << wrong[1];
  }
  EXPECT_TRUE(parse({"explain", "x.kfr", "--list", "--json"}));
  EXPECT_TRUE(parse({"explain", "x.kfr", "--folded", "--tid", "7", "--from", "-2s", "--to", "-1s"}));
  EXPECT_TRUE(parse({"explain", "x.kfr", "--all-slow", "--rows", "3"}));
}

TEST(CommandLine, Export_Options) {
  EXPECT_EQ(options<ExportOptions>({"export", "x.kfr"}).format, "perfetto");
  const auto o = options<ExportOptions>({"export", "x.kfr", "--format", "jsonl", "-o", "-", "--op", "2"});
  EXPECT_EQ(o.format, "jsonl");
  EXPECT_EQ(o.out, "-");
  EXPECT_EQ(o.op, 2u);
  EXPECT_FALSE(options<ExportOptions>({"export", "x.kfr", "--no-explain"}).explain);
  EXPECT_THAT(error({"export", "x.kfr", "--format", "perfeto"}),
              HasSubstr("unknown format 'perfeto'; there are perfetto, jsonl; did you mean perfetto?"));
  EXPECT_THAT(error({"export", "x.kfr", "--op", "1", "--no-explain"}), HasSubstr("leave out"));
  EXPECT_THAT(error({"export", "x.kfr", "-o", "-", "--force"}), HasSubstr("standard output"));
  EXPECT_THAT(error({"export"}), HasSubstr("FILE is missing"));
}

TEST(CommandLine, Version_HasShortForms) {
  EXPECT_TRUE(std::holds_alternative<VersionOptions>(*parse({"--version"})));
  EXPECT_TRUE(std::holds_alternative<VersionOptions>(*parse({"-V"})));
}

// ------------------------------------------------------------------ help

TEST(CommandLine, Nothing_ShowsTheOverview) {
  EXPECT_EQ(help({}), overview());
  EXPECT_EQ(help({"help"}), overview());
}

TEST(CommandLine, EveryCommandHasHelpWithExamples) {
  for (const CommandHelp& command : command_help()) {
    const std::string text = help({std::string(command.name), "--help"});
    EXPECT_THAT(text, AllOf(HasSubstr("Usage: kflight " + std::string(command.name)), HasSubstr("Examples:\n"),
                            HasSubstr("Exit status:")));
    EXPECT_EQ(text, help({"help", std::string(command.name)}));
    EXPECT_THAT(overview(), HasSubstr(std::string(command.summary.substr(0, 20))));
  }
}

TEST(CommandLine, HelpFits80Columns) {
  std::vector<std::string> texts{overview()};
  for (const CommandHelp& command : command_help()) texts.push_back(help({std::string(command.name), "--help"}));
  for (const std::string& text : texts)
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != text.npos; at = end + 1)
      EXPECT_LE(end - at, 80u) << text.substr(at, end - at);
}

TEST(WrapText, BreaksAtSpaces) {
  EXPECT_EQ(wrap_text("one two three", 0, 2, 7), "one two\n  three");
  EXPECT_EQ(wrap_text("unbreakable-word x", 4, 4, 8), "unbreakable-word\n    x");
  EXPECT_EQ(wrap_text("kept\nline", 0, 1, 80), "kept\n line");
}

}  // namespace
}  // namespace kflight::cli
