// SPDX-License-Identifier: Apache-2.0
//
// prio_inversion.cpp - an important thread needs a lock whose unimportant holder cannot run, because a third thread of
// middling importance occupies the holder's CPU. With --pi the lock is a PI futex and the priorities are real-time
// ones: the kernel lends the holder the waiter's priority, so that there is no inversion although the hog is there.
#include <pthread.h>
#include <sched.h>

#include <cerrno>
#include <cstring>

#include "workload.hpp"

using namespace workload;

namespace {

// A pthread mutex, for std::mutex cannot inherit priorities.
class Lock {
 public:
  explicit Lock(bool inherits_priority) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if (inherits_priority) pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&mutex_, &attributes);
    pthread_mutexattr_destroy(&attributes);
  }
  ~Lock() { pthread_mutex_destroy(&mutex_); }
  void lock() { pthread_mutex_lock(&mutex_); }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_;
};

bool set_realtime(int priority) {
  const sched_param parameters{.sched_priority = priority};
  return sched_setscheduler(0, SCHED_FIFO, &parameters) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "prio_inversion", "a lock's holder is kept off its CPU",
          {{"hog", "300", "ms the middle thread runs"},
           {"hold", "50", "ms of CPU the holder needs"},
           {"pi", "0", "1: a PI futex and real-time priorities"}});
  const auto hog_ns = static_cast<std::uint64_t>(run.milliseconds("hog").count());
  const nanoseconds hold = run.milliseconds("hold");
  const bool pi = run.number("pi") != 0;
  if (std::thread::hardware_concurrency() < 2) run.skip("needs two CPUs");
  run.wait_for_start();
  if (pi) {
    if (!set_realtime(1)) run.skip(std::string("no real-time priorities here: ") + std::strerror(errno));
    const sched_param none{};
    check(sched_setscheduler(0, SCHED_OTHER, &none), "sched_setscheduler");
  }

  Lock mutex(pi);
  const Pair locked = make_pipe();
  std::thread low = run.spawn("low", [&] {
    pin_to_cpu(0);
    mutex.lock();
    set_nice(19);
    say_go(locked.second);
    burn_cpu(hold);
    mutex.unlock();
  });
  await_go(locked.first);

  pin_to_cpu(1);
  if (pi) {
    set_realtime(30);
  } else {
    set_nice(-10);
  }
  std::thread middle;
  std::uint64_t middle_cpu_ns = 0, cpu_before = 0, middle_until = 0;
  if (!run.clean()) {
    middle = run.spawn("middle", [&] {
      pin_to_cpu(0);
      if (pi) {
        set_realtime(20);
      } else {
        set_nice(-5);
      }
      middle_until = now_ns() + hog_ns;
      burn_until(middle_until);
      middle_cpu_ns = cpu_ns();
    });
  }
  if (middle.joinable()) cpu_before = cpu_ns(middle);
  run.begin();
  mutex.lock();
  run.end();
  mutex.unlock();
  low.join();
  if (middle.joinable()) middle.join();

  if (!run.clean() && !pi) run.measured({middle_cpu_ns - cpu_before, middle_until - run.t0(), run.t0(), middle_until});
  if (pi) {
    run.expect({.leaf = "cpu", .chain = {"main", "low"}, .min_percent = 50, .detector = {}});
  } else {
    run.expect(
        {.leaf = "contention", .chain = {"main", "low", "middle"}, .min_percent = 80, .detector = "prio-inversion"});
  }
  return run.finish();
}
