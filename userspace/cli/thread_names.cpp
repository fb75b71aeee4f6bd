// SPDX-License-Identifier: Apache-2.0
//
// thread_names.cpp - names from before the window first; the snapshot at its end only for threads not known by then.
#include "cli/thread_names.hpp"

#include <fmt/format.h>

#include <cstring>
#include <iterator>

#include "base/escape.hpp"

namespace kflight::cli {

namespace {

template <class Record>
std::string_view comm_of(const Record& record) {
  return {record.comm, ::strnlen(record.comm, sizeof record.comm)};
}

}  // namespace

ThreadNames::ThreadNames(const Dump& dump) : kernel_symbols_(dump.kernel_symbols()) {
  for (const kf_base_task& task : dump.base_tasks()) set(task.tid, comm_of(task));
  for (const kf_task& task : dump.tasks())
    if (!names_.contains(task.tid)) set(task.tid, comm_of(task));
}

void ThreadNames::follow(const Event& event) {
  visit(
      event, [this](const ForkEvent& e) { set(e.child_tid, e.comm.view()); },
      [this](const ExecEvent& e) { set(e.new_tid, e.comm.view()); },
      [this](const RenameEvent& e) { set(e.renamed_tid, e.comm.view()); });
}

std::string_view ThreadNames::of(std::uint32_t tid) const {
  if (tid == 0) return "idle";
  const auto name = names_.find(tid);
  return name == names_.end() ? std::string_view("?") : name->second;
}

void ThreadNames::append(std::string& out, std::uint32_t tid) const {
  out += of(tid);
  if (tid != 0) fmt::format_to(std::back_inserter(out), ":{}", tid);
}

std::string ThreadNames::function(std::uint64_t address) const {
  const KernelSymbol* symbol = find_symbol(kernel_symbols_, address);
  return symbol && symbol->begin == address ? escape_for_terminal(symbol->name) : fmt::format("{:#x}", address);
}

void ThreadNames::set(std::uint32_t tid, std::string_view comm_untrusted) {
  if (tid != 0 && !comm_untrusted.empty()) names_[tid] = escape_for_terminal(comm_untrusted);
}

}  // namespace kflight::cli
