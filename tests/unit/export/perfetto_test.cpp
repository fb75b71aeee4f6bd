// SPDX-License-Identifier: Apache-2.0
//
// What an exported Perfetto trace says, read back by the rules of its reader. Over 400 lines: a case per kind of packet.
#include <gmock/gmock.h>

#include "base/sinks.hpp"
#include "export/perfetto.hpp"
#include "support/perfetto_reader.hpp"
#include "support/sample_dump.hpp"
#include "support/two_threads.hpp"
#include "support/worked_example.hpp"

namespace kflight::test {
namespace {

using model::CauseKind;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::Field;
using testing::IsEmpty;
using testing::Pair;
using Kind = PfEvent::Kind;

constexpr std::uint32_t C = 30;
constexpr std::uint32_t kUnknownOn0 = 0x400000;

PfTrace exported(const model::Trace& trace, const exports::ExportOptions& options = {}) {
  MemorySink sink;
  EXPECT_TRUE(exports::export_perfetto(trace, sink, options));
  return PfTrace(sink.bytes());
}
PfTrace exported(const TraceBuilder& builder, std::uint64_t begin_ns, std::uint64_t end_ns) {
  return exported(model::Trace(builder.timeline(begin_ns, end_ns)));
}

std::vector<PfState> states_of(const PfTrace& trace, std::uint32_t tid) {
  for (PfThread& thread : trace.replay(false)) {
    if (thread.tid != tid) continue;
    std::erase_if(thread.states, [](const PfState& s) { return s.state == "Running" && s.begin_ns == s.end_ns; });
    return thread.states;
  }
  return {};
}
auto row(std::uint64_t begin_ns, std::uint64_t end_ns, const std::string& state) {
  return AllOf(Field("begin", &PfState::begin_ns, begin_ns), Field("end", &PfState::end_ns, end_ns),
               Field("state", &PfState::state, state));
}
std::vector<PfEvent> of_kind(const PfTrace& trace, Kind kind) {
  std::vector<PfEvent> out;
  for (const PfEvent& event : trace.events)
    if (event.kind == kind) out.push_back(event);
  return out;
}

// ------------------------------------------------------------------ what comes first

TEST(Perfetto, ClocksMachineAndProcesses_ComeBeforeEvents) {
  const auto file = sample_dump();
  const model::Trace trace(*Dump::from_bytes(file));
  const PfTrace pf = exported(trace);
  ASSERT_GE(pf.packet_kinds.size(), 4u);
  EXPECT_THAT(std::vector(pf.packet_kinds.begin(), pf.packet_kinds.begin() + 4), ElementsAre(6, 45, 2, 1));
  EXPECT_EQ(pf.primary_clock, 6u);
  EXPECT_THAT(pf.clocks, ElementsAre(Pair(1, kSampleCreatedNs), Pair(3, 19'000), Pair(6, 20'000)));
  EXPECT_EQ(pf.release, "6.18.0");
  EXPECT_EQ(pf.machine, "x86_64");
  EXPECT_EQ(pf.cmdlines.at(100), "/usr/bin/db");
  EXPECT_THAT(pf.threads, Contains(Pair(101, Pair(100, "worker"))));
  EXPECT_EQ(pf.tree_ns, trace.timeline().begin_ns());
}

TEST(Perfetto, ReleaseIsNeverOneWithOtherStateCodes) {
  EXPECT_EQ(exported(two_cpus(), 1000, 9000).release, "5.10.0") << "a trace that knows none";
}

TEST(Perfetto, ThreadThatIsRenamed_HasNoNameInTheTree) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).exec(A, A, "after");
  const PfTrace pf = exported(t, 1000, 9000);
  EXPECT_EQ(pf.threads.at(B).second, "b");
  const auto renames = of_kind(pf, Kind::kRename);
  if (pf.threads.at(A).second.empty()) {
    ASSERT_EQ(renames.size(), 1u);
    EXPECT_EQ(renames[0].comm, "after");
    EXPECT_EQ(renames[0].ts_ns, 2000u);
  } else {
    EXPECT_EQ(pf.threads.at(A).second, "after");
  }
}

// ------------------------------------------------------------------ where the window begins

