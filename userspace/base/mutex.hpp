// SPDX-License-Identifier: Apache-2.0
//
// mutex.hpp - std::mutex with clang's thread-safety annotations: members name the mutex that guards them
// (KF_GUARDED_BY), functions what must be held (KF_REQUIRES), and clang checks both at compile time. Other compilers
// see plain mutexes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define KF_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define KF_THREAD_ANNOTATION(x)
#endif

#define KF_CAPABILITY(name) KF_THREAD_ANNOTATION(capability(name))
#define KF_SCOPED_CAPABILITY KF_THREAD_ANNOTATION(scoped_lockable)
#define KF_GUARDED_BY(mutex) KF_THREAD_ANNOTATION(guarded_by(mutex))
#define KF_PT_GUARDED_BY(mutex) KF_THREAD_ANNOTATION(pt_guarded_by(mutex))
#define KF_REQUIRES(...) KF_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define KF_EXCLUDES(...) KF_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define KF_ACQUIRE(...) KF_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define KF_TRY_ACQUIRE(...) KF_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define KF_RELEASE(...) KF_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define KF_NO_THREAD_SAFETY_ANALYSIS KF_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace kflight {

class KF_CAPABILITY("mutex") Mutex {
 public:
  void lock() KF_ACQUIRE() { native_.lock(); }
  void unlock() KF_RELEASE() { native_.unlock(); }
  bool try_lock() KF_TRY_ACQUIRE(true) { return native_.try_lock(); }

 private:
  friend class CondVar;
  std::mutex native_;
};

class KF_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) KF_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() KF_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits may return early; call them in a loop around the condition, which keeps the condition visible to the analysis.
class CondVar {
 public:
  void wait(Mutex& mutex) KF_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.native_, std::adopt_lock);
    native_.wait(lock);
    lock.release();
  }
  // False when `deadline` has passed.
  bool wait_until(Mutex& mutex, std::chrono::steady_clock::time_point deadline) KF_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.native_, std::adopt_lock);
    const auto status = native_.wait_until(lock, deadline);
    lock.release();
    return status == std::cv_status::no_timeout;
  }
  void notify_one() noexcept { native_.notify_one(); }
  void notify_all() noexcept { native_.notify_all(); }

 private:
  std::condition_variable native_;
};

}  // namespace kflight
