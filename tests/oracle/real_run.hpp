// SPDX-License-Identifier: Apache-2.0
//
// real_run.hpp - a real recording in the terms of the simulator and of the reference model: who woke whom, who was put
// where, who switched to whom. What the model has no word for is said in the words it has: a fork is a waking by the
// parent, the end of a life is a sleep, an exec that takes another tid over is undone. Both sides get the same.
#pragma once

#include "kflight/dump.hpp"
#include "kflight/result.hpp"
#include "support/simulator.hpp"

namespace kflight::test {

// An error for a dump in which events are missing: the model knows no losses.
Result<SimRun> run_of(const Dump& dump);

}  // namespace kflight::test