TEST(Perfetto, EveryCpuBeginsWithIdleAndThenItsTask) {
  const PfTrace pf = exported(two_cpus(), 1000, 9000);
  const auto switches = of_kind(pf, Kind::kSwitch);
  ASSERT_EQ(switches.size(), 4u);
  for (std::uint32_t cpu : {0u, 1u}) {
    EXPECT_EQ(switches[cpu * 2].tid, 0u);
    EXPECT_EQ(switches[cpu * 2].cpu, cpu);
    EXPECT_EQ(switches[cpu * 2 + 1].tid, cpu == 0 ? A : B);
    EXPECT_EQ(switches[cpu * 2 + 1].value, 0) << "idle stays runnable";
    EXPECT_EQ(switches[cpu * 2 + 1].ts_ns, 1000u);
    EXPECT_EQ(pf.previous_bundle_end.at(cpu), 1000u);
  }
  EXPECT_THAT(states_of(pf, A), ElementsAre(row(1000, PfState::kOpen, "Running")));
}

TEST(Perfetto, ThreadsOffTheCpu_HaveTheirStateFromTheBeginning) {
  TraceBuilder t = two_cpus();
  t.sleeps(C, {.state = KF_ST_DISK, .iowait = true}).queued(40, 1).sleeps(50, {.state = KF_ST_STOPPED});
  t.at(2000).cpu(0).waking(C, {.ctx = KF_CTX_HARDIRQ});
  const PfTrace pf = exported(t, 1000, 9000);
  EXPECT_THAT(states_of(pf, C), ElementsAre(row(1000, 2000, "D"), row(2000, PfState::kOpen, "R")));
  EXPECT_EQ(states_of(pf, C)[0].io_wait, true);
  EXPECT_THAT(states_of(pf, 40), ElementsAre(row(1000, PfState::kOpen, "R+")));
  EXPECT_THAT(states_of(pf, 50), ElementsAre(row(1000, PfState::kOpen, "T")));
  EXPECT_THAT(states_of(pf, B), ElementsAre(row(1000, PfState::kOpen, "Running"))) << "the CPU's task comes last";
}

// ------------------------------------------------------------------ states and wakers

TEST(Perfetto, PrevState_IsThatOfTheTracepoint) {
  const std::pair<SwitchSpec, std::string> kCases[] = {{{.state = KF_ST_RUNNING, .preempt = true}, "R+"},
                                                       {{.state = KF_ST_SLEEP, .preempt = true}, "R+"},
                                                       {{.state = KF_ST_RUNNING}, "R+"},
                                                       {{.state = KF_ST_RUNNING, .call = "sched_yield"}, "R"},
                                                       {{.state = KF_ST_SLEEP}, "S"},
                                                       {{.state = KF_ST_DISK}, "D"},
                                                       {{.state = KF_ST_KILLABLE}, "D"},
                                                       {{.state = KF_ST_RTLOCK}, "D"},
                                                       {{.state = KF_ST_IDLE}, "I"},
                                                       {{.state = KF_ST_PARKED}, "P"},
                                                       {{.state = KF_ST_STOPPED}, "T"},
                                                       {{.state = KF_ST_TRACED}, "t"},
                                                       {{.state = KF_ST_DEAD}, "X"},
                                                       {{.state = KF_ST_RUNNING, .throttled = true}, "R+"}};
  for (const auto& [spec, letter] : kCases) {
    TraceBuilder t = two_cpus();
    t.at(2000).cpu(0).switch_to(0, spec);
    EXPECT_THAT(states_of(exported(t, 1000, 9000), A),
                ElementsAre(row(1000, 2000, "Running"), row(2000, PfState::kOpen, letter)))
        << "state " << int(spec.state) << (spec.preempt ? " preempted" : "");
  }
}

