// SPDX-License-Identifier: Apache-2.0
#include "record/loss_watch.hpp"

#include <gmock/gmock.h>

namespace kflight::record {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kWindowBegin = 1000, kWindowEnd = 9000;

struct Told {
  std::uint32_t kind, lane;
  std::uint64_t from_ns, to_ns;
  bool operator==(const Told&) const = default;
};

void PrintTo(const Told& t, std::ostream* out) {
  *out << "kind " << t.kind << " lane " << t.lane << " [" << t.from_ns << "," << t.to_ns << "]";
}

class LossWatchTest : public testing::Test {
 protected:
  void chunk(std::uint16_t lane, std::uint64_t last_ns) {
    kf_chunk head{};
    head.lane = lane;
    head.last_ns = last_ns;
    watch_.see(head);
    watch_.handed_over(head);
  }
  void begins(std::uint32_t cpu, std::uint32_t step, std::uint64_t ns) { tell(cpu, step, ns, 0, 0); }
  void ends(std::uint32_t cpu, std::uint32_t step, std::uint64_t ns, int error = 0) { tell(cpu, step, ns, 1, error); }
  void leaves(std::uint32_t cpu, std::uint64_t from_ns, std::uint64_t to_ns) {
    begins(cpu, KF_CPU_GOES, from_ns);
    ends(cpu, KF_CPU_GOES, to_ns);
  }

  std::vector<Told> told(const std::vector<std::uint32_t>& silent = {}) const {
    std::vector<Told> out;
    for (const kf_loss& loss : watch_.within(kWindowBegin, kWindowEnd, watch_.unflushed(silent, kWindowEnd)))
      out.push_back({loss.kind, loss.lane, loss.from_ns, loss.to_ns});
    return out;
  }

  LossWatch watch_{4};

 private:
  void tell(std::uint32_t cpu, std::uint32_t step, std::uint64_t ns, std::uint64_t done, int error) {
    kf_ctl record{};
    record.type = KF_CTL_CPU;
    record.nr = cpu;
    record.rules = step;
    record.exit_ns = ns;
    record.args[0] = done;
    record.ret = error;
    watch_.on_hotplug(record);
  }
};

TEST_F(LossWatchTest, CpuThatIsOffline_LacksWhatItHadNotHandedOver) {
  chunk(1, 3000);
  leaves(1, 4000, 5000);
  EXPECT_THAT(told(), ElementsAre(Told{KF_LOSS_OFFLINE, 1, 3000, 5000}));
}

TEST_F(LossWatchTest, CpuOnItsWayOffline_LacksEventsUntilTheDumpEnds) {
  chunk(1, 3000);
  begins(1, KF_CPU_GOES, 4000);
  EXPECT_THAT(told(), ElementsAre(Told{KF_LOSS_OFFLINE, 1, 3000, kWindowEnd}));
}

TEST_F(LossWatchTest, CpuWithoutAnEventInTheWindow_LacksThemSinceItsBegin) {
  leaves(1, 4000, 5000);
  EXPECT_THAT(told(), ElementsAre(Told{KF_LOSS_OFFLINE, 1, kWindowBegin, 5000}));
}

TEST_F(LossWatchTest, CpuThatIsBack_HasHandedOverWhatItHad) {
  chunk(1, 3000);
  leaves(1, 4000, 5000);
  begins(1, KF_CPU_COMES, 6000);
  EXPECT_THAT(told(), ElementsAre(Told{KF_LOSS_OFFLINE, 1, 3000, 5000}, Told{KF_LOSS_ONLINE, 1, 6000, kWindowEnd}));
  ends(1, KF_CPU_COMES, 7000);
  EXPECT_THAT(told(), ElementsAre(Told{KF_LOSS_OFFLINE, 1, 4000, 5000}, Told{KF_LOSS_ONLINE, 1, 6000, 7000}));
}

TEST_F(LossWatchTest, CpuThatWasOfflineBeforeTheWindow_LacksNothing) {
  leaves(1, 400, 500);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(LossWatchTest, StepThatFails_LosesNothing) {
  begins(1, KF_CPU_GOES, 4000);
  ends(1, KF_CPU_GOES, 5000, -16);
  EXPECT_THAT(told(), IsEmpty());
  leaves(1, 6000, 7000);
  begins(1, KF_CPU_COMES, 7500);
  ends(1, KF_CPU_COMES, 8000, -5);
  EXPECT_THAT(told(), ElementsAre(Told{KF_LOSS_OFFLINE, 1, kWindowBegin, 7000}));
}

TEST_F(LossWatchTest, RecordingThatBeginsAmidAStep_MakesNothingUp) {
  ends(1, KF_CPU_GOES, 5000);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(LossWatchTest, CpuThatIsBack_HasNoSamplesAnyMore) {
  watch_.start(0, true);
  leaves(1, 400, 500);
  begins(1, KF_CPU_COMES, 6000);
  ends(1, KF_CPU_COMES, 7000);
  EXPECT_THAT(told(), ElementsAre(Told{KF_LOSS_ONLINE, 1, 6000, 7000}, Told{KF_LOSS_STACK, 1, 7000, kWindowEnd}));
}

TEST_F(LossWatchTest, CpuThatDidNotAnswer_LacksItsNewestEvents) {
  chunk(2, 8000);
  EXPECT_THAT(told({2}), ElementsAre(Told{KF_LOSS_UNFLUSHED, 2, 8000, kWindowEnd}));
  leaves(2, 8100, 8200);
  EXPECT_THAT(told({2}), ElementsAre(Told{KF_LOSS_OFFLINE, 2, 8000, 8200})) << "said once";
}

}  // namespace
}  // namespace kflight::record
