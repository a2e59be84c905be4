#include "kernels/reduce.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin::spec {

namespace {

constexpr std::int64_t kChunk = 4096;
constexpr std::int64_t kGrainChunks = 8;

/// Sum over fixed chunks of part(begin, end), added in order.
template <class Part>
double chunked_sum(std::int64_t n, Part&& part) {
  const std::int64_t chunks = (n + kChunk - 1) / kChunk;
  std::vector<double> sums(static_cast<std::size_t>(chunks));
  parallel_for(chunks, kGrainChunks, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c)
      sums[static_cast<std::size_t>(c)] = part(c * kChunk, std::min(n, (c + 1) * kChunk));
  });
  double total = 0;
  for (const double s : sums) total += s;
  return total;
}

/// sum of f(i) with 16 independent partial sums, which the compiler keeps in vector registers.
template <class F>
double lanes_sum(std::int64_t begin, std::int64_t end, F&& f) {
  constexpr std::int64_t kLanes = 16;
  double lane[kLanes] = {};
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes)
    for (std::int64_t k = 0; k < kLanes; ++k) lane[k] += f(i + k);
  double s = 0;
  for (const double l : lane) s += l;
  for (; i < end; ++i) s += f(i);
  return s;
}

}  // namespace

template <class T>
double sum(std::int64_t n, const T* x) {
  return chunked_sum(n, [x](std::int64_t begin, std::int64_t end) {
    return lanes_sum(begin, end, [x](std::int64_t i) { return static_cast<double>(x[i]); });
  });
}

template <class T>
double sum_squares(std::int64_t n, const T* x) {
  return chunked_sum(n, [x](std::int64_t begin, std::int64_t end) {
    return lanes_sum(begin, end, [x](std::int64_t i) { return static_cast<double>(x[i]) * static_cast<double>(x[i]); });
  });
}

template <class T>
bool all_finite(std::int64_t n, const T* x) {
  const std::int64_t chunks = (n + kChunk - 1) / kChunk;
  std::atomic<bool> finite{true};
  parallel_for(chunks, kGrainChunks, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end && finite.load(std::memory_order_relaxed); ++c) {
      // x - x is 0 for finite x and NaN otherwise; counting has no order, so it runs in vectors.
      std::int32_t bad = 0;
      for (std::int64_t i = c * kChunk; i < std::min(n, (c + 1) * kChunk); ++i) bad += x[i] - x[i] == T(0) ? 0 : 1;
      if (bad != 0) finite.store(false, std::memory_order_relaxed);
    }
  });
  return finite;
}

template <class T>
void col_sum(std::int64_t N, std::int64_t D, const T* x, T* y, Accum mode) {
  parallel_for(D, std::max<std::int64_t>(16, (1 << 14) / std::max<std::int64_t>(N, 1)),
               [=](std::int64_t begin, std::int64_t end) {
                 std::vector<double> s(static_cast<std::size_t>(end - begin), 0.0);
                 for (std::int64_t n = 0; n < N; ++n)
                   for (std::int64_t d = begin; d < end; ++d)
                     s[static_cast<std::size_t>(d - begin)] += static_cast<double>(x[n * D + d]);
                 for (std::int64_t d = begin; d < end; ++d)
                   store(y[d], static_cast<T>(s[static_cast<std::size_t>(d - begin)]), mode);
               });
}

#define AKIN_INSTANTIATE(T)                               \
  template double sum<T>(std::int64_t, const T*);         \
  template double sum_squares<T>(std::int64_t, const T*); \
  template bool all_finite<T>(std::int64_t, const T*);    \
  template void col_sum<T>(std::int64_t, std::int64_t, const T*, T*, Accum);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace akin::spec
