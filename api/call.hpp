// The border between C and C++: what every function of akin.h does around its work.
#pragma once

#include <omp.h>

#include <exception>
#include <string>
#include <utility>

#include "api/akin.h"
#include "kernels/common/error.hpp"
#include "kernels/common/parallel.hpp"

namespace akin::api {

/// An error with a code of its own: AKIN_STOPPED, AKIN_PARTLY.
class CodedError : public Error {
 public:
  CodedError(int code, const std::string& text) : Error(text), code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

/// Keeps the text of the exception for akin_last_error; its code. What akin throws for people is told as the program
/// tells it.
int keep_failure(const std::exception_ptr& error) noexcept;

/// As the caller has it: oneDNN is used with one thread of OpenMP's in a thread that calls akin, where another library
/// may want more.
class OpenMpScope {
 public:
  OpenMpScope() : threads_(omp_get_max_threads()) {}
  ~OpenMpScope() { omp_set_num_threads(threads_); }
  OpenMpScope(const OpenMpScope&) = delete;
  OpenMpScope& operator=(const OpenMpScope&) = delete;

 private:
  int threads_;
};

/// Runs `work`, with `threads` threads (0: as many as there are); its code.
template <class F>
int call(int threads, F&& work) noexcept {
  try {
    const OpenMpScope openmp;
    const ThreadsScope crew(threads);
    std::forward<F>(work)();
    return AKIN_OK;
  } catch (...) {
    return keep_failure(std::current_exception());
  }
}

template <class T>
T& given(T* pointer, const char* what) {
  if (pointer == nullptr) fail_usage("{}: is NULL", what);
  return *pointer;
}

inline int thread_count(int threads) {
  if (threads < 0 || threads > kMostThreads)
    fail_usage("threads {}: expected a whole number from 0 to {}", threads, kMostThreads);
  return threads;
}

}  // namespace akin::api
