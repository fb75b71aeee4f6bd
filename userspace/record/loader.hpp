// SPDX-License-Identifier: Apache-2.0
//
// loader.hpp - the BPF object: open, configure, load, attach, and what userspace asks of it while it runs. Everything is
// released by the destructor (links and maps die with their descriptors, so even kill -9 leaves nothing attached). Not
// thread-safe, except flush(), snapshot() and the target functions, which only make bpf(2) calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kflight/dump.hpp"
#include "kflight/result.hpp"
#include "kflight/wire.h"
#include "record/kernel_caps.hpp"

namespace kflight::record {

class Loader {
 public:
  // `config` holds the choices of the user; what depends on the kernel is filled in here.
  static Result<Loader> load(kf_config config, std::uint64_t ring_bytes, std::uint32_t open_calls_max);
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;
  ~Loader();

  Result<> attach();
  void detach() noexcept;

  const KernelCaps& caps() const noexcept;
  std::span<const int> data_rings() const noexcept;  // map descriptors
  int control_ring() const noexcept;
  int stack_ring() const noexcept;  // -1: no stacks are taken
  // Every stack that is met from now on is sent again.
  void resend_stacks() const noexcept;

  // Sends every CPU's batch. Returns the number of CPUs whose batch stayed busy (normally 0).
  Result<std::uint32_t> flush() const;
  Result<std::vector<kf_task>> snapshot() const;

  Result<> add_target(std::uint32_t tgid) const;
  void remove_target(std::uint32_t tgid) const;
  std::vector<std::uint32_t> targets() const;

  // Calls of the target that have not returned, args and names left out (kf_open_call::since_ns is 0).
  std::vector<kf_open_call> calls_in_flight() const;
  // Asks for a KF_CTL_RESOLVED record when this call returns.
  Result<> watch_call(std::uint32_t tid, std::uint64_t enter_ns) const;

  kf_counters counters() const noexcept;
  std::uint64_t recursion_misses() const;
  std::uint64_t capped_events() const;  // that BLOCK and SIGNAL lost to their cap
  std::vector<std::uint64_t> work_functions() const;  // addresses, of the WORK events so far
  std::vector<ProgramCost> program_costs() const;

 private:
  struct Impl;
  explicit Loader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// CPUs as /sys/devices/system/cpu/online and possible have them.
std::vector<std::uint32_t> online_cpus();
std::uint32_t possible_cpus();

}  // namespace kflight::record
