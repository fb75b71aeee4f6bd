// SPDX-License-Identifier: Apache-2.0
//
// dump_facts.hpp - what integration tests ask of a dump: which events of one thread lie between two times, what was the
// call that fired. A dump that cannot be read fails the test here; the harness checks that it is consistent.
#pragma once

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include "dump/syscalls.hpp"
#include "integration/harness.hpp"
#include "kflight/dump.hpp"
#include "model/trace.hpp"

namespace kflight::test {

inline Dump open_dump(const std::string& path) {
  auto dump = Dump::open(path);
  if (!dump) {
    ADD_FAILURE() << dump.error().what;
    throw std::runtime_error("no dump to look at");
  }
  return std::move(*dump);
}

// Files of `directory`, those half written included.
inline std::set<std::string> files_in(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.insert(entry.path().filename());
  return names;
}

inline std::uint32_t nr_of(std::string_view call) { return dump::syscall_nr(call).value(); }

struct Interval {
  std::uint64_t t0 = 0, t1 = UINT64_MAX;
  bool holds(std::uint64_t ts_ns) const { return t0 <= ts_ns && ts_ns <= t1; }
};

// How many events of kind E lie in the interval and pass the test.
template <class E, class Test>
std::uint64_t count(const Dump& dump, Interval interval, Test passes) {
  std::uint64_t found = 0;
  for (const Event& event : dump.events()) {
    const auto* e = std::get_if<E>(&event);
    if (e != nullptr && interval.holds(e->ts_ns) && passes(*e)) ++found;
  }
  return found;
}

inline std::uint64_t lost_events(const Dump& dump) {
  const LossInfo& losses = dump.meta().losses;
  return losses.ring_events + losses.nested_events + losses.recursion + losses.window;
}

// A CPU was not seen in the interval, and not for the recorder's own losses: it ran a thread that the system hides.
inline bool ran_hidden_thread(const std::string& path, Interval interval) {
  const model::Trace trace(open_dump(path));
  const bool lost_some = lost_events(*trace.dump()) != 0 || std::ranges::any_of(trace.dump()->losses(), [](const kf_loss& loss) {
                           return kf_hides_events(&loss) != 0;
                         });
  return !lost_some && trace.timeline().losses().blind_ns(interval.t0, interval.t1) != 0;
}

// A run whose single events count is made again, up to twice, when some of them were hidden. `record` makes it, `hides`
// judges it.
template <class Record, class Hides>
auto seeing_all(Record record, Hides hides) {
  auto run = record();
  for (int again = 0; again < 2 && hides(run); ++again) run = record();
  return run;
}

class RecordTest : public IntegrationTest {
 protected:
  // What `kflight dump` wrote now.
  std::string dump_path(const Recorder& recorder, Words more = {}) {
    Words words{"dump", "--name", recorder.name(), "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const Output output = kflight(words);
    EXPECT_EQ(output.status, 0) << output.err;
    return output.status == 0 ? output.json().value("path", "") : "";
  }
  Dump dump_now(const Recorder& recorder) { return open_dump(dump_path(recorder)); }

  Json status_of(const Recorder& recorder) {
    const Output output = kflight({"status", "--name", recorder.name(), "--json"});
    EXPECT_EQ(output.status, 0) << output.err;
    return output.json();
  }
};

}  // namespace kflight::test
