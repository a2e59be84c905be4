#include "kernels/mix_heads.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {

/// The largest of a row (NaN where there is one), and log sum exp(x - largest).
template <class T>
std::pair<T, T> softmax_of(std::int64_t C, const T* x) {
  T top = x[0], sum = 0;
  for (std::int64_t c = 1; c < C; ++c) top = x[c] > top || std::isnan(x[c]) ? x[c] : top;
  for (std::int64_t c = 0; c < C; ++c) sum += std::exp(x[c] - top);
  return {top, std::log(sum)};
}

}  // namespace

template <class Dev, class T>
void mix_heads(const Stream<Dev>&, std::int64_t B, std::int64_t C, double share, const T* x, const T* z, T* y) {
  const T a = static_cast<T>(std::log1p(-share)), b = static_cast<T>(std::log(share));
  const std::int64_t grain = std::max<std::int64_t>(1, (1 << 12) / C);
  parallel_for(B, grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T *px = x + row * C, *pz = z + row * C;
      const auto [top_x, log_x] = softmax_of(C, px);
      const auto [top_z, log_z] = softmax_of(C, pz);
      for (std::int64_t c = 0; c < C; ++c) {
        const T u = (px[c] - top_x) + (a - log_x), v = (pz[c] - top_z) + (b - log_z);
        y[row * C + c] = std::max(u, v) + std::log1p(std::exp(-std::abs(u - v)));
      }
    }
  });
}

#define AKIN_INSTANTIATE(T) \
  template void mix_heads(const Stream<Cpu>&, std::int64_t, std::int64_t, double, const T*, const T*, T*);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace akin
