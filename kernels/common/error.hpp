// Errors of the whole project: a message that says what was wrong, where, what was expected and what to do.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace akin {

/// Something failed: bad input, a broken file, a full disk. Programs end with exit code 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The user asked for something that does not exist or contradicts itself. Programs end with exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw UsageError(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace akin

/// Checks input in every build type; the message is built only on failure.
#define AKIN_CHECK(condition, ...)               \
  do {                                           \
    if (!(condition)) ::akin::fail(__VA_ARGS__); \
  } while (false)
