// SPDX-License-Identifier: Apache-2.0
//
// Stacks on real BPF: a wait's stack names the functions of the program and of the kernel, also when the program is
// gone; samples name the function that computes; who is not the target, or with stacks off, leaves none.
#include <algorithm>

#include "integration/dump_facts.hpp"
#include "model/stack_log.hpp"
#include "model/symbols.hpp"
#include "record/loader.hpp"

namespace kflight::test {
namespace {

using testing::Contains;
using testing::HasSubstr;

std::vector<std::string> names(const model::ResolvedStack& stack) {
  std::vector<std::string> out;
  for (const model::Frame& frame : stack.frames) out.push_back(model::frame_name(frame));
  return out;
}

std::size_t place_of(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
}

class Stacks : public RecordTest {
 protected:
  struct Run {
    std::uint32_t pid = 0;
    Json report;
    std::string path;
    Interval interval() const { return {report["t0"], report["t1"]}; }
  };
  // The program that is about stacks, recorded with these arguments; with `gone`, dumped when it has ended.
  Run record(const Words& more, bool gone) {
    return seeing_all([&] { return record_once(more, gone); },
                      [](const Run& run) { return ran_hidden_thread(run.path, run.interval()); });
  }
  // `kflight record` of a command, which dumps once; blind in its slow call or not.
  std::string record_command(Words words) {
    return seeing_all(
        [&] {
          std::filesystem::remove_all(temp() / "command");
          std::filesystem::create_directory(temp() / "command");
          Words all{"record", "-o", temp() / "command", "--name", "command" + std::to_string(getpid())};
          all.insert(all.end(), words.begin(), words.end());
          const Output ran = kflight(all);
          EXPECT_EQ(ran.status, 0) << ran.err;
          for (const std::string& file : files_in(temp() / "command"))
            if (file.ends_with(".kfr")) return (temp() / "command") + "/" + file;
          throw std::runtime_error("no dump of the command");
        },
        [](const std::string& path) {
          const Cause cause = open_dump(path).meta().cause;
          return ran_hidden_thread(path, {cause.enter_ns, cause.exit_ns});
        });
  }
  // Every stack of this thread in the dump, by role.
  static std::vector<StackEvent> stacks_of(const Dump& dump, std::uint32_t tid, std::uint8_t role) {
    std::vector<StackEvent> out;
    for (const Event& event : dump.events())
      if (const auto* e = std::get_if<StackEvent>(&event); e != nullptr && e->stack_tid == tid && e->role == role)
        out.push_back(*e);
    return out;
  }
  // The frames of the wait in [t0, t1] that lasted longest; the dump has to have one.
  static std::vector<std::string> names_of_longest_wait(const Dump& dump, model::Symbolizer& symbols, std::uint32_t tid,
                                                        Interval interval, bool kernel) {
    std::uint64_t begin_ns = 0, longest_ns = 0, out_ns = 0;
    for (const Event& event : dump.events()) {
      const auto* e = std::get_if<SwitchEvent>(&event);
      if (e == nullptr) continue;
      if (e->tid == tid) out_ns = e->ts_ns;
      if (e->next_tid != tid || out_ns == 0) continue;
      const std::uint64_t from = std::max(out_ns, interval.t0), to = std::min(e->ts_ns, interval.t1);
      if (to > from && to - from > longest_ns) longest_ns = to - from, begin_ns = out_ns;
    }
    model::StackLog log;
    for (const Event& event : dump.events())
      if (const auto* e = std::get_if<StackEvent>(&event)) log.add(*e);
    for (const kf_base_stack& stack : dump.base_stacks()) log.add(stack);
    log.finish();
    const model::StackMoment wait = log.wait(tid, begin_ns);
    if (wait.kernel != 0 && wait.user != 0) return names(symbols.resolve(kernel ? wait.kernel : wait.user, begin_ns));
    ADD_FAILURE() << "thread " << tid << " has no stack at its wait from " << begin_ns;
    return {};
  }