TEST(Perfetto, Waking_StandsWithTheWakersCpu) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP});
  t.at(3000).cpu(1).waking(A).wakeup(A, 0).at(3500).cpu(0).switch_to(A);
  const PfTrace pf = exported(t, 1000, 9000);
  const auto wakings = of_kind(pf, Kind::kWaking);
  ASSERT_EQ(wakings.size(), 1u);
  EXPECT_EQ(wakings[0].cpu, 1u);
  EXPECT_EQ(wakings[0].flags, 0u);
  EXPECT_EQ(wakings[0].value, 0) << "the queue it was put on";
  const auto rows = states_of(pf, A);
  EXPECT_THAT(rows, ElementsAre(row(1000, 2000, "Running"), row(2000, 3000, "S"), row(3000, 3500, "R"),
                                row(3500, PfState::kOpen, "Running")));
  EXPECT_EQ(rows[2].waker, B);
}

TEST(Perfetto, WakingByInterrupt_CarriesItsContext) {
  for (const auto& [ctx, flags] : {std::pair{KF_CTX_SOFTIRQ, 0x10u}, {KF_CTX_HARDIRQ, 0x08u}, {KF_CTX_NMI, 0x48u}}) {
    TraceBuilder t = two_cpus();
    t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP});
    t.at(3000).cpu(0).waking(A, {.ctx = static_cast<std::uint8_t>(ctx), .cause = CauseKind::kTimer});
    const auto wakings = of_kind(exported(t, 1000, 9000), Kind::kWaking);
    ASSERT_EQ(wakings.size(), 1u);
    EXPECT_EQ(wakings[0].flags, flags);
  }
}

TEST(Perfetto, WakingThroughLoopback_IsTheSenders) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "recvfrom"});
  t.at(3000).cpu(1).waking(
      A, {.ctx = KF_CTX_SOFTIRQ, .call = "sendto", .cause = CauseKind::kNetRx, .cause_ref = KF_NET_LOOPBACK});
  const PfTrace pf = exported(t, 1000, 9000);
  ASSERT_EQ(of_kind(pf, Kind::kWaking).size(), 1u);
  EXPECT_EQ(of_kind(pf, Kind::kWaking)[0].flags, 0u);
  EXPECT_EQ(states_of(pf, A).back().waker, B);
}

TEST(Perfetto, PacketFromAnotherHost_IsAnInterrupts) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "recvfrom"});
  t.at(3000).cpu(1).waking(
      A, {.ctx = KF_CTX_SOFTIRQ, .call = "sendto", .cause = CauseKind::kNetRx, .cause_ref = KF_NET_REMOTE});
  EXPECT_EQ(of_kind(exported(t, 1000, 9000), Kind::kWaking)[0].flags, 0x10u);
}

TEST(Perfetto, WakingThatOvertookTheSleep_ComesRightBehindIt) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(1).waking(A);
  t.at(2100).cpu(0).switch_to(0, {.state = KF_ST_SLEEP});
  t.at(2200).cpu(1).wakeup(A, 0);
  t.at(2500).cpu(0).switch_to(A);
  const auto rows = states_of(exported(t, 1000, 9000), A);
  EXPECT_THAT(rows, ElementsAre(row(1000, 2100, "Running"), row(2100, 2101, "S"), row(2101, 2500, "R"),
                                row(2500, PfState::kOpen, "Running")));
  EXPECT_EQ(rows[2].waker, B);
}

TEST(Perfetto, WakerThatHasLeftItsCpu_IsNamedByThePlainEvent) {
  TraceBuilder t = two_cpus();
  t.named(C, "c").queued(C, 1);
  t.at(2000).cpu(1).waking(A).at(2050).switch_to(C, {.state = KF_ST_SLEEP});
  t.at(2100).cpu(0).switch_to(0, {.state = KF_ST_SLEEP});
  t.at(2200).cpu(1).wakeup(A, 0);
  const PfTrace pf = exported(t, 1000, 9000);
  EXPECT_THAT(of_kind(pf, Kind::kWaking), IsEmpty());
  const auto wakings = of_kind(pf, Kind::kPlainWaking);
  ASSERT_EQ(wakings.size(), 1u);
  EXPECT_EQ(wakings[0].pid, B);
  EXPECT_EQ(wakings[0].tid, A);
  EXPECT_EQ(states_of(pf, A).back().waker, B);
  EXPECT_EQ(states_of(pf, A).back().flags, std::nullopt);
}

