// SPDX-License-Identifier: Apache-2.0
#include "export/jsonl.hpp"

#include <nlohmann/json.hpp>

#include "base/escape.hpp"
#include "dump/code_names.hpp"
#include "export/buffered_output.hpp"
#include "export/event_json.hpp"
#include "export/json_line.hpp"
#include "model/descriptors.hpp"
#include "model/wake_cause.hpp"

namespace kflight::exports {

using model::Interval;
using model::kNone;
using model::State;
using model::Thread;
using model::ThreadId;
using model::Timeline;

namespace {

constexpr int kFormatVersion = 1;  // fields are added; a change of meaning or a removal is a new version

// What the lines hold is for programs; what is only for people is in `kflight info`.
std::string header_json(const model::Trace& trace) {
  const DumpMeta& meta = trace.meta();
  const Timeline& timeline = trace.timeline();
  nlohmann::ordered_json out{{"kind", "dump"},
                             {"version", kFormatVersion},
                             {"kflight", escape_for_terminal(meta.config.kflight_version)},
                             {"host", escape_for_terminal(meta.host.hostname)},
                             {"kernel", escape_for_terminal(meta.host.kernel_release)},
                             {"machine", escape_for_terminal(meta.host.machine)},
                             {"window_begin_ns", timeline.begin_ns()},
                             {"window_end_ns", timeline.end_ns()},
                             {"boottime_ns", meta.clocks.boottime},
                             {"monotonic_ns", meta.clocks.monotonic},
                             {"realtime_ns", meta.clocks.realtime},
                             {"events_lost", timeline.losses().events()},
                             {"trigger", escape_for_terminal(meta.cause.trigger)}};
  if (trace.dump()) {
    out["complete"] = trace.dump()->complete();
    out["damaged_parts"] = trace.dump()->damage().size();
  }
  return out.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + '\n';
}

void put_bool(std::string& out, std::string_view name, bool value) {
  put_key(out, name);
  out += value ? "true" : "false";
}

void put_thread_id(std::string& out, std::string_view name, ThreadId id) {
  put_key(out, name);
  if (id == model::kNoThread) {
    out += "null";
  } else {
    put_number(out, id == model::kIdleThread ? -1 : static_cast<std::int64_t>(id));
  }
}

void put_thread(std::string& out, const model::Trace& trace, ThreadId id) {
  const Thread& thread = trace.timeline().thread(id);
  out += R"({"kind":"thread","thread":)";
  put_number(out, id);
  put_number(out, "tid", thread.tid);
  put_number(out, "tgid", thread.tgid);
  put_text(out, "comm", thread.names.empty() ? std::string_view{} : thread.names.back().comm.view());
  put_thread_id(out, "parent", thread.parent);
  put_number(out, "start_ns", thread.start_ns);
  put_number(out, "born_ns", thread.born_ns);
  put_number(out, "former_tid", thread.former_tid);
  put_number(out, "renamed_ns", thread.renamed_ns);
  put_number(out, "cgroup_id", thread.cgroup_id);
  put_bool(out, "is_target", trace.is_target(thread));
  put_bool(out, "is_kthread", thread.is_kthread);
  out += "}\n";
}

void put_wake(std::string& out, const Timeline& timeline, const model::Wake& wake) {
  put_key(out, "wake");
  out += "{\"ts_ns\":";
  put_number(out, wake.ts_ns);
  put_number(out, "enqueued_ns", wake.enqueued_ns);
  put_thread_id(out, "waker", wake.waker);
  put_key(out, "waker_tid");
  if (wake.waker < model::kIdleThread) {
    put_number(out, timeline.thread(wake.waker).tid_at(wake.ts_ns));
  } else {
    out += wake.waker == model::kIdleThread ? "0" : "null";
  }
  put_number(out, "cpu", wake.cpu == model::kNoCpu ? -1 : static_cast<int>(wake.cpu));
  put_text(out, "context", dump::context_name(wake.ctx));
  put_text(out, "cause", model::cause_name(wake.cause));
  put_bool(out, "early", wake.flags & model::kWakeEarly);
  put_bool(out, "lost", wake.flags & model::kWakeLost);
  out += '}';
}

// Why, in one word: how it came to be runnable, or the state in which it sleeps.
std::string_view detail_text(const Interval& interval) {
  if (interval.state == State::kRunnable) return model::why_name(interval.why());
  const bool asleep = interval.state == State::kBlocked || interval.state == State::kStopped;
  return asleep ? dump::state_letter(interval.detail) : std::string_view{};
}

void put_state(std::string& out, const model::Trace& trace, ThreadId id, std::size_t index) {
  const Timeline& timeline = trace.timeline();
  const Thread& thread = timeline.thread(id);
  const Interval& interval = thread.intervals[index];
  const std::uint64_t begin_ns = std::max(interval.begin_ns, timeline.begin_ns());
  out += R"({"kind":"state","thread":)";
  put_number(out, id);
  put_number(out, "tid", thread.tid_at(begin_ns));
  put_text(out, "state", model::state_name(interval.state));
  put_number(out, "begin_ns", begin_ns);
  put_number(out, "end_ns", timeline.interval_end_ns(thread, index));
  put_number(out, "cpu", interval.cpu == model::kNoCpu ? -1 : static_cast<int>(interval.cpu));
  put_number(out, "prio", interval.prio);
  if (const auto detail = detail_text(interval); !detail.empty()) put_text(out, "detail", detail);
  if (interval.flags & model::kIntervalIowait) put_bool(out, "iowait", true);
  if (interval.flags & model::kIntervalInferred) put_bool(out, "inferred", true);
  if (interval.state == State::kBlocked) put_text(out, "waits_for", model::wait_object(trace, thread, interval));
  if (interval.wake != kNone && interval.state == State::kRunnable)
    put_wake(out, timeline, timeline.wake(interval.wake));
  out += "}\n";
}

void put_span(std::string& out, const ExplainedSpan& span) {
  out += R"({"kind":"explain","begin_ns":)";
  put_number(out, span.begin_ns);
  put_number(out, "end_ns", span.end_ns);
  put_text(out, "what", span.name);
  put_text(out, "category", span.category);
  put_text(out, "quality", span.quality);
  put_key(out, "chain");
  out += '[';
  for (std::size_t i = 0; i < span.chain.size(); ++i) {
    if (i > 0) out += ',';
    put_text(out, span.chain[i]);
  }
  out += "]}\n";
}

}  // namespace

Result<> export_jsonl(const model::Trace& trace, ByteSink& sink, const ExportOptions& options) {
  const Timeline& timeline = trace.timeline();
  BufferedOutput out(sink);
  out.text() += header_json(trace);
  std::uint64_t lines = 1;
  const auto line_done = [&] {
    ++lines;
    out.flush_if_full();
    return !out.failed();
  };
  for (ThreadId id = 0; id < timeline.threads().size(); ++id) {
    put_thread(out.text(), trace, id);
    if (!line_done()) return out.finish();
  }
  if (trace.dump()) {
    for (const Event& event : trace.dump()->events()) {
      append_event_json(out.text(), event);
      if (!line_done()) return out.finish();
    }
  }
  for (ThreadId id = 0; id < timeline.threads().size(); ++id) {
    for (std::size_t i = 0; i < timeline.thread(id).intervals.size(); ++i) {
      put_state(out.text(), trace, id, i);
      if (!line_done()) return out.finish();
    }
  }
  for (const ExplainedSpan& span : options.explained.spans) {
    put_span(out.text(), span);
    if (!line_done()) return out.finish();
  }
  out.text() += R"({"kind":"end","lines":)";
  put_number(out.text(), lines + 1);
  out.text() += "}\n";
  return out.finish();
}

}  // namespace kflight::exports
