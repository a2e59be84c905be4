#include "kernels/reduce.hpp"

#include <algorithm>
#include <vector>

#include "kernels/common/parallel.hpp"

namespace akin {

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

template <class Dev, class T, class Y>
void sum(const Stream<Dev>&, std::int64_t n, double factor, const T* x, double*, Y* y) {
  const double total = chunked_sum(n, [x](std::int64_t begin, std::int64_t end) {
    return lanes_sum(begin, end, [x](std::int64_t i) { return static_cast<double>(widened(x[i])); });
  });
  *y = static_cast<Y>(total * factor);
}

template <class Dev, class T, class Y>
void sum_squares(const Stream<Dev>&, std::int64_t n, double factor, const T* x, double*, Y* y) {
  const double total = chunked_sum(n, [x](std::int64_t begin, std::int64_t end) {
    return lanes_sum(begin, end, [x](std::int64_t i) {
      return static_cast<double>(widened(x[i])) * static_cast<double>(widened(x[i]));
    });
  });
  *y = static_cast<Y>(total * factor);
}

template <class Dev, class T>
void col_sum(const Stream<Dev>&, std::int64_t N, std::int64_t D, const T* x, double*, Full<T>* y, Accum mode) {
  parallel_for(D, std::max<std::int64_t>(16, (1 << 14) / std::max<std::int64_t>(N, 1)),
               [=](std::int64_t begin, std::int64_t end) {
                 std::vector<double> s(static_cast<std::size_t>(end - begin), 0.0);
                 for (std::int64_t n = 0; n < N; ++n)
                   for (std::int64_t d = begin; d < end; ++d)
                     s[static_cast<std::size_t>(d - begin)] += static_cast<double>(widened(x[n * D + d]));
                 for (std::int64_t d = begin; d < end; ++d)
                   store(y[d], static_cast<Full<T>>(s[static_cast<std::size_t>(d - begin)]), mode);
               });
}

template <class Dev>
std::int64_t col_sum_scratch(const Stream<Dev>&, std::int64_t, std::int64_t) {
  return 0;
}

#define AKIN_INSTANTIATE(T, Y)                                                        \
  template void sum(const Stream<Cpu>&, std::int64_t, double, const T*, double*, Y*); \
  template void sum_squares(const Stream<Cpu>&, std::int64_t, double, const T*, double*, Y*);
AKIN_INSTANTIATE(float, float)
AKIN_INSTANTIATE(float, double)
AKIN_INSTANTIATE(double, double)
AKIN_INSTANTIATE(bf16, float)
template void col_sum(const Stream<Cpu>&, std::int64_t, std::int64_t, const float*, double*, float*, Accum);
template void col_sum(const Stream<Cpu>&, std::int64_t, std::int64_t, const double*, double*, double*, Accum);
template void col_sum(const Stream<Cpu>&, std::int64_t, std::int64_t, const bf16*, double*, float*, Accum);
template std::int64_t col_sum_scratch(const Stream<Cpu>&, std::int64_t, std::int64_t);

}  // namespace akin
