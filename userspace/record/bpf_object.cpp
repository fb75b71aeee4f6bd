// SPDX-License-Identifier: Apache-2.0
#include "record/bpf_object.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "kflight/name_matcher.h"
#include "kflight_bpf.skel.h"
#include "kflight_bpf_old.skel.h"

namespace kflight::record {

namespace {

// One skeleton serves both objects: programs and maps are found by name, and what userspace shares lies alike.
using Bss = kflight_bpf::kflight_bpf__bss;
using OldBss = kflight_bpf_old::kflight_bpf_old__bss;
static_assert(sizeof(Bss) == sizeof(OldBss));
static_assert(offsetof(Bss, target_gen) == offsetof(OldBss, target_gen));
static_assert(offsetof(Bss, watched_count) == offsetof(OldBss, watched_count));
static_assert(offsetof(Bss, regs_offset) == offsetof(OldBss, regs_offset));
static_assert(offsetof(Bss, counters) == offsetof(OldBss, counters));
static_assert(offsetof(Bss, stack_epoch) == offsetof(OldBss, stack_epoch));
using Rodata = kflight_bpf::kflight_bpf__rodata;
using OldRodata = kflight_bpf_old::kflight_bpf_old__rodata;
static_assert(sizeof(Rodata) == sizeof(OldRodata));
static_assert(offsetof(Rodata, config) == offsetof(OldRodata, config));
static_assert(offsetof(Rodata, names) == offsetof(OldRodata, names));

}  // namespace

void DestroyBpfObject::operator()(kflight_bpf* object) const noexcept { kflight_bpf__destroy(object); }

BpfObject open_bpf_object(bool for_old_kernel) {
  BpfObject object(static_cast<kflight_bpf*>(std::calloc(1, sizeof(kflight_bpf))));
  int error = object ? kflight_bpf__create_skeleton(object.get()) : -ENOMEM;
  if (!error) {
    if (for_old_kernel)
      object->skeleton->data = const_cast<void*>(kflight_bpf_old__elf_bytes(&object->skeleton->data_sz));
    error = bpf_object__open_skeleton(object->skeleton, nullptr);
  }
  if (!error) return object;
  errno = -error;
  return nullptr;
}

}  // namespace kflight::record
