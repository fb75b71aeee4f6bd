// SPDX-License-Identifier: Apache-2.0
#include "cli/contradictions.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace kflight::cli {

Result<> check_options(const RecordOptions& o) {
  const auto usage = [](std::string what) { return Error{Errc::kUsage, std::move(what)}; };
  const bool chosen = !o.pids.empty() || !o.comm_globs.empty();
  if (o.all && chosen)
    return usage("--all already records every process; leave out --pid and --comm, or leave out --all");
  if (!o.command.empty() && (chosen || o.all))
    return usage(
        "a COMMAND is a target of its own; leave out --pid, --comm and --all, or start the command yourself "
        "and name its --pid");
  if (o.command.empty() && !chosen && !o.all)
    return usage("there is no target; give --pid P, --comm GLOB, --all, or -- COMMAND");
  if (o.all && !o.follow)
    return usage("--no-follow means nothing with --all, which records every process; leave one out");
  if (o.all && o.scope == Scope::kTarget)
    return usage("--scope target with --all is the same as --scope system; leave out --scope");
  if (o.max_dumps != 0 && o.triggers.empty())
    return usage("--max-dumps counts what triggers write, and there is no --trigger; add one or leave it out");
  const bool slow = o.syscalls == Syscalls::kSlow || (o.syscalls == Syscalls::kAuto && !o.triggers.empty());
  if (o.slow_floor && !slow)
    return usage("--slow-floor says which calls are slow enough, and that is asked with a --trigger or --syscalls slow only; "
                 "add one or leave it out");
  if (o.stack_wait && (o.stacks == Stacks::kNone || (o.stacks == Stacks::kAuto && o.all)))
    return usage("--stack-wait is about stacks, and none are taken; add --stacks blocked or leave it out");
  if (o.keep_arguments && o.command.empty())
    return usage("--keep-arguments is about those of a COMMAND, and there is none; leave it out");
  return {};
}

Result<> check_options(const ExportOptions& o) {
  if (!o.explain && o.op) return Error{Errc::kUsage, "--op says what to explain; leave out --no-explain or --op"};
  if (o.out == "-" && o.force)
    return Error{Errc::kUsage, "--force is about a file, and -o - writes to standard output; leave one out"};
  return {};
}

Result<> check_options(const EventsOptions& o) {
  if (o.jsonl && o.stacks)
    return Error{Errc::kUsage, "--stacks prints frames as text; JSON lines have the stacks' ids, leave one out"};
  if (o.jsonl && o.absolute)
    return Error{Errc::kUsage, "--absolute is about times as text; JSON lines have those of the clock, leave one out"};
  return {};
}

Result<> check_options(const ExplainOptions& o) {
  const auto usage = [](std::string_view what) { return Error{Errc::kUsage, std::string(what)}; };
  const bool one_chosen = o.op || o.tid || o.from || o.to;
  if (o.list && o.all_slow) return usage("--list names the operations that --all-slow adds up; leave one out");
  if ((o.list || o.all_slow) && one_chosen)
    return usage(
        "--list and --all-slow are about all slow operations, --op and --tid with --from and --to about one; leave out "
        "either");
  if (o.op && o.tid) return usage("--op and --tid each say what to explain; leave one out");
  if (o.op && (o.from || o.to)) return usage("--from and --to are times of one thread; leave out --op and add --tid");
  if (o.rows && (o.list || o.folded || o.json))
    return usage("--rows is about a table, and --list, --folded and --json print none; leave it out");
  if (o.folded && (o.list || o.all_slow || o.json))
    return usage("--folded prints the stacks of one operation and nothing else; leave out --list, --all-slow and --json");
  return {};
}

}  // namespace kflight::cli