TEST(Perfetto, WorkedExample_HasTheWakersOfTheStory) {
  using W = WorkedExample;
  const PfTrace pf = exported(W::trace(), W::kStartNs, W::us(31500));
  const auto waker_at = [&](std::uint32_t tid, std::uint64_t ts_ns) {
    for (const PfState& state : states_of(pf, tid))
      if (state.state == "R" && state.begin_ns == ts_ns) return state.waker;
    return std::optional<std::uint32_t>();
  };
  EXPECT_EQ(waker_at(W::T, W::us(31000)), W::S);
  EXPECT_EQ(waker_at(W::S, W::us(22000)), W::H);
  EXPECT_EQ(waker_at(W::H, W::us(20500)), W::J) << "a waking at the instant its waker left the CPU";
  EXPECT_EQ(waker_at(W::J, W::us(2500)), W::H);
}

// ------------------------------------------------------------------ threads come and go

TEST(Perfetto, NewThread_BelongsToItsCreatorsProcess) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).fork(11, A).wakeup(11, 1, true).at(2500).fork(12, 12).wakeup(12, 1, true);
  t.at(3000).cpu(1).switch_to(11, {.preempt = true});
  const PfTrace pf = exported(t, 1000, 9000);
  const auto born = of_kind(pf, Kind::kNewtask);
  ASSERT_EQ(born.size(), 2u);
  EXPECT_EQ(born[0].tid, 11u);
  EXPECT_EQ(born[0].pid, A);
  EXPECT_EQ(born[0].value & 0x10000, 0x10000) << "CLONE_THREAD";
  EXPECT_EQ(born[1].value & 0x10000, 0);
  const auto rows = states_of(pf, 11);
  EXPECT_THAT(rows, ElementsAre(row(2000, 3000, "R"), row(3000, PfState::kOpen, "Running")));
  EXPECT_EQ(rows[0].waker, A);
  EXPECT_FALSE(pf.threads.contains(11)) << "it was not there when the window began";
}

TEST(Perfetto, EndedThread_GivesItsTidBack) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_DEAD});
  t.at(3000).cpu(1).fork(A, A).wakeup(A, 0, true).at(3500).cpu(0).switch_to(A);
  const PfTrace pf = exported(t, 1000, 9000);
  std::vector<PfThread> lives;
  for (PfThread& thread : pf.replay(false))
    if (thread.tid == A) lives.push_back(thread);
  ASSERT_EQ(lives.size(), 2u);
  EXPECT_TRUE(lives[0].ended);
  EXPECT_EQ(lives[0].states.back().state, "X");
  EXPECT_THAT(lives[1].states, ElementsAre(row(3000, 3500, "R"), row(3500, PfState::kOpen, "Running")));
}

TEST(Perfetto, ThreadThatTakesTheLeadersTid_GoesOnUnderIt) {
  TraceBuilder t;
  t.runs(0, 11).runs(1, A).named(A, "leader");
  t.at(2000).cpu(1).switch_to(0, {.state = KF_ST_DEAD});
  t.at(3000).cpu(0).exec(A, 11, "after");
  t.at(4000).switch_to(0, {.state = KF_ST_SLEEP});
  const PfTrace pf = exported(t, 1000, 9000);
  EXPECT_THAT(states_of(pf, 11), ElementsAre(row(1000, 3000, "Running"), row(3000, PfState::kOpen, "X")));
  std::vector<PfThread> lives;
  for (PfThread& thread : pf.replay(false))
    if (thread.tid == A) lives.push_back(thread);
  ASSERT_EQ(lives.size(), 2u);
  EXPECT_THAT(lives[1].states, ElementsAre(row(3000, 4000, "Running"), row(4000, PfState::kOpen, "S")));
  EXPECT_EQ(lives[1].name, "after");
}