 private:
  Run record_once(const Words& more, bool gone) {
    Workload workload = start_workload("stacks");
    Run run{.pid = static_cast<std::uint32_t>(workload.pid())};
    Words words{"--pid", std::to_string(run.pid), "--wait"};
    words.insert(words.end(), more.begin(), more.end());
    Recorder recorder = start_recorder(words);
    workload.go();
    run.report = workload.report();
    if (gone) {
      EXPECT_EQ(workload.end(), 0);
      workload.child().wait();
    }
    run.path = dump_path(recorder);
    EXPECT_EQ(recorder.stop(), 0);
    return run;
  }
};

TEST_F(Stacks, NameTheFunctionsOfProgramAndKernel_AlsoWhenTheProgramIsGone) {
  const Run run = record({}, true);  // gone: only what was noted while it lived can help
  const auto& [pid, report, path] = run;
  const Dump dump = open_dump(path);
  model::Symbolizer symbols(dump);
  const Interval interval = run.interval();
  const std::uint32_t holder = report["tids"]["holder"];
  const auto asked = names_of_longest_wait(dump, symbols, pid, interval, false);
  EXPECT_THAT(asked, Contains("store::Cache::get"));
  EXPECT_THAT(asked, Contains("main"));
  EXPECT_LT(place_of(asked, "store::Cache::get"), place_of(asked, "main"));
  const auto slept = names_of_longest_wait(dump, symbols, holder, interval, false);
  EXPECT_THAT(slept, Contains("store::Cache::fetch_rows"));
  EXPECT_THAT(slept, Contains("store::Cache::refill"));
  EXPECT_LT(place_of(slept, "store::Cache::fetch_rows"), place_of(slept, "store::Cache::refill"));
  EXPECT_THAT(names_of_longest_wait(dump, symbols, pid, interval, true), Contains(HasSubstr("futex_wait")));
  EXPECT_THAT(names_of_longest_wait(dump, symbols, holder, interval, true), Contains(HasSubstr("nanosleep")));
  EXPECT_EQ(dump.meta().losses.stacks, 0u);

  const Output explained = kflight({"explain", path, "--tid", std::to_string(pid), "--from", "@" + report["t0"].dump(),
                                    "--to", "@" + report["t1"].dump()});
  EXPECT_THAT(explained.out, HasSubstr("store::Cache::get")) << explained.err;
  EXPECT_THAT(explained.out, HasSubstr("store::Cache::fetch_rows"));  // in the evidence
}

// Timed calls: stacks are told when the wait was long, by the same names; the many short waits leave none.
TEST_F(Stacks, OfTimedCalls_AreTakenOfLongWaitsOnly) {
  const Run run = record({"--syscalls", "slow", "--stack-wait", "50ms"}, false);
  const auto& [pid, report, path] = run;
  const Dump dump = open_dump(path);
  model::Symbolizer symbols(dump);
  const Interval interval = run.interval();
  const std::uint32_t holder = report["tids"]["holder"];
  EXPECT_THAT(names_of_longest_wait(dump, symbols, pid, interval, false), Contains("store::Cache::get"));
  EXPECT_THAT(names_of_longest_wait(dump, symbols, pid, interval, true), Contains(HasSubstr("futex")));
  EXPECT_THAT(names_of_longest_wait(dump, symbols, holder, interval, false), Contains("store::Cache::refill"));
  EXPECT_THAT(names_of_longest_wait(dump, symbols, holder, interval, true), Contains(HasSubstr("nanosleep")));
  for (const StackEvent& e : stacks_of(dump, holder, KF_STACK_WAITED)) EXPECT_GE(e.ts_ns - e.since_ns, 50'000'000u);
  // at once only where no call is timed: a page fault, or the call that was there before the recorder
  for (const std::uint32_t tid : {pid, holder})
    for (const StackEvent& e : stacks_of(dump, tid, KF_STACK_BLOCK)) EXPECT_FALSE(e.ts_ns > interval.t0 && e.ts_ns < interval.t1);
}

// The wait that a dump is about has not ended when the dump is written.
TEST_F(Stacks, OfAWaitThatGoesOn) {
  Workload workload = start_workload("stacks");
  const auto pid = static_cast<std::uint32_t>(workload.pid());
  Recorder recorder = start_recorder({"--pid", std::to_string(pid), "--wait", "--trigger", "inflight:read>100ms"});
  workload.go();
  workload.report();  // from now on it reads its standard input, for the word to end
  const std::string path = recorder.wait_for_dump();
  const Dump dump = open_dump(path);
  model::Symbolizer symbols(dump);
  const auto stack = std::ranges::find(dump.base_stacks(), pid, &kf_base_stack::tid);
  ASSERT_NE(stack, dump.base_stacks().end());
  // not all callers: the stream library between has no frame pointers
  EXPECT_THAT(names(symbols.resolve(stack->user, stack->out_ns)), Contains("workload::Run::finish"));
  EXPECT_THAT(names(symbols.resolve(stack->kernel, stack->out_ns)), Contains(HasSubstr("read")));
  const Output explained = kflight({"explain", path});
  EXPECT_THAT(explained.out, HasSubstr("workload::Run::finish")) << explained.err;
}

// The shell has waited in a call of its own before, and is replaced in an exec that need not wait.
TEST_F(Stacks, OfTheFirstWaitAfterAnExec) {
  const Dump dump = open_dump(record_command({"--stack-wait", "100ms", "--trigger", "syscall:clock_nanosleep>300ms",
                                              "--post", "0s", "--", "sh", "-c", "sleep 0.1; exec sleep 0.4"}));
  const Cause& cause = dump.meta().cause;
  const auto told = stacks_of(dump, cause.tid, KF_STACK_WAITED);
  EXPECT_TRUE(std::ranges::any_of(told, [&](const StackEvent& e) {
    return e.since_ns == cause.enter_ns && e.user_stack != 0;
  }));
}

TEST_F(Stacks, None_LeavesNone) {
  Workload workload = start_workload("stacks");
  Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid()), "--stacks", "none"});
  workload.go();
  workload.report();
  const Dump dump = dump_now(recorder);
  EXPECT_EQ(count<StackEvent>(dump, {}, [](const StackEvent&) { return true; }), 0u);
  EXPECT_TRUE(dump.stacks().empty());
  EXPECT_TRUE(dump.mappings().empty());
}

