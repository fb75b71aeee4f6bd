// SPDX-License-Identifier: Apache-2.0
#include "record/watched_calls.hpp"

#include <gmock/gmock.h>

namespace kflight::record {
namespace {

using testing::IsEmpty;

kf_open_call call(std::uint32_t tid, std::uint64_t enter_ns) { return {.tid = tid, .tgid = 7, .enter_ns = enter_ns}; }

kf_ctl end_of(const kf_open_call& call) {
  return {.type = KF_CTL_RESOLVED, .tid = call.tid, .enter_ns = call.enter_ns, .exit_ns = call.enter_ns + 1};
}

TEST(WatchedCalls, OneThatIsMissingTwiceHasEndedNobodyKnowsWhen) {
  WatchedCalls watched;
  watched.add(call(5, 100));
  EXPECT_THAT(watched.gone({}), IsEmpty());
  const auto gone = watched.gone({});
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].type, unsigned{KF_CTL_RESOLVED});
  EXPECT_EQ(gone[0].tid, 5u);
  EXPECT_EQ(gone[0].tgid, 7u);
  EXPECT_EQ(gone[0].enter_ns, 100u);
  EXPECT_EQ(gone[0].exit_ns, 0u);
  EXPECT_THAT(watched.gone({}), IsEmpty()) << "told once";
}

TEST(WatchedCalls, OneThatOneLookMissesIsStillThere) {
  const std::vector both = {call(5, 100), call(6, 200)};
  WatchedCalls watched;
  watched.add(both[0]);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(watched.gone({}), IsEmpty());
    EXPECT_THAT(watched.gone(both), IsEmpty());
  }
}

TEST(WatchedCalls, TheThreadsNextCallIsAnother) {
  WatchedCalls watched;
  watched.add(call(5, 100));
  const std::vector next = {call(5, 101)};
  watched.gone(next);
  EXPECT_EQ(watched.gone(next).size(), 1u);
}

TEST(WatchedCalls, OneWhoseEndWasToldIsNotMissed) {
  WatchedCalls watched;
  watched.add(call(5, 100));
  watched.gone({});
  watched.on_end(end_of(call(5, 100)));
  EXPECT_THAT(watched.gone({}), IsEmpty());
}

}  // namespace
}  // namespace kflight::record
