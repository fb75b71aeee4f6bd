// SPDX-License-Identifier: Apache-2.0
//
// stuck_job.hpp - a job of a PatientThread that another process keeps waiting: until the test lets it go.
#pragma once

#include <latch>
#include <memory>
#include <thread>

#include "record/patient_thread.hpp"

namespace kflight::test {

// What a stuck job waits for. The last copy that goes shows that the job has gone with all it owned.
struct Stuck {
  std::shared_ptr<std::latch> let_go = std::make_shared<std::latch>(1), began = std::make_shared<std::latch>(1);
  record::PatientThread::Job job() const {
    return [let_go = let_go, began = began] {
      began->count_down();
      let_go->wait();
    };
  }
  void end() const {
    let_go->count_down();
    while (let_go.use_count() > 1) std::this_thread::yield();
  }
};

}  // namespace kflight::test
