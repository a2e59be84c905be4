// OpenMP behind one door, so that the loops read as plain loops.
#pragma once

#include <cstdint>

namespace akin {

/// Number of threads a parallel loop will use (OMP_NUM_THREADS or the processor count).
int max_threads();

/// Limits the calling thread's parallel loops to `n` threads (the loader's thread runs with 1).
void set_threads(int n);

/// Runs body(begin, end) over [0, n), cut into one contiguous range a thread; in the calling thread
/// when n < 2 * grain. The cut depends on n, grain and the thread count alone, so results are repeatable.
/// Exceptions must not leave the body.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, Body&& body);

}  // namespace akin

#include <omp.h>

#include <algorithm>

namespace akin {

template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, Body&& body) {
  if (n <= 0) return;
#if defined(__SANITIZE_THREAD__)
  const std::int64_t threads = 1;  // the thread sanitizer does not see how libgomp synchronises, and would report it
  static_cast<void>(grain);
#else
  const std::int64_t threads = std::clamp<std::int64_t>(n / std::max<std::int64_t>(grain, 1), 1, max_threads());
#endif
  if (threads == 1) {
    body(std::int64_t{0}, n);
    return;
  }
#pragma omp parallel num_threads(static_cast <int>(threads))
  {
    const std::int64_t t = omp_get_thread_num(), parts = omp_get_num_threads();
    const std::int64_t begin = n * t / parts, end = n * (t + 1) / parts;
    if (begin < end) body(begin, end);
  }
}

}  // namespace akin