TEST_F(Stacks, BlockedIsTheDefaultAndTakesTheTargetsOnly) {
  Workload workload = start_workload("stacks");
  Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid())});
  workload.go();
  const Json report = workload.report();
  const Dump dump = dump_now(recorder);
  std::set<std::uint32_t> ours;
  for (const auto& [role, tid] : report["tids"].items()) ours.insert(tid.get<std::uint32_t>());
  EXPECT_GT(count<StackEvent>(dump, {}, [](const StackEvent& e) { return e.user_stack != 0; }), 0u);
  EXPECT_EQ(count<StackEvent>(dump, {}, [&](const StackEvent& e) { return !ours.contains(e.stack_tid); }), 0u);
  // of long waits only, both sides of each in one event at the wait's end
  EXPECT_EQ(count<StackEvent>(dump, {}, [](const StackEvent& e) { return e.role != KF_STACK_WAITED || e.of_call(); }), 0u);
  EXPECT_EQ(count<StackEvent>(dump, {}, [](const StackEvent& e) { return e.ts_ns - e.since_ns < 5'000'000; }), 0u);
  EXPECT_EQ(dump.meta().config.stacks, "blocked");
  EXPECT_EQ(dump.meta().config.stack_wait_ns, 5'000'000u);
}

TEST_F(Stacks, All_TakesTheWakersToo) {
  Workload workload = start_workload("stacks");
  const auto pid = static_cast<std::uint32_t>(workload.pid());
  Recorder recorder = start_recorder({"--pid", std::to_string(pid), "--stacks", "all"});
  workload.go();
  const Json report = workload.report();
  const std::string path = dump_path(recorder);
  const Dump dump = open_dump(path);
  model::Symbolizer symbols(dump);
  bool unlock_seen = false;
  for (const StackEvent& e : stacks_of(dump, report["tids"]["holder"], KF_STACK_WAKER)) {
    const auto where = names(symbols.resolve(e.user_stack, e.ts_ns));
    unlock_seen |= std::ranges::find(where, "store::Cache::refill") != where.end();
  }
  EXPECT_TRUE(unlock_seen);
}

