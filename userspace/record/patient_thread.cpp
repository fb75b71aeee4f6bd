// SPDX-License-Identifier: Apache-2.0
#include "record/patient_thread.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <deque>
#include <latch>
#include <optional>
#include <utility>

#include "base/errors.hpp"
#include "base/log.hpp"
#include "base/mutex.hpp"

namespace kflight::record {

namespace {

using std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostWaiting = 16384;
constexpr int kNice = -10;  // a process that is looked at may end at any moment

void set_up(const std::function<void()>& on_start) {
  pthread_setname_np(pthread_self(), "kflight-look");
  const auto self = static_cast<id_t>(syscall(SYS_gettid));
  if (getpriority(PRIO_PROCESS, self) > kNice && setpriority(PRIO_PROCESS, self, kNice))
    log_debug("the thread that looks at processes keeps its normal priority: {}", errno_text(errno));
  if (on_start) on_start();
}

}  // namespace

struct PatientThread::Task {
  Job job;
  bool done = false;
};

// Shared with the thread, which may outlive its owner.
class PatientThread::State {
 public:
  explicit State(nanoseconds patience) : patience_(patience) {}

  bool post(std::shared_ptr<Task> task) KF_EXCLUDES(mutex_);
  bool finish(const std::shared_ptr<Task>& task, Place place) KF_EXCLUDES(mutex_);
  bool end() KF_EXCLUDES(mutex_);  // false: a job is at work that may take for ever
  void run() KF_EXCLUDES(mutex_);

 private:
  std::shared_ptr<Task> next(const std::shared_ptr<Task>& last) KF_EXCLUDES(mutex_);  // nothing: it is time to end
  bool stuck() const KF_REQUIRES(mutex_) { return began_ && Clock::now() - *began_ > patience_; }

  const nanoseconds patience_;
  Mutex mutex_;
  CondVar posted_, changed_;
  std::deque<std::shared_ptr<Task>> waiting_ KF_GUARDED_BY(mutex_);
  std::optional<Clock::time_point> began_ KF_GUARDED_BY(mutex_);  // the job at work
  bool ending_ KF_GUARDED_BY(mutex_) = false;
  bool ended_ KF_GUARDED_BY(mutex_) = false;
};

bool PatientThread::State::post(std::shared_ptr<Task> task) {
  MutexLock lock(mutex_);
  if (waiting_.size() >= kMostWaiting) return false;
  waiting_.push_back(std::move(task));
  posted_.notify_one();
  return true;
}

bool PatientThread::State::finish(const std::shared_ptr<Task>& task, Place place) {
  const auto deadline = Clock::now() + patience_;
  MutexLock lock(mutex_);
  if (stuck() || waiting_.size() >= kMostWaiting) return false;
  waiting_.insert(place == Place::kFirst ? waiting_.begin() : waiting_.end(), task);
  posted_.notify_one();
  while (!task->done && changed_.wait_until(mutex_, deadline)) {
  }
  if (!task->done) std::erase(waiting_, task);
  return task->done;
}

bool PatientThread::State::end() {
  const auto deadline = Clock::now() + patience_;
  std::deque<std::shared_ptr<Task>> dropped;  // and with them, outside of the lock, what they own
  MutexLock lock(mutex_);
  ending_ = true;
  dropped.swap(waiting_);
  posted_.notify_one();
  while (!ended_ && !stuck() && changed_.wait_until(mutex_, deadline)) {
  }
  return ended_;
}

std::shared_ptr<PatientThread::Task> PatientThread::State::next(const std::shared_ptr<Task>& last) {
  if (last) last->job = nullptr;  // what it owns goes here and not under the lock
  MutexLock lock(mutex_);
  began_.reset();
  if (last) last->done = true;
  changed_.notify_all();
  while (!ending_ && waiting_.empty()) posted_.wait(mutex_);
  if (ending_) {
    ended_ = true;
    changed_.notify_all();
    return nullptr;
  }
  std::shared_ptr<Task> task = std::move(waiting_.front());
  waiting_.pop_front();
  began_ = Clock::now();
  return task;
}

void PatientThread::State::run() {
  std::shared_ptr<Task> task;
  while ((task = next(task))) task->job();
}

PatientThread::PatientThread(nanoseconds patience, const std::function<void()>& on_start)
    : state_(std::make_shared<State>(patience)) {
  // Signals belong to the threads of the program, not to ours.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::latch ready(1);
  thread_ = std::thread([state = state_, &on_start, &ready] {
    set_up(on_start);
    ready.count_down();
    state->run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ready.wait();
}

PatientThread::~PatientThread() {
  if (state_->end()) {
    thread_.join();
  } else {
    log_debug("a process does not let itself be looked at; not waiting for it");
    thread_.detach();
  }
}

bool PatientThread::post(Job job) { return state_->post(std::make_shared<Task>(Task{std::move(job)})); }

bool PatientThread::finish(Job job, Place place) {
  return state_->finish(std::make_shared<Task>(Task{std::move(job)}), place);
}

}  // namespace kflight::record
