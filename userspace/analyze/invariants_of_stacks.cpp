// SPDX-License-Identifier: Apache-2.0
//
// invariants_of_stacks.cpp - a stack belongs to a moment that the dump knows, and the dump holds what events name.
#include <map>

#include "analyze/invariants.hpp"

namespace kflight::analyze {

namespace {

class StacksBelong final : public Invariant {
 public:
  using Invariant::Invariant;

  void on_switch(const SwitchEvent& e) override {
    last_out_[e.cpu] = {e.tid, e.ts_ns};
    last_in_[e.cpu] = {e.next_tid, e.ts_ns};
  }
  void on_syscall(const SyscallEvent& e) override { last_call_[e.cpu] = {e.tid, e.enter_ns}; }
  void on_waking(const WakingEvent& e) override { last_waking_[e.cpu] = {e.tid, e.ts_ns}; }

  void on_stack(const StackEvent& e) override {
    if (!judged(e.ts_ns)) return;
    tally_.checked();
    if (!e.nested && e.role == KF_STACK_BLOCK) expect(e, last_out_, "switch-out");
    if (!e.nested && e.role == KF_STACK_WAKER) expect(e, last_waking_, "waking");
    if (!e.nested && e.role == KF_STACK_WAITED) {
      if (e.of_call()) expect_call(e);
      else expect(e, last_in_, "return to a CPU");
    }
    for (const std::uint64_t id : {e.kernel_stack, e.user_stack})
      if (id != 0 && survey_.dump.stack(id) == nullptr) missing(e, id);
  }

 private:
  struct Moment {
    std::uint32_t tid = 0;
    std::uint64_t ts_ns = 0;
  };

  // What a stack belongs to may have left the window with the chunk before.
  void expect(const StackEvent& e, const std::map<std::uint16_t, Moment>& moments, std::string_view what) {
    const auto last = moments.find(e.cpu);
    if (last == moments.end() || excused_by_loss_on(e.cpu, last->second.ts_ns, e.ts_ns)) return;
    if (last->second.tid != e.stack_tid || last->second.ts_ns != e.ts_ns)
      tally_.violate(e, e.stack_tid, "this stack is of a {} that is not there", what);
  }

  // An interrupt may have come between the call's end and this, but no other call.
  void expect_call(const StackEvent& e) {
    const auto last = last_call_.find(e.cpu);
    if (last == last_call_.end() || excused_by_loss_on(e.cpu, e.since_ns, e.ts_ns)) return;
    if (last->second.tid != e.stack_tid || last->second.ts_ns != e.since_ns)
      tally_.violate(e, e.stack_tid, "this stack is of a call that is not there");
  }

  void missing(const StackEvent& e, std::uint64_t id) {
    if (survey_.dump.meta().losses.stacks != 0 || !survey_.dump.damage().empty()) return tally_.excuse();
    tally_.violate(e, e.stack_tid, "stack {:016x} is not in the dump, and none was lost", id);
  }

  std::map<std::uint16_t, Moment> last_out_, last_in_, last_waking_, last_call_;  // a call's time: when it was entered
};

}  // namespace

std::unique_ptr<Invariant> stacks_belong(const DumpSurvey& survey, Tally tally) {
  return std::make_unique<StacksBelong>(survey, tally);
}

}  // namespace kflight::analyze
