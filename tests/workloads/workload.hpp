// SPDX-License-Identifier: Apache-2.0
//
// workload.hpp - what the programs with a planted cause have in common. Each does one known thing and prints one JSON
// line about it: when (CLOCK_BOOTTIME ns, like events), which threads, how often, and what an explanation has to say.
//
//   --clean   the same program without the cause: nothing must be found
//   --wait    prints "pid N", starts on a line of stdin, and after its report stays alive until the next line or the
//             end of stdin, so that a recorder can attach before and dump after
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace workload {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

inline constexpr int kSkipped = 77;  // exit status: this machine cannot run it, the report says why

std::uint64_t now_ns();  // CLOCK_BOOTTIME
std::uint64_t cpu_ns();  // CPU time of the calling thread
std::uint64_t cpu_ns(std::thread& thread);
// What a hypervisor took from all CPUs so far, in whole ticks. It is in nobody's CPU time, though to a recorder the thread
// had the CPU.
std::uint64_t stolen_ns();
std::uint64_t delay_ns();  // time the calling thread was runnable and had no CPU
pid_t own_tid();

void sleep_for(nanoseconds duration);
void burn_cpu(nanoseconds cpu_time);         // returns when the calling thread has used that much CPU
void burn_until(std::uint64_t boottime_ns);  // returns at that time, having used what CPU it got
void pin_to_cpu(int cpu);                    // the calling thread
void set_nice(int nice);                     // the calling thread
void set_name(const std::string& name);      // the calling thread
void wait_until_asleep(pid_t tid);           // a task of any process: until the kernel says S or D
void await_go(int fd);                       // reads one byte: the other side of say_go()
void say_go(int fd);

// Ends the program with `what` and errno when `value` says that a system call failed. Returns the value.
long check(long value, const char* what);

// What the kernel counts per thread, as /proc/PID/task/TID has it.
struct ThreadCounts {
  std::uint64_t voluntary = 0, involuntary = 0;  // status: nvcsw, nivcsw
  std::uint64_t run_ns = 0, delay_ns = 0;        // schedstat, fields 1 and 2
  std::uint64_t switched_in = 0;                 // schedstat, field 3
};

// A thread's own counts over an interval that begins and ends at moments when they were exactly these: the reading is
// repeated until no switch fell between it and the clock.
class Tally {
 public:
  void begin();
  void end();
  std::uint64_t t0() const { return t0_; }
  std::uint64_t t1() const { return t1_; }
  ThreadCounts delta() const;

 private:
  std::uint64_t t0_ = 0, t1_ = 0;
  ThreadCounts first_, last_;
};

// A flag with a value, `--name VALUE`, and what it does when it is not given.
struct Arg {
  const char* name;
  const char* value;
  const char* help;
};

// What a right explanation of the subject's interval [t0, t1] contains; of a clean run it must not.
struct Expectation {
  std::string leaf;                // category of the leaf that dominates, of the report's closed list
  std::vector<std::string> chain;  // roles from the subject to whoever the leaf belongs to
  unsigned min_percent = 0;        // its share of the interval; 0: not bounded
  std::string detector;            // a detector that must fire; empty: none
};

// What the workload itself measured of the planted cause, a CPU clock being the least and the wall clock the most of a
// time on a CPU: a hypervisor's share is only in the latter. What the machine's other work adds to the interval is not
// in it: a test takes off how long the threads between subject and cause waited for a CPU (`delayed_ns` of the report).
struct Measured {
  std::uint64_t at_least_ns = 0, at_most_ns = 0;  // of the subject's interval; at_most_ns 0: all of it
  std::uint64_t from_ns = 0, to_ns = 0;           // the cause acted all this time; 0: not known
};

class Run {
 public:
  // Ends the program with a usage message when the command line is not understood.
  Run(int argc, char** argv, const char* name, const char* about, std::initializer_list<Arg> args = {});

  bool clean() const { return clean_; }
  std::uint64_t number(const std::string& name) const;
  nanoseconds milliseconds(const std::string& name) const { return std::chrono::milliseconds(number(name)); }
  const std::string& text(const std::string& name) const { return args_.at(name); }

  void wait_for_start();  // with --wait: "pid N" and a line of stdin

  // Starts a thread that carries its role as its name; returns when it has begun and its tid is known.
  std::thread spawn(const std::string& role, std::function<void()> body);
  pid_t tid_of(const std::string& role);
  // Of threads and processes started otherwise, and how long they were runnable without a CPU.
  void role(const std::string& role, pid_t tid, std::uint64_t delayed_ns = 0);

  // The interval to explain, and whose it is (default: the calling thread of begin()).
  void begin();
  void end();
  void interval(std::uint64_t t0, std::uint64_t t1, pid_t subject);
  std::uint64_t t0() const { return t0_; }
  std::uint64_t t1() const { return t1_; }

  void did(const std::string& what, std::uint64_t count);
  void tally(const std::string& role, const Tally& tally);
  void expect(Expectation expectation) { expectation_ = std::move(expectation); }
  void measured(const Measured& measured) { measured_ = measured; }

  int finish();  // prints the report; with --wait stays until told; the exit status
  // Reports why this machine cannot run it and exits, with --wait when told to, as finish() does.
  [[noreturn]] void skip(const std::string& reason);

 private:
  void stay() const;  // with --wait: until told

  std::string name_;
  bool clean_ = false, wait_ = false, started_ = false;
  std::map<std::string, std::string> args_;
  std::uint64_t t0_ = 0, t1_ = 0;
  pid_t subject_ = 0;
  Expectation expectation_;
  Measured measured_;
  std::vector<std::pair<std::string, std::uint64_t>> did_;
  std::vector<std::pair<std::string, Tally>> tallies_;
  std::mutex mutex_;  // guards what follows
  std::vector<std::pair<std::string, pid_t>> roles_;
  std::map<std::string, std::uint64_t> delayed_ns_;  // all their life, of threads that have ended
};

// How long the calling thread, between the interval's ends, neither ran nor could have run. It is read just outside of the
// interval and just within: when it loses its CPU between two readings, only one of them has that.
class Wait {
 public:
  explicit Wait(Run& run) : run_(run), outer_ns_(busy_ns()) {
    run.begin();
    inner_ns_ = busy_ns();
  }
  void end() {
    inner_ns_ = busy_ns() - inner_ns_;
    run_.end();
    outer_ns_ = busy_ns() - outer_ns_;
  }
  std::uint64_t at_least_ns() const { return length_ns() - std::min(outer_ns_, length_ns()); }
  std::uint64_t at_most_ns() const { return length_ns() - std::min(inner_ns_, length_ns()); }

 private:
  static std::uint64_t busy_ns() { return cpu_ns() + delay_ns(); }
  std::uint64_t length_ns() const { return run_.t1() - run_.t0(); }

  Run& run_;
  std::uint64_t outer_ns_, inner_ns_;
};

// A temporary file without a name in `directory`, removed with its descriptor. Ends the program when that fails.
int unnamed_file(const std::string& directory, int extra_flags = 0);

// A pair of connected descriptors; for a pipe the first is the reading end.
struct Pair {
  int first = -1, second = -1;
};
Pair make_pipe();
Pair make_socketpair();
Pair make_tcp_pair();  // both ends on 127.0.0.1, no delay

}  // namespace workload