// A slice of Perfetto's stays with its thread.
TEST(Perfetto, ExecThatTakesTheLeadersTid_IsACallOfBothThreads) {
  TraceBuilder t;
  t.runs(0, 11).runs(1, A).named(A, "leader");
  t.at(2000).cpu(1).switch_to(0, {.state = KF_ST_DEAD});
  t.at(3000).cpu(0).exec(A, 11, "after");
  t.at(3500).returns("execve", 2500, 0);
  t.at(4500).returns("read", 4000, 5);
  const PfTrace pf = exported(t, 1000, 9000);
  const auto at = [](Kind kind, std::uint64_t ts_ns, std::uint32_t tid, std::optional<std::int64_t> ret = {}) {
    return AllOf(Field(&PfEvent::kind, kind), Field(&PfEvent::ts_ns, ts_ns), Field(&PfEvent::tid, tid),
                 Field(&PfEvent::ret, ret));
  };
  std::vector<PfEvent> calls;
  for (const PfEvent& event : pf.events)
    if (event.kind == Kind::kSysEnter || event.kind == Kind::kSysExit || (event.kind == Kind::kFree && event.tid == 11))
      calls.push_back(event);
  EXPECT_THAT(calls, ElementsAre(at(Kind::kSysEnter, 2500, 11), at(Kind::kSysExit, 3000, 11), at(Kind::kFree, 3000, 11),
                                 at(Kind::kSysEnter, 3000, A), at(Kind::kSysExit, 3500, A, 0),
                                 at(Kind::kSysEnter, 4000, A), at(Kind::kSysExit, 4500, A, 5)));
}

// ------------------------------------------------------------------ what is not known

TEST(Perfetto, Loss_LeavesNobodyOnTheCpu) {
  TraceBuilder t = two_cpus();
  t.named(C, "c").sleeps(C);
  t.at(2000).cpu(0).unseen_switch_to(C).at(4000).loss(2000, 5);
  t.at(5000).waking(40, {}).at(6000).switch_to(0, {.state = KF_ST_SLEEP});
  const PfTrace pf = exported(t, 1000, 9000);
  EXPECT_THAT(states_of(pf, kUnknownOn0), Contains(row(2000, 5000, "Running")));
  EXPECT_THAT(states_of(pf, A), ElementsAre(row(1000, 2000, "Running"), row(2000, PfState::kOpen, "P")))
      << "parked stands for: nobody knows";
  EXPECT_THAT(states_of(pf, C).back(), row(6000, PfState::kOpen, "S"));
  ASSERT_EQ(pf.lost_before.at(0).size(), 1u);
  EXPECT_GE(pf.lost_before.at(0)[0], 4000u);
  EXPECT_FALSE(pf.lost_before.contains(1));
  bool told = false;
  for (const PfTrackEvent& event : pf.track_events) told |= event.name == "5 events are missing" && event.ts_ns == 2000;
  EXPECT_TRUE(told);
}

// ------------------------------------------------------------------ system calls

TEST(Perfetto, Calls_AreEnteredAndLeft) {
  TraceBuilder t = two_cpus();
  t.at(3000).cpu(0).returns("read", 2000, 5);
  t.at(4000).switch_to(0, {.state = KF_ST_SLEEP, .call = "futex", .enter_ns = 3500});
  const PfTrace pf = exported(t, 1000, 9000);
  const auto in = of_kind(pf, Kind::kSysEnter), out = of_kind(pf, Kind::kSysExit);
  ASSERT_EQ(in.size(), 2u);
  ASSERT_EQ(out.size(), 1u) << "the second one has not returned";
  EXPECT_EQ(in[0].ts_ns, 2000u);
  EXPECT_EQ(in[0].tid, A);
  EXPECT_EQ(in[0].value, 0) << "read";
  EXPECT_EQ(out[0].ts_ns, 3000u);
  EXPECT_EQ(in[1].ts_ns, 3500u);
}

TEST(Perfetto, Call_HasTheArgumentsThatWereTaken) {
  const std::vector<std::uint64_t> all = {0xffffffffffffff9c, 0x12345678, 2, 3};
  for (const auto& [class_of_call, taken] :
       {std::pair{KF_ARGS_NONE, 0u}, {KF_ARGS_0, 1u}, {KF_ARGS_012, 3u}, {KF_ARGS_0123, 4u}}) {
    TraceBuilder t = two_cpus();
    const std::array<std::uint64_t, 4> args = {all[0], 0x7f0012345678, 2, 3};
    t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 1500, .args = args});
    std::get<SwitchEvent>(t.events().back()).sys.args_taken = static_cast<std::uint16_t>(class_of_call);
    const auto in = of_kind(exported(t, 1000, 9000), Kind::kSysEnter);
    ASSERT_EQ(in.size(), 1u);
    EXPECT_THAT(in[0].args, ElementsAreArray(all.begin(), all.begin() + taken)) << "class " << class_of_call;
  }
}

