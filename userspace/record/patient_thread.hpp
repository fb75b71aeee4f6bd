// SPDX-License-Identifier: Apache-2.0
//
// patient_thread.hpp - a thread for what may have to wait for another process, which may take as long as it likes: jobs run
// one after the other. Whoever wants a job's result waits for it only so long, and not at all behind a job that is stuck;
// neither does the end of the thread. It then goes on alone, so a job has to own whatever it uses.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

namespace kflight::record {

class PatientThread {
 public:
  using Job = std::function<void()>;
  enum class Place { kFirst, kLast };  // among the jobs that wait

  // `patience` is how long finish() and the end wait, and what a job may take before it counts as stuck. `on_start` is
  // called on the thread before this returns.
  explicit PatientThread(std::chrono::nanoseconds patience, const std::function<void()>& on_start = {});
  // Jobs that wait are dropped.
  ~PatientThread();
  PatientThread(const PatientThread&) = delete;
  PatientThread& operator=(const PatientThread&) = delete;

  // Behind all others. False: too many wait already.
  bool post(Job job);
  // Waits until it has been done. False: it has not, and either never will be or is at work.
  bool finish(Job job, Place place);
  // Waits until all that was posted before is done; false as above.
  bool settle() {
    return finish([] {}, Place::kLast);
  }

 private:
  struct Task;
  class State;

  const std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace kflight::record
