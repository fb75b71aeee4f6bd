// SPDX-License-Identifier: Apache-2.0
//
// event_json.cpp - writes into the output buffer directly: millions of lines go through here, a JSON library would not
// do.
#include "export/event_json.hpp"

#include <array>
#include <type_traits>

#include "dump/code_names.hpp"
#include "dump/kernel_names.hpp"
#include "dump/schema.hpp"
#include "dump/syscalls.hpp"
#include "export/json_line.hpp"

namespace kflight::exports {

namespace {

using dump::FieldInfo;
using dump::Meaning;

void put_call(std::string& out, const kf_sys& sys) {
  constexpr std::size_t kTaken[] = {0, 1, 3, 4};  // by KF_ARGS_*
  const std::size_t taken = kTaken[sys.args_taken & 3];
  out += "{\"nr\":";
  put_number(out, sys.nr);
  out += ",\"abi\":";
  put_number(out, sys.abi);
  out += ",\"name\":";
  put_text(out, dump::syscall_name(sys.nr, sys.abi));
  out += ",\"args\":[";
  for (std::size_t i = 0; i < taken; ++i) {
    if (i > 0) out += ',';
    put_number(out, sys.args[i]);
  }
  out += "]}";
}

template <class T>
std::string name_of(Meaning meaning, T code, std::uint32_t abi) {
  switch (meaning) {
    case Meaning::kState:
      return std::string(dump::state_letter(static_cast<std::uint32_t>(code)));
    case Meaning::kContext:
      return std::string(dump::context_name(static_cast<std::uint32_t>(code)));
    case Meaning::kLoss:
      return std::string(dump::loss_reason(static_cast<std::uint32_t>(code)));
    case Meaning::kRole:
      return std::string(dump::stack_role(static_cast<std::uint32_t>(code)));
    case Meaning::kStatus:
      return dump::exit_status_text(static_cast<std::uint32_t>(code));
    case Meaning::kSyscall:
      return dump::syscall_name(static_cast<std::uint32_t>(code), abi);
    case Meaning::kPhase:
      return std::string(dump::block_phase_name(static_cast<std::uint32_t>(code)));
    case Meaning::kBlockOp:
      return std::string(dump::block_op_name(static_cast<std::uint8_t>(code)));
    case Meaning::kDevice:
      return fmt::format("{}:{}", static_cast<std::uint32_t>(code) >> 20, static_cast<std::uint32_t>(code) & 0xfffff);
    case Meaning::kSignal:
      return dump::signal_name(static_cast<std::uint8_t>(code));
    default:
      return {};
  }
}

bool is_code(Meaning meaning) {
  return meaning == Meaning::kState || meaning == Meaning::kContext || meaning == Meaning::kLoss ||
         meaning == Meaning::kStatus || meaning == Meaning::kSyscall || meaning == Meaning::kRole ||
         meaning == Meaning::kPhase || meaning == Meaning::kBlockOp || meaning == Meaning::kDevice ||
         meaning == Meaning::kSignal;
}

template <class E>
struct FieldWriter {
  std::string& out;
  const E& event;

  void operator()(const FieldInfo& info, bool value) const {
    put_key(out, info.name);
    out += value ? "true" : "false";
  }
  void operator()(const FieldInfo& info, const Comm& value) const {
    put_key(out, info.name);
    put_text(out, value.view());
  }
  void operator()(const FieldInfo& info, std::string_view value) const {
    put_key(out, info.name);
    put_text(out, value);
  }
  void operator()(const FieldInfo& info, const std::array<std::uint64_t, 2>& values) const {
    put_key(out, info.name);
    out += '[';
    put_number(out, values[0]);
    out += ',';
    put_number(out, values[1]);
    out += ']';
  }
  void operator()(const FieldInfo& info, const kf_sys& value) const {
    put_key(out, info.name);
    bool there = true;
    if constexpr (requires { event.has_sys; }) there = event.has_sys;
    if constexpr (requires { event.has_args; }) there = event.has_args;
    if (there)
      put_call(out, value);
    else
      out += "null";
  }
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) void operator()(const FieldInfo& info, T value) const {
    put_key(out, info.name);
    put_number(out, value);
    if (!is_code(info.meaning)) return;
    std::uint32_t abi = KF_ABI_NATIVE;
    if constexpr (requires { event.abi; }) abi = event.abi;
    bool has_name = true;
    if constexpr (
        requires { event.waker_nr; } || requires { event.queuer_nr; })
      has_name = info.meaning != Meaning::kSyscall || value < KF_WAKER_BIG_NR;
    put_key(out, info.name, "_name");
    if (has_name)
      put_text(out, name_of(info.meaning, value, abi));
    else
      out += "null";
  }
};

}  // namespace

void append_event_json(std::string& out, const Event& event) {
  std::visit(
      [&]<class E>(const E& e) {
        out += "{\"kind\":\"";
        out += dump::Schema<E>::doc.kind;
        out += '"';
        dump::for_each_field(e, FieldWriter<E>{out, e});
        out += "}\n";
      },
      event);
}

}  // namespace kflight::exports
