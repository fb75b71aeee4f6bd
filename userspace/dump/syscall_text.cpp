// SPDX-License-Identifier: Apache-2.0
//
// syscall_text.cpp - shows a call and its result as strace would. Drives itself from the argument strings of the
// syscall table; cold code: it runs for calls a person looks at.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "dump/errno_names.hpp"
#include "dump/syscalls.hpp"

namespace kflight::dump {

namespace {

// Values with names. Shown without the argument's name: they speak for themselves.
struct NamedValue {
  std::int32_t value;
  std::string_view name;
};

constexpr NamedValue kSignals[] = {
    {1, "SIGHUP"},   {2, "SIGINT"},    {3, "SIGQUIT"},  {4, "SIGILL"},   {5, "SIGTRAP"},  {6, "SIGABRT"},
    {7, "SIGBUS"},   {8, "SIGFPE"},    {9, "SIGKILL"},  {10, "SIGUSR1"}, {11, "SIGSEGV"}, {12, "SIGUSR2"},
    {13, "SIGPIPE"}, {14, "SIGALRM"},  {15, "SIGTERM"}, {17, "SIGCHLD"}, {18, "SIGCONT"}, {19, "SIGSTOP"},
    {20, "SIGTSTP"}, {21, "SIGTTIN"},  {22, "SIGTTOU"}, {23, "SIGURG"},  {24, "SIGXCPU"}, {25, "SIGXFSZ"},
    {27, "SIGPROF"}, {28, "SIGWINCH"}, {29, "SIGIO"},   {31, "SIGSYS"},
};
constexpr NamedValue kClocks[] = {
    {0, "CLOCK_REALTIME"},          {1, "CLOCK_MONOTONIC"},     {2, "CLOCK_PROCESS_CPUTIME_ID"},
    {3, "CLOCK_THREAD_CPUTIME_ID"}, {4, "CLOCK_MONOTONIC_RAW"}, {5, "CLOCK_REALTIME_COARSE"},
    {6, "CLOCK_MONOTONIC_COARSE"},  {7, "CLOCK_BOOTTIME"},      {8, "CLOCK_REALTIME_ALARM"},
    {9, "CLOCK_BOOTTIME_ALARM"},    {11, "CLOCK_TAI"},
};
constexpr NamedValue kWhences[] = {
    {0, "SEEK_SET"}, {1, "SEEK_CUR"}, {2, "SEEK_END"}, {3, "SEEK_DATA"}, {4, "SEEK_HOLE"}};
constexpr NamedValue kEpollOps[] = {{1, "EPOLL_CTL_ADD"}, {2, "EPOLL_CTL_DEL"}, {3, "EPOLL_CTL_MOD"}};

struct FutexCommand {
  std::string_view name;
  std::uint8_t arguments;  // how many of futex's six it uses
};
constexpr FutexCommand kFutexCommands[] = {
    {"FUTEX_WAIT", 4},           {"FUTEX_WAKE", 3},        {"FUTEX_FD", 3},          {"FUTEX_REQUEUE", 5},
    {"FUTEX_CMP_REQUEUE", 6},    {"FUTEX_WAKE_OP", 6},     {"FUTEX_LOCK_PI", 4},     {"FUTEX_UNLOCK_PI", 2},
    {"FUTEX_TRYLOCK_PI", 2},     {"FUTEX_WAIT_BITSET", 6}, {"FUTEX_WAKE_BITSET", 6}, {"FUTEX_WAIT_REQUEUE_PI", 5},
    {"FUTEX_CMP_REQUEUE_PI", 6}, {"FUTEX_LOCK_PI2", 4},
};
constexpr std::uint32_t kFutexPrivate = 128, kFutexRealtime = 256;

std::string named_value(std::span<const NamedValue> values, std::uint64_t raw) {
  const auto value = static_cast<std::int32_t>(raw);
  for (const auto& known : values)
    if (known.value == value) return std::string(known.name);
  return {};
}

const FutexCommand* futex_command(std::uint64_t op) {
  const auto command = static_cast<std::uint32_t>(op) & ~(kFutexPrivate | kFutexRealtime);
  return command < std::size(kFutexCommands) ? &kFutexCommands[command] : nullptr;
}

std::string futex_op_text(std::uint64_t op) {
  const auto* command = futex_command(op);
  if (!command) return {};
  return fmt::format("{}{}{}", command->name, op & kFutexPrivate ? "_PRIVATE" : "",
                     op & kFutexRealtime ? "|FUTEX_CLOCK_REALTIME" : "");
}

// How values of one kind look. A symbol is tried first; without one it is name=number.
struct Kind {
  std::string_view name;
  std::string (*number)(std::uint64_t);
  std::string (*symbol)(std::uint64_t) = nullptr;
};

std::string as_int(std::uint64_t v) { return fmt::format("{}", static_cast<std::int32_t>(v)); }
std::string as_long(std::uint64_t v) { return fmt::format("{}", static_cast<std::int64_t>(v)); }
std::string as_size(std::uint64_t v) { return fmt::format("{}", v); }
std::string as_hex(std::uint64_t v) { return fmt::format("{:#x}", v); }
std::string as_flags(std::uint64_t v) { return v ? as_hex(v) : "0"; }
std::string as_mode(std::uint64_t v) { return fmt::format("0{:o}", v & 0xffff); }
std::string as_ms(std::uint64_t v) {
  return static_cast<std::int32_t>(v) < 0 ? "-1" : fmt::format("{}ms", static_cast<std::int32_t>(v));
}
std::string as_fd(std::uint64_t v) {
  constexpr std::int32_t kAtFdcwd = -100;
  return static_cast<std::int32_t>(v) == kAtFdcwd ? "AT_FDCWD" : as_int(v);
}

constexpr Kind kKinds[] = {
    {"int", as_int},
    {"fd", as_fd},
    {"pid", as_int},
    {"size", as_size},
    {"len", as_size},
    {"count", as_size},
    {"long", as_long},
    {"hex", as_hex},
    {"flags", as_flags},
    {"mode", as_mode},
    {"ms", as_ms},
    {"sig", as_int, [](std::uint64_t v) { return named_value(kSignals, v); }},
    {"clock", as_int, [](std::uint64_t v) { return named_value(kClocks, v); }},
    {"whence", as_int, [](std::uint64_t v) { return named_value(kWhences, v); }},
    {"epoll_op", as_int, [](std::uint64_t v) { return named_value(kEpollOps, v); }},
    {"futex_op", as_int, futex_op_text},
};
constexpr Kind kPointer = {"ptr", as_hex};

struct Argument {
  std::string_view name;
  const Kind* kind;
};

// One word of a row's argument string.
Argument parse_argument(std::string_view word) {
  if (word.front() == '*') return {word.substr(1), &kPointer};
  const auto colon = word.find(':');
  const auto kind = colon == word.npos ? word : word.substr(colon + 1);
  const auto found = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return k.name == kind; });
  return {word.substr(0, colon), found == std::end(kKinds) ? &kKinds[0] : found};
}

