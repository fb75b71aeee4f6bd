// SPDX-License-Identifier: Apache-2.0
//
// result.hpp - how kflight reports failure: Result<T> carries a value or an Error, with std::expected's names so that
// C++23's type can take its place (g++ 12 and clang 14 have none in C++20). No exceptions of ours cross an interface.
// Every Error::what says what was tried, on what, why it failed and what the user can do next.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace kflight {

// What kind of failure it is, for callers that act on it. The command line turns kUsage into exit status 2 and
// everything else into 1.
enum class Errc {
  kUsage,         // the request itself is wrong (flag, trigger text, API misuse)
  kNotFound,      // no such PID, file, recorder
  kPermission,    // a capability or file permission is missing
  kUnsupported,   // this kernel or build cannot do it
  kBusy,          // somebody else is doing it right now
  kIo,            // a system call failed
  kDamaged,       // input does not hold what its format promises
  kInternal,      // a bug of kflight
};

struct Error {
  Errc code = Errc::kInternal;
  std::string what;
};

struct Ok {};

template <class T = Ok>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result() requires std::is_default_constructible_v<T> : state_(std::in_place_index<0>) {}
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  // Only while has_value().
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }

  // Only while !has_value().
  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

#define KF_CONCAT_(a, b) a##b
#define KF_CONCAT(a, b) KF_CONCAT_(a, b)

// Returns the error of `expr` from the enclosing function, if it has one.
#define KF_TRY(expr)                                             \
  do {                                                           \
    if (auto kf_result = (expr); !kf_result.has_value())         \
      return std::move(kf_result).error();                       \
  } while (0)

// KF_TRY_ASSIGN(auto x, f()); declares or assigns x from f()'s value, or returns its error.
#define KF_TRY_ASSIGN(target, expr)                                                  \
  auto KF_CONCAT(kf_result_, __LINE__) = (expr);                                     \
  if (!KF_CONCAT(kf_result_, __LINE__).has_value())                                  \
    return std::move(KF_CONCAT(kf_result_, __LINE__)).error();                       \
  target = *std::move(KF_CONCAT(kf_result_, __LINE__)) /* NOLINT(bugprone-macro-parentheses): may be a declaration */

}  // namespace kflight