TEST_F(Stacks, Samples_NameTheFunctionThatComputes) {
  Workload workload = start_workload("stacks", {"--compute", "500"});
  const auto pid = static_cast<std::uint32_t>(workload.pid());
  Recorder recorder = start_recorder({"--pid", std::to_string(pid), "--stacks", "none", "--sample", "499"});
  workload.go();
  const Json report = workload.report();
  const std::string path = dump_path(recorder);
  const Dump dump = open_dump(path);
  model::Symbolizer symbols(dump);
  std::size_t samples = 0, hits = 0;
  for (const StackEvent& e : stacks_of(dump, pid, KF_STACK_SAMPLE)) {
    if (!Interval{report["t0"], report["t1"]}.holds(e.ts_ns)) continue;
    const auto where = names(symbols.resolve(e.user_stack, e.ts_ns));
    ++samples;
    hits += !where.empty() && where.front() == "store::checksum";
  }
  EXPECT_GT(samples, 50u);
  EXPECT_GE(hits * 10, samples * 9) << hits << " of " << samples;
}

TEST_F(Stacks, ManyDifferentOnesAreEachThereOrCountedAsLost) {
  Workload workload = start_workload("many_stacks");
  Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid()), "--stack-wait", "0s"});
  workload.go();
  const auto places = workload.report()["did"]["places"].get<std::uint64_t>();
  const std::string path = dump_path(recorder);
  const Dump dump = open_dump(path);
  // every wait leaves one; of the shortest sleeps some are over before they begin
  const auto pid = static_cast<std::uint32_t>(workload.pid());
  const auto waits = count<SwitchEvent>(dump, {}, [pid](const SwitchEvent& e) {
    return e.tid == pid && !e.preempt && e.prev_state != KF_ST_RUNNING && e.prev_state != KF_ST_DEAD;
  });
  EXPECT_EQ(stacks_of(dump, pid, KF_STACK_BLOCK).size(), waits);
  EXPECT_GE(dump.stacks().size() + dump.meta().losses.stacks, places * 9 / 10);
  EXPECT_EQ(lost_events(dump), 0u);
}

// Nobody empties the ring: what finds no room in it is counted, and the events say so.
TEST_F(Stacks, WithoutRoomAreCounted) {
  Workload workload = start_workload("many_stacks");
  kf_config config{};
  config.stacks = KF_STACKS_BLOCKED;
  config.flush_age_ns = 100'000'000;
  auto caps = record::read_kernel_caps();
  ASSERT_TRUE(caps) << caps.error().what;
  auto loader = record::Loader::load(config, *caps, {.ring_bytes = 1 << 20, .open_calls_max = 64});
  ASSERT_TRUE(loader) << loader.error().what;
  ASSERT_TRUE(loader->add_target(static_cast<std::uint32_t>(workload.pid())));
  ASSERT_TRUE(loader->attach());
  EXPECT_EQ(loader->counters().stacks_lost, 0u);
  workload.go();
  workload.report();
  EXPECT_GT(loader->counters().stacks_lost, 0u);
  loader->detach();
}

// A command is followed through its exec, and is gone before anybody asks. Its only long wait ends some milliseconds before
// it does: told at the wait's end, its mappings might be gone before the recorder comes to read them.
TEST_F(Stacks, OfACommand) {
  const Dump dump = open_dump(record_command(
      {"--trigger", "syscall:clock_nanosleep>50ms", "--post", "0s", "--stack-wait", "0s", "--", workload_path("stacks")}));
  model::Symbolizer symbols(dump);
  const auto where = names_of_longest_wait(dump, symbols, dump.meta().cause.tid, {}, false);
  EXPECT_THAT(where, Contains("store::Cache::fetch_rows"));
}

}  // namespace
}  // namespace kflight::test
