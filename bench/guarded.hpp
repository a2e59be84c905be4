// What the benchmarks' programs do with errors.
#pragma once

#include <fmt/format.h>

#include <cstdio>

#include "kernels/common/error.hpp"

namespace akin::bench {

/// Runs work(); an error becomes a line on stderr and an exit code: 2 for wrong usage, 1 for the rest.
template <class Work>
int guarded(const char* program, Work&& work) {
  try {
    work();
    return 0;
  } catch (const UsageError& e) {
    fmt::print(stderr, "{}: {}\n", program, e.what());
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", program, e.what());
    return 1;
  }
}

}  // namespace akin::bench
