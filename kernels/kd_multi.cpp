#include "kernels/kd_multi.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace fast {

// kernels/kd_multi_omp.cpp
void kd_multi(const KdShape& s, const float* z, const float* g, float* dg, float* loss);

}  // namespace fast

namespace {

/// e[c] = exp((x[c] - max x) / T); returns their sum, and log sum exp(x / T) through `lse`. NaN stays NaN.
template <class T>
T scaled_exp(std::int64_t C, const T* x, T inverse_temperature, T* e, T& lse) {
  const T top = *std::max_element(x, x + C);
  T sum = 0;
  for (std::int64_t c = 0; c < C; ++c) sum += e[c] = std::exp((x[c] - top) * inverse_temperature);
  lse = top * inverse_temperature + std::log(sum);
  return sum;
}

}  // namespace

template <class Dev, class T>
void kd_multi(const Stream<Dev>& stream, const KdShape& s, const T* z, const T* g, T* dg, double*, T* loss) {
  if constexpr (std::is_same_v<T, float>)
    if (stream.fast) return fast::kd_multi(s, z, g, dg, loss);
  const std::int64_t columns = s.offset[s.S];
  const T inverse = static_cast<T>(1.0 / s.temperature);
  std::vector<double> row_loss(static_cast<std::size_t>(s.B), 0.0);
  parallel_for(s.B, 8, [&](std::int64_t begin, std::int64_t end) {
    std::vector<T> teacher(static_cast<std::size_t>(columns)), student(teacher.size());
    for (std::int64_t b = begin; b < end; ++b) {
      for (std::int64_t i = 0; i < s.S; ++i) {
        const std::int64_t first = b * columns + s.offset[i], C = s.offset[i + 1] - s.offset[i];
        if (s.alpha[i] == 0) {
          if (dg) std::fill(dg + first, dg + first + C, T(0));
          continue;
        }
        T lse_z = 0, lse_g = 0;
        const T sum_z = scaled_exp(C, z + first, inverse, teacher.data(), lse_z);
        const T sum_g = scaled_exp(C, g + first, inverse, student.data(), lse_g);
        T cross = 0;  // sum_c p (lse_g - g / T)
        const T scale = static_cast<T>(s.alpha[i] * s.temperature / static_cast<double>(s.B));
        for (std::int64_t c = 0; c < C; ++c) {
          const T p = teacher[static_cast<std::size_t>(c)] / sum_z;
          cross += p * (lse_g - g[first + c] * inverse);
          if (dg) dg[first + c] = scale * (student[static_cast<std::size_t>(c)] / sum_g - p);
        }
        row_loss[static_cast<std::size_t>(b)] += s.alpha[i] * static_cast<double>(cross);
      }
    }
  });
  double sum = 0;
  for (const double l : row_loss) sum += l;
  *loss = static_cast<T>(sum * s.temperature * s.temperature / static_cast<double>(s.B));
}

template <class Dev>
std::int64_t kd_multi_scratch(const Stream<Dev>&, const KdShape&) {
  return 0;
}

template std::int64_t kd_multi_scratch(const Stream<Cpu>&, const KdShape&);
#define AKIN_INSTANTIATE(T) \
  template void kd_multi(const Stream<Cpu>&, const KdShape&, const T*, const T*, T*, double*, T*);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace akin
