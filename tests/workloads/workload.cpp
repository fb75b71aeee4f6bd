// SPDX-License-Identifier: Apache-2.0
//
// workload.cpp - command line, report and the start and end of a workload.
#include "workload.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <latch>
#include <nlohmann/json.hpp>

namespace workload {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void usage(const char* name, const char* about, std::initializer_list<Arg> args, int status) {
  std::FILE* out = status == 0 ? stdout : stderr;
  std::fprintf(out, "%s: %s\n  --clean       without the cause\n  --wait        start on a line of stdin\n", name,
               about);
  for (const Arg& arg : args) std::fprintf(out, "  --%s N (default %s)  %s\n", arg.name, arg.value, arg.help);
  std::exit(status);
}

Json tally_json(const Tally& tally) {
  const ThreadCounts counts = tally.delta();
  return {{"t0", tally.t0()},
          {"t1", tally.t1()},
          {"voluntary", counts.voluntary},
          {"involuntary", counts.involuntary},
          {"switched_in", counts.switched_in},
          {"run_ns", counts.run_ns},
          {"delay_ns", counts.delay_ns}};
}

// The cause acted within the interval, and no longer than that.
Json measured_json(Measured measured, std::uint64_t t0, std::uint64_t t1) {
  if (measured.at_most_ns == 0) measured.at_most_ns = t1 - t0;
  if (measured.to_ns != 0) {
    measured.from_ns = std::clamp(measured.from_ns, t0, t1);
    measured.to_ns = std::clamp(measured.to_ns, t0, t1);
  }
  return {{"at_least_ns", std::min(measured.at_least_ns, t1 - t0)},
          {"at_most_ns", std::min(measured.at_most_ns, t1 - t0)},
          {"from", measured.from_ns},
          {"to", measured.to_ns}};
}

void print(const Json& report) { std::cout << report.dump() << std::endl; }

}  // namespace

Run::Run(int argc, char** argv, const char* name, const char* about, std::initializer_list<Arg> args) : name_(name) {
  for (const Arg& arg : args) args_[arg.name] = arg.value;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--help") usage(name, about, args, 0);
    if (word == "--clean") {
      clean_ = true;
    } else if (word == "--wait") {
      wait_ = true;
    } else if (word.starts_with("--") && args_.contains(word.substr(2)) && i + 1 < argc) {
      args_[word.substr(2)] = argv[++i];
    } else {
      std::fprintf(stderr, "%s: '%s' is no flag of this program, or its value is missing\n", name, word.c_str());
      usage(name, about, args, 2);
    }
  }
  set_name(name_);
  role("main", own_tid());
}

std::uint64_t Run::number(const std::string& name) const {
  const std::string& value = args_.at(name);
  char* end = nullptr;
  const std::uint64_t parsed = std::strtoull(value.c_str(), &end, 10);
  if (value.empty() || *end != '\0') {
    std::fprintf(stderr, "%s: --%s takes a number, not '%s'\n", name_.c_str(), name.c_str(), value.c_str());
    std::exit(2);
  }
  return parsed;
}

void Run::wait_for_start() {
  if (!wait_ || started_) return;
  started_ = true;
  std::cout << "pid " << getpid() << std::endl;
  std::string line;
  if (!std::getline(std::cin, line)) std::exit(1);
}

std::thread Run::spawn(const std::string& name, std::function<void()> body) {
  auto begun = std::make_shared<std::latch>(1);
  std::thread thread([this, name, begun, body = std::move(body)] {
    set_name(name);
    role(name, own_tid());
    begun->count_down();
    body();
    const std::lock_guard lock(mutex_);
    delayed_ns_[name] = delay_ns();
  });
  begun->wait();
  return thread;
}

pid_t Run::tid_of(const std::string& name) {
  const std::lock_guard lock(mutex_);
  for (const auto& [role, tid] : roles_) {
    if (role == name) return tid;
  }
  std::fprintf(stderr, "%s: no thread has the role '%s'\n", name_.c_str(), name.c_str());
  std::abort();
}

void Run::role(const std::string& role, pid_t tid, std::uint64_t delayed_ns) {
  const std::lock_guard lock(mutex_);
  roles_.emplace_back(role, tid);
  delayed_ns_[role] = delayed_ns;
}

void Run::begin() {
  subject_ = own_tid();
  t0_ = now_ns();
}

void Run::end() { t1_ = now_ns(); }

void Run::interval(std::uint64_t t0, std::uint64_t t1, pid_t subject) {
  t0_ = t0;
  t1_ = t1;
  subject_ = subject;
}

void Run::did(const std::string& what, std::uint64_t count) { did_.emplace_back(what, count); }

void Run::tally(const std::string& role, const Tally& tally) { tallies_.emplace_back(role, tally); }

int Run::finish() {
  Json report{{"workload", name_}, {"clean", clean_},     {"pid", getpid()},        {"t0", t0_},
              {"t1", t1_},         {"subject", subject_}, {"tids", Json::object()}, {"did", Json::object()}};
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [role, tid] : roles_) report["tids"][role] = tid;
    delayed_ns_["main"] = delay_ns();
    report["delayed_ns"] = delayed_ns_;
  }
  for (const auto& [what, count] : did_) report["did"][what] = count;
  for (const auto& [role, tally] : tallies_) report["counts"][role] = tally_json(tally);
  if (!expectation_.leaf.empty() || !expectation_.detector.empty()) {
    report["expect"] = {{"present", !clean_},
                        {"leaf", expectation_.leaf},
                        {"chain", expectation_.chain},
                        {"min_percent", expectation_.min_percent},
                        {"detector", expectation_.detector}};
    report["measured"] = measured_json(measured_, t0_, t1_);
  }
  print(report);
  stay();
  return 0;
}

void Run::stay() const {
  std::string line;
  if (wait_) std::getline(std::cin, line);
}

// At the same points as a run that is not skipped: whoever started it may be about to attach to it.
void Run::skip(const std::string& reason) {
  wait_for_start();
  print({{"workload", name_}, {"skipped", reason}});
  stay();
  std::exit(kSkipped);
}

}  // namespace workload
