// SPDX-License-Identifier: Apache-2.0
//
// loader.hpp - the BPF object: open, configure, load, attach, and what userspace asks of it while it runs. Everything is
// released by the destructor (links and maps die with their descriptors, so even kill -9 leaves nothing attached). Not
// thread-safe, except flush(), snapshot(), waiters() and the target functions, which only make bpf(2) calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kflight/dump.hpp"
#include "kflight/name_matcher.h"
#include "kflight/result.hpp"
#include "kflight/wire.h"
#include "record/kernel_caps.hpp"

namespace kflight::record {

struct LoadOptions {
  std::uint64_t ring_bytes = 0;  // of one data ring, a power of two; less where all would exceed Loader::kMostRingBytes
  std::uint32_t open_calls_max = 0;
  std::uint32_t cpus = 0;           // as if so many were possible; 0: as many as are
  kf_name_matcher names{};          // whose bearers become targets, with kf_config::watch_names
  bool count_instructions = false;  // have the verifier say how many it looked at, for verified()
};

// What loading a program cost.
struct VerifiedProgram {
  std::string name;
  std::uint64_t instructions = 0;  // that the verifier looked at, along all ways; it gives up at a million
};

class Loader {
 public:
  // The kernel takes a ring's memory when it is made. However many CPUs there are, one thread empties all rings, and what
  // it takes in a second needs no more room than this.
  static constexpr std::uint64_t kMostRingBytes = 1 << 30;

  // `config` holds the choices of the user; what depends on the kernel, that is on `caps`, is filled in here.
  static Result<Loader> load(kf_config config, KernelCaps caps, const LoadOptions& options);
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;
  ~Loader();

  Result<> attach();
  void detach() noexcept;

  const KernelCaps& caps() const noexcept;
  std::span<const int> data_rings() const noexcept;  // map descriptors
  std::uint64_t ring_bytes() const noexcept;         // of each data ring
  int control_ring() const noexcept;
  int stack_ring() const noexcept;  // -1: no stacks are taken
  // Every stack that is met from now on is sent again.
  void resend_stacks() const noexcept;

  // Sends every CPU's batch. Returns the CPUs that did not: their batch stayed busy, their ring full for 50 ms of waiting in
  // all, or they have just gone offline. What did not fit stays in the batch until the CPU fills it or it grows old.
  Result<std::vector<std::uint32_t>> flush() const;
  Result<std::vector<kf_task>> snapshot() const;
  // The target's threads in waits whose stacks are yet to be told; none when all are told at once.
  Result<std::vector<kf_waiter>> waiters() const;
  std::uint32_t stack_frames_max() const noexcept;

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
  const std::vector<VerifiedProgram>& verified() const noexcept;  // empty without LoadOptions::count_instructions

 private:
  struct Impl;
  explicit Loader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// CPUs as /sys/devices/system/cpu/online and possible have them.
std::vector<std::uint32_t> online_cpus();
std::uint32_t possible_cpus();

}  // namespace kflight::record
