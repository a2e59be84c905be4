#include "kernels/reduce.hpp"

#include <algorithm>
#include <vector>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin::spec {

template <class T>
double sum(std::int64_t n, const T* x) {
  constexpr std::int64_t kChunk = 4096;
  const std::int64_t chunks = (n + kChunk - 1) / kChunk;
  std::vector<double> part(static_cast<std::size_t>(chunks));
  parallel_for(chunks, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      double s = 0;
      for (std::int64_t i = c * kChunk; i < std::min(n, (c + 1) * kChunk); ++i) s += static_cast<double>(x[i]);
      part[static_cast<std::size_t>(c)] = s;
    }
  });
  double total = 0;
  for (const double p : part) total += p;
  return total;
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

#define AKIN_INSTANTIATE(T)                       \
  template double sum<T>(std::int64_t, const T*); \
  template void col_sum<T>(std::int64_t, std::int64_t, const T*, T*, Accum);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace akin::spec
