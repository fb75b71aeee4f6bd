// SPDX-License-Identifier: Apache-2.0
#include "record/maps_keeper.hpp"

#include <map>
#include <utility>

namespace kflight::record {

namespace {

constexpr std::uint32_t kLooksPerSecond = 200;

}  // namespace

struct MapsKeeper::State : std::enable_shared_from_this<State> {
  State(PatientThread& t, CodeReader r) : thread(t), reader(std::move(r)) {}

  PatientThread& thread;  // not for its jobs, which may outlive it
  const CodeReader reader;
  Mutex mutex;  // not held while somebody looks
  ProcessMaps maps KF_GUARDED_BY(mutex);
  std::map<std::uint32_t, std::uint64_t> asked_ns KF_GUARDED_BY(mutex);  // of looks that have not begun
  std::uint32_t looking_at KF_GUARDED_BY(mutex) = 0;
  std::uint64_t second_ns KF_GUARDED_BY(mutex) = 0;  // since when looks are counted
  std::uint32_t looks KF_GUARDED_BY(mutex) = 0;

  bool may_look(std::uint64_t now_ns) KF_REQUIRES(mutex);
  void ask(std::uint32_t tgid, std::uint64_t now_ns) KF_REQUIRES(mutex);
  std::uint64_t begin_look(std::uint32_t tgid) KF_EXCLUDES(mutex);
  std::vector<const CodeRange*> end_look(std::uint32_t tgid, std::span<const CodeRange> ranges,
                                         const ProcessMaps::BuildIds& ids, std::uint64_t now_ns) KF_EXCLUDES(mutex);
  void look(std::uint32_t tgid) KF_EXCLUDES(mutex);
};

bool MapsKeeper::State::may_look(std::uint64_t now_ns) {
  if (now_ns - second_ns > 1'000'000'000) {
    second_ns = now_ns;
    looks = 0;
  }
  return ++looks <= kLooksPerSecond;
}

// Two that ask before the look begins are answered by one.
void MapsKeeper::State::ask(std::uint32_t tgid, std::uint64_t now_ns) {
  if (!asked_ns.try_emplace(tgid, now_ns).second) return;
  if (!thread.post([state = shared_from_this(), tgid] { state->look(tgid); })) asked_ns.erase(tgid);
}

std::uint64_t MapsKeeper::State::begin_look(std::uint32_t tgid) {
  MutexLock lock(mutex);
  looking_at = tgid;
  return asked_ns.extract(tgid).mapped();
}

// Not when there are files whose build ids have to be read first.
std::vector<const CodeRange*> MapsKeeper::State::end_look(std::uint32_t tgid, std::span<const CodeRange> ranges,
                                                          const ProcessMaps::BuildIds& ids, std::uint64_t now_ns) {
  MutexLock lock(mutex);
  auto missing = maps.files_missing(ranges, ids);
  if (!missing.empty()) return missing;
  maps.put(tgid, ranges, ids, now_ns);
  looking_at = 0;
  return {};
}

void MapsKeeper::State::look(std::uint32_t tgid) {
  const std::uint64_t now_ns = begin_look(tgid);
  const std::vector<CodeRange> ranges = reader.code(tgid);
  ProcessMaps::BuildIds ids;
  for (auto missing = end_look(tgid, ranges, ids, now_ns); !missing.empty();
       missing = end_look(tgid, ranges, ids, now_ns))
    for (const CodeRange* range : missing) ids.emplace(range->file, reader.build_id(tgid, *range));
}

MapsKeeper::MapsKeeper(PatientThread& thread, CodeReader reader)
    : state_(std::make_shared<State>(thread, std::move(reader))) {}

void MapsKeeper::look(std::uint32_t tgid, std::uint64_t now_ns) {
  MutexLock lock(state_->mutex);
  state_->ask(tgid, now_ns);
}

void MapsKeeper::saw(const kf_stack& stack, std::span<const kf_u64> frames, std::uint64_t now_ns) {
  MutexLock lock(state_->mutex);
  if (state_->asked_ns.contains(stack.tgid) || !state_->maps.should_look(stack, frames, now_ns)) return;
  if (state_->may_look(now_ns)) state_->ask(stack.tgid, now_ns);
}

// Not before a look at the parent that goes on: what the child runs is what that one finds.
void MapsKeeper::inherit(std::uint32_t child, std::uint32_t parent, std::uint64_t now_ns) {
  MutexLock lock(state_->mutex);
  if (!state_->asked_ns.contains(parent) && state_->looking_at != parent)
    return state_->maps.inherit(child, parent, now_ns);
  state_->thread.post([state = state_, child, parent, now_ns] {
    MutexLock later(state->mutex);
    state->maps.inherit(child, parent, now_ns);
  });
}

void MapsKeeper::forget_dead(std::uint64_t window_begin_ns, std::uint64_t now_ns) {
  MutexLock lock(state_->mutex);
  state_->maps.forget_dead(window_begin_ns, now_ns);
}

MapsKeeper::Known MapsKeeper::of(std::span<const std::uint32_t> tgids) const {
  MutexLock lock(state_->mutex);
  return {state_->maps.mappings(tgids), state_->maps.files()};
}

}  // namespace kflight::record
