// SPDX-License-Identifier: Apache-2.0
//
// maps_keeper.hpp - looks at processes while they live, so that ProcessMaps knows what addresses of their stacks mean: when
// they become a target, at the first stack of an address space (which wakes the recorder for it), and when a stack is
// outside of all that is known; only so often in a second, because a target may start processes faster than anybody should
// look at them. Whoever asks does not wait: a look is a job of the PatientThread. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.hpp"
#include "record/patient_thread.hpp"
#include "record/process_maps.hpp"

namespace kflight::record {

// What a look is made of. Tests have others.
struct CodeReader {
  std::function<std::vector<CodeRange>(std::uint32_t tgid)> code = read_code;
  std::function<BuildId(std::uint32_t tgid, const CodeRange& range)> build_id = read_build_id;
};

class MapsKeeper {
 public:
  explicit MapsKeeper(PatientThread& thread, CodeReader reader = {});

  // Soon, as it is then; what is found is dated now.
  void look(std::uint32_t tgid, std::uint64_t now_ns);
  // A user stack has come in.
  void saw(const kf_stack& stack, std::span<const kf_u64> frames, std::uint64_t now_ns);
  void inherit(std::uint32_t child, std::uint32_t parent, std::uint64_t now_ns);
  void forget_dead(std::uint64_t window_begin_ns, std::uint64_t now_ns);

  struct Known {
    std::vector<kf_mapping> mappings;
    dump::RecordBlob files;
  };
  Known of(std::span<const std::uint32_t> tgids) const;  // sorted

 private:
  struct State;

  const std::shared_ptr<State> state_;  // with the looks that go on
};

}  // namespace kflight::record