TEST(Perfetto, CallFromBeforeTheWindow_BeginsWithIt) {
  TraceBuilder t = two_cpus();
  t.at(3000).cpu(0).returns("read", 10, 5);
  EXPECT_EQ(of_kind(exported(t, 1000, 9000), Kind::kSysEnter)[0].ts_ns, 1000u);
}

TEST(Perfetto, CallKnownFromItsWaits_IsShownForEach) {
  TraceBuilder t = two_cpus();
  for (std::uint64_t at : {2000u, 4000u}) {
    t.at(at).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "futex"});
    t.at(at + 500).cpu(1).waking(A).at(at + 700).cpu(0).switch_to(A);
  }
  const PfTrace pf = exported(t, 1000, 9000);
  std::vector<std::uint64_t> in, out;
  for (const PfEvent& event : of_kind(pf, Kind::kSysEnter)) in.push_back(event.ts_ns);
  for (const PfEvent& event : of_kind(pf, Kind::kSysExit)) out.push_back(event.ts_ns);
  EXPECT_THAT(in, ElementsAre(2000, 4000));
  EXPECT_THAT(out, ElementsAre(2700, 4700));
}

// ------------------------------------------------------------------ tracks of our own

TEST(Perfetto, Explanation_IsAChainOfNestedSlices) {
  exports::ExportOptions options;
  options.explained = {"read of a",
                       500,
                       5000,
                       {{500, 1500, {}, "a on CPU", "cpu", "exact"},
                        {1500, 2000, {"a: read"}, "b on CPU", "cpu", "exact"},
                        {2000, 4000, {"a: read", "b: futex"}, "timer", "timer", "inferred"},
                        {4000, 5000, {}, "a on CPU", "cpu", "exact"}}};
  const PfTrace pf = exported(model::Trace(two_cpus().timeline(1000, 9000)), options);
  std::vector<std::string> steps;
  std::map<std::string, std::string> notes;
  for (const PfTrackEvent& event : pf.track_events) {
    if (pf.tracks.at(event.track) != "kflight explain") continue;
    steps.push_back(std::to_string(event.ts_ns) + (event.type == 1 ? " " + event.name : " end"));
    if (event.name == "timer") notes = event.notes;
  }
  EXPECT_THAT(steps, ElementsAre("1000 read of a", "1000 a on CPU", "1500 end", "1500 a: read", "1500 b on CPU",
                                 "2000 end", "2000 b: futex", "2000 timer", "4000 end", "4000 end", "4000 end",
                                 "4000 a on CPU", "5000 end", "5000 end"));
  EXPECT_THAT(notes,
              ElementsAre(Pair("category", "timer"), Pair("chain", "a: read > b: futex"), Pair("quality", "inferred")));
}

TEST(Perfetto, Trigger_IsAnInstant) {
  DumpMeta meta;
  meta.cause = {.trigger = "syscall>50ms", .kind = "syscall", .fired_ns = 4000, .has_call = true, .tid = A};
  const PfTrace pf = exported(model::Trace(two_cpus().timeline(1000, 9000), meta));
  EXPECT_THAT(pf.track_events, Contains(AllOf(Field(&PfTrackEvent::ts_ns, 4000u), Field(&PfTrackEvent::type, 3),
                                              Field(&PfTrackEvent::name, "syscall>50ms"))));
}

TEST(Perfetto, Quota_HasATrack) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).switch_to(0, {.throttled = true}).at(7000).switch_to(A);
  const PfTrace pf = exported(t, 1000, 9000);
  EXPECT_THAT(pf.track_events,
              Contains(AllOf(Field(&PfTrackEvent::ts_ns, 2000u), Field(&PfTrackEvent::name, "out of CPU quota"))));
}

TEST(Perfetto, Window_BeginsAndEndsTheTrace) {
  const PfTrace pf = exported(two_cpus(), 1000, 9000);
  EXPECT_EQ(pf.track_events.back().ts_ns, 9000u);
}

}  // namespace
}  // namespace kflight::test
