// SPDX-License-Identifier: Apache-2.0
//
// health.hpp - what decides whether this machine can record: kernel, privileges, limits, and what each lack means.
// Looks at /proc, /sys and BTF and loads the BPF programs once, without attaching them.
#pragma once

#include <string>
#include <vector>

#include "record/loader.hpp"

namespace kflight::cli {

enum class Health {
  kOk,
  kNote,    // recording works, something is missing or worth knowing
  kFailed,  // recording does not work until this is changed
};

struct Finding {
  std::string name;
  Health health = Health::kOk;
  std::string found;
  std::string advice;  // what to do, or what the lack means; empty when all is well
  std::string feature = {};  // of the kernel: its id, for --without; empty: none
};

struct Examination {
  std::vector<Finding> findings;
  std::vector<record::VerifiedProgram> programs;  // how hard each was for the kernel's verifier; empty when it refused
};

Examination examine_machine();

}  // namespace kflight::cli
