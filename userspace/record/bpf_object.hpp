// SPDX-License-Identifier: Apache-2.0
//
// bpf_object.hpp - the BPF object that suits the running kernel. There are two, of the same programs and maps: one for
// kernels before 5.12, which refuse some instructions wherever they stand, and one for all others.
#pragma once

#include <memory>

struct kflight_bpf;

namespace kflight::record {

struct DestroyBpfObject {
  void operator()(kflight_bpf* object) const noexcept;
};
using BpfObject = std::unique_ptr<kflight_bpf, DestroyBpfObject>;

// Opened, not loaded. Null and errno when that fails.
BpfObject open_bpf_object(bool for_old_kernel);

}  // namespace kflight::record
