// SPDX-License-Identifier: Apache-2.0
#include "record/window_keeper.hpp"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <utility>

#include "base/log.hpp"

namespace kflight::record {

namespace {

constexpr std::chrono::nanoseconds kPeriod = std::chrono::seconds(1);
constexpr int kRestPerWork = 200;

std::chrono::nanoseconds own_cpu_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

WindowKeeper::WindowKeeper(Save save, std::function<void()> on_start)
    : save_(std::move(save)), on_start_(std::move(on_start)) {
  // Signals belong to the threads of the program, not to ours.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

WindowKeeper::~WindowKeeper() {
  {
    MutexLock lock(mutex_);
    ending_ = true;
  }
  woken_.notify_all();
  thread_.join();
}

void WindowKeeper::run() {
  pthread_setname_np(pthread_self(), "kflight-keep");
  if (on_start_) on_start_();
  bool told = false;
  for (auto rest = kPeriod; sleep_for(rest);) {
    const auto before = own_cpu_time();
    const auto saved = save_();
    if (!saved && !std::exchange(told, true)) log_warn("{}; recording goes on", saved.error().what);
    rest = std::max(kPeriod, kRestPerWork * (own_cpu_time() - before));
  }
}

bool WindowKeeper::sleep_for(std::chrono::nanoseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  MutexLock lock(mutex_);
  while (!ending_ && woken_.wait_until(mutex_, until)) {
  }
  return !ending_;
}

}  // namespace kflight::record
