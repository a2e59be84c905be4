// Parallel work in pieces of unequal size.
#pragma once

#include "kernels/common/parallel.hpp"

namespace akin {

/// Runs body(task, thread) for every task of [0, n), each on the thread that is free first; thread < max_threads(). For
/// results that do not depend on who does what. Exceptions must not leave the body.
template <class Body>
void parallel_tasks(std::int64_t n, Body&& body) {
#if !defined(__SANITIZE_THREAD__)  // as in parallel_for
  const std::int64_t threads = std::clamp<std::int64_t>(n, 1, max_threads());
  if (threads > 1) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(static_cast <int>(threads))
    for (std::int64_t task = 0; task < n; ++task) body(task, omp_get_thread_num());
    return;
  }
#endif
  for (std::int64_t task = 0; task < n; ++task) body(task, 0);
}

}  // namespace akin
