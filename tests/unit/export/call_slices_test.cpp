// SPDX-License-Identifier: Apache-2.0
//
// System calls as slices that never overlap.
#include <gmock/gmock.h>

#include "export/call_slices.hpp"
#include "support/two_threads.hpp"

namespace kflight::test {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr std::uint64_t kOpen = ~0ULL;

std::vector<std::pair<std::uint64_t, std::uint64_t>> slices_of(const TraceBuilder& t, std::uint64_t begin_ns = 1000) {
  const model::Timeline timeline = t.timeline(begin_ns, 9000);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
  exports::CallSlices slices(timeline, timeline.thread(timeline.find_thread(A, 5000)));
  while (const auto slice = slices.next()) out.emplace_back(slice->begin_ns, slice->ends ? slice->end_ns : kOpen);
  return out;
}

TEST(CallSlices, AreTheCallsWhereBothEndsAreKnown) {
  TraceBuilder t = two_cpus();
  t.at(3000).cpu(0).returns("read", 2000, 1).at(5000).returns("write", 4000, 1);
  EXPECT_THAT(slices_of(t), ElementsAre(Pair(2000, 3000), Pair(4000, 5000)));
}

TEST(CallSlices, AreCutToTheWindow) {
  TraceBuilder t = two_cpus();
  t.at(900).cpu(0).returns("read", 500, 1).at(1500).returns("read", 950, 1);
  t.at(9500).returns("write", 8000, 1);
  EXPECT_THAT(slices_of(t), ElementsAre(Pair(1000, 1500), Pair(8000, kOpen)));
}

TEST(CallSlices, CallInFlight_HasNoEnd) {
  TraceBuilder t = two_cpus();
  t.at(3000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 2000});
  EXPECT_THAT(slices_of(t), ElementsAre(Pair(2000, kOpen)));
}

TEST(CallSlices, LastCallOfAThread_EndsWithIt) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "exit_group", .enter_ns = 1900});
  t.at(3000).cpu(1).waking(A).at(3100).cpu(0).switch_to(A).at(3200).switch_to(0, {.state = KF_ST_DEAD});
  EXPECT_THAT(slices_of(t), ElementsAre(Pair(1900, 3200)));
}

TEST(CallSlices, MissingReturn_EndsWhereTheCallWasLastSeen) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 1900});
  t.at(3000).cpu(1).waking(A).at(3100).cpu(0).switch_to(A);
  t.at(6000).returns("write", 5000, 1);
  EXPECT_THAT(slices_of(t), ElementsAre(Pair(1900, 3100), Pair(5000, 6000)));
}

TEST(CallSlices, MissingReturnOfTheLastCall_EndsWhereTheCallWasLastSeen) {
  for (const bool exits : {false, true}) {
    TraceBuilder t = two_cpus();
    t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 1900});
    t.at(3000).cpu(1).waking(A).at(3100).cpu(0).switch_to(A);
    t.at(5000).switch_to(0, {.state = KF_ST_DISK});  // a page fault of the program's
    t.at(6000).cpu(1).waking(A).at(6100).cpu(0).switch_to(A);
    if (exits) t.at(7000).switch_to(0, {.state = KF_ST_DEAD});
    EXPECT_THAT(slices_of(t), ElementsAre(Pair(1900, 3100))) << (exits ? "and exits" : "");
  }
}

TEST(CallSlices, LastCallThatSleepsAgain_HasNoEnd) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 1900});
  t.at(3000).cpu(1).waking(A).at(3100).cpu(0).switch_to(A).at(4000).switch_to(0, {.preempt = true});
  t.at(4100).switch_to(A).at(5000).switch_to(0, {.state = KF_ST_DISK, .call = "read"});
  EXPECT_THAT(slices_of(t), ElementsAre(Pair(1900, kOpen)));
}

TEST(CallSlices, KnownFromWaitsOnly_AreTheWaits) {
  TraceBuilder t = two_cpus();
  t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read"});
  t.at(3000).cpu(1).waking(A).at(3100).cpu(0).switch_to(A);
  t.at(4000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read"});
  EXPECT_THAT(slices_of(t), ElementsAre(Pair(2000, 3100), Pair(4000, kOpen)));
}

}  // namespace
}  // namespace kflight::test
