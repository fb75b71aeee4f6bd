// SPDX-License-Identifier: Apache-2.0
#include "record/awaited_ends.hpp"

#include <gmock/gmock.h>

namespace kflight::record {
namespace {

using testing::Eq;
using testing::Optional;

Cause in_flight(std::uint32_t tid, std::uint64_t enter_ns = 100) {
  Cause cause;
  cause.has_call = cause.call_in_flight = true;
  cause.tid = tid;
  cause.enter_ns = enter_ns;
  return cause;
}

kf_ctl end_of(const Cause& cause, std::uint64_t exit_ns = 900) {
  return {.type = KF_CTL_RESOLVED, .tid = cause.tid, .enter_ns = cause.enter_ns, .exit_ns = exit_ns};
}

const Cause kCall = in_flight(5), kOther = in_flight(6);

TEST(AwaitedEnds, EndAfterTheDump) {
  AwaitedEnds ends;
  ends.expect(kCall);
  EXPECT_FALSE(ends.written(kCall, "a.kfr"));
  EXPECT_FALSE(ends.empty());
  EXPECT_THAT(ends.ended(end_of(kCall)), Optional(Eq("a.kfr")));
  EXPECT_TRUE(ends.empty());
}

// What a call in flight fires when it returns is no news.
TEST(AwaitedEnds, KnowsTheCallByWhateverFires) {
  AwaitedEnds ends;
  ends.expect(kCall);
  Cause returned = kCall;
  returned.call_in_flight = false;
  EXPECT_TRUE(ends.awaits(returned));
  EXPECT_FALSE(ends.awaits(kOther));
  returned.enter_ns += 1;
  EXPECT_FALSE(ends.awaits(returned));
}

TEST(AwaitedEnds, EndBeforeTheDump) {
  AwaitedEnds ends;
  ends.expect(kCall);
  EXPECT_FALSE(ends.ended(end_of(kCall, 777)));
  const auto end = ends.written(kCall, "a.kfr");
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_ns, 777u);
  EXPECT_TRUE(ends.empty());
}

// One of two calls behind the same resource gets the dump; both end when it is released.
TEST(AwaitedEnds, EndOfACallWithoutADumpTakesNobodysPlace) {
  AwaitedEnds ends;
  ends.expect(kCall);
  EXPECT_FALSE(ends.ended(end_of(kCall)));
  EXPECT_FALSE(ends.ended(end_of(kOther)));
  EXPECT_FALSE(ends.ended(end_of(in_flight(5, 99)))) << "the thread's call before";
  EXPECT_TRUE(ends.written(kCall, "a.kfr"));
  EXPECT_TRUE(ends.empty());
}

TEST(AwaitedEnds, SeveralDumpsAreAwaitedAtOnce) {
  AwaitedEnds ends;
  for (const Cause& cause : {kCall, kOther}) ends.expect(cause);
  ends.written(kCall, "a.kfr");
  ends.written(kOther, "b.kfr");
  EXPECT_THAT(ends.ended(end_of(kCall)), Optional(Eq("a.kfr")));
  EXPECT_FALSE(ends.empty());
  EXPECT_THAT(ends.ended(end_of(kOther)), Optional(Eq("b.kfr")));
  EXPECT_TRUE(ends.empty());
}

TEST(AwaitedEnds, ADumpThatFailedOrIsAboutNoCallInFlightAwaitsNothing) {
  AwaitedEnds ends;
  ends.expect(kCall);
  ends.forget(kCall);
  EXPECT_TRUE(ends.empty());
  ends.expect({});
  EXPECT_TRUE(ends.empty());
  EXPECT_FALSE(ends.written({}, "a.kfr"));
  ends.forget({});
  EXPECT_FALSE(ends.ended({}));
}

TEST(AwaitedEnds, CallsThatNeverEndTakeNoMoreThanTheirRoom) {
  AwaitedEnds ends;
  for (std::uint32_t tid = 1; tid <= AwaitedEnds::kMost + 1; ++tid) {
    ends.expect(in_flight(tid));
    ends.written(in_flight(tid), std::to_string(tid));
  }
  EXPECT_FALSE(ends.ended(end_of(in_flight(1))));
  EXPECT_THAT(ends.ended(end_of(in_flight(2))), Optional(Eq("2")));
  EXPECT_THAT(ends.ended(end_of(in_flight(AwaitedEnds::kMost + 1))),
              Optional(Eq(std::to_string(AwaitedEnds::kMost + 1))));
}

}  // namespace
}  // namespace kflight::record