// What is known of a call's six arguments.
struct KnownArgs {
  std::span<const std::uint64_t> values;
  bool low_halves = false;  // of the second and third only 32 bits are known
};

std::string argument_text(const Argument& argument, const KnownArgs& known, std::size_t i) {
  const auto value = known.values[i];
  const bool wide = argument.kind->number == as_hex;
  if (known.low_halves && wide && (i == 1 || i == 2) && value != 0)
    return fmt::format("{}=0x..{:08x}", argument.name, value);
  const auto symbol = argument.kind->symbol ? argument.kind->symbol(value) : std::string{};
  return symbol.empty() ? fmt::format("{}={}", argument.name, argument.kind->number(value)) : symbol;
}

// How many arguments the call really has: futex uses fewer with most commands.
std::size_t used_arguments(std::string_view arguments, const KnownArgs& known) {
  constexpr std::string_view kFutexArguments = "*uaddr op:futex_op";
  if (!arguments.starts_with(kFutexArguments) || known.values.size() < 2) return 6;
  const auto* command = futex_command(known.values[1]);
  return command ? command->arguments : 6;
}

std::string known_call(std::string_view name, std::string_view arguments, const KnownArgs& known) {
  std::string text;
  const auto used = used_arguments(arguments, known);
  for (std::size_t i = 0; i < used && !arguments.empty(); ++i) {
    const auto word = arguments.substr(0, arguments.find(' '));
    arguments.remove_prefix(std::min(word.size() + 1, arguments.size()));
    const auto separator = i ? ", " : "";
    if (i >= known.values.size()) {
      text += fmt::format("{}...", separator);
      break;
    }
    text += separator + argument_text(parse_argument(word), known, i);
  }
  return fmt::format("{}({})", name, text);
}

std::string unknown_call(std::string_view name, const KnownArgs& known) {
  std::string text;
  for (const auto value : known.values) text += fmt::format("{:#x}, ", value);
  return fmt::format("{}({}...)", name, text);
}

std::string describe(std::uint32_t nr, std::uint32_t abi, const KnownArgs& known) {
  const auto name = syscall_name(nr, abi);
  const bool has_row = abi != KF_ABI_COMPAT && name.find("syscall_") == name.npos;
  return has_row ? known_call(name, syscall_arguments(nr), known) : unknown_call(name, known);
}

}  // namespace

std::string describe_call(std::uint32_t nr, std::uint32_t abi, std::span<const std::uint64_t> args) {
  return describe(nr, abi, KnownArgs{.values = args.first(std::min<std::size_t>(args.size(), 6))});
}

std::string describe_call(const kf_sys& sys) {
  constexpr std::size_t kTaken[] = {0, 1, 3, 4};  // by KF_ARGS_*
  const std::span<const kf_u64> all{sys.args};
  std::array<std::uint64_t, 4> values{};
  std::copy(all.begin(), all.end(), values.begin());
  const auto taken = kTaken[std::min<std::size_t>(sys.args_taken, std::size(kTaken) - 1)];
  return describe(sys.nr, sys.abi, KnownArgs{.values = std::span(values).first(taken), .low_halves = true});
}

std::string describe_result(std::uint32_t nr, std::int64_t ret) {
  constexpr std::int64_t kLargestErrno = 4095;
  if (ret < 0 && ret >= -kLargestErrno) {
    const auto number = static_cast<std::uint32_t>(-ret);
    if (is_restart_code(number)) return fmt::format("= ? {} (interrupted)", errno_name(number));
    return fmt::format("= -1 {}", errno_name(number));
  }
  constexpr std::string_view kReturnAddress[] = {"mmap", "mremap", "brk", "shmat"};
  if (std::ranges::find(kReturnAddress, syscall_name(nr)) != std::end(kReturnAddress))
    return fmt::format("= {:#x}", static_cast<std::uint64_t>(ret));
  return fmt::format("= {}", ret);
}

}  // namespace kflight::dump
