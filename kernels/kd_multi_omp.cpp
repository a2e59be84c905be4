// The CPU fast path: a row's logits of one source stay in the first-level cache between the three loops over them.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/common/parallel.hpp"
#include "kernels/common/row_math.hpp"
#include "kernels/kd_multi.hpp"

namespace akin::fast {
namespace {

struct Exponentials {
  float sum, lse;
};

/// e[c] = exp((x[c] - max x) / T), their sum, and log sum exp(x / T).
Exponentials scaled_exp(std::int64_t C, const float* x, float inverse_temperature, float* e) {
  const float top = row_max(C, x);
  const float sum = row_sum(C, [=](std::int64_t c) { return e[c] = exp_float((x[c] - top) * inverse_temperature); });
  return {sum, top * inverse_temperature + std::log(sum)};
}

}  // namespace

void kd_multi(const KdShape& s, const float* z, const float* g, float* dg, float* loss) {
  const std::int64_t columns = s.offset[s.S];
  const auto inverse = static_cast<float>(1.0 / s.temperature);
  std::vector<double> row_loss(static_cast<std::size_t>(s.B), 0.0);
  std::int64_t widest = 0;
  for (std::int64_t i = 0; i < s.S; ++i) widest = std::max(widest, s.offset[i + 1] - s.offset[i]);
  parallel_for(s.B, std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(columns, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 std::vector<float> teacher(static_cast<std::size_t>(widest)), student(teacher.size());
                 float *p = teacher.data(), *q = student.data();
                 for (std::int64_t b = begin; b < end; ++b) {
                   for (std::int64_t i = 0; i < s.S; ++i) {
                     const std::int64_t first = b * columns + s.offset[i], C = s.offset[i + 1] - s.offset[i];
                     if (s.alpha[i] == 0) {
                       if (dg) std::fill(dg + first, dg + first + C, 0.0f);
                       continue;
                     }
                     const float* own = g + first;
                     const Exponentials of_z = scaled_exp(C, z + first, inverse, p);
                     const Exponentials of_g = scaled_exp(C, own, inverse, q);
                     const float over_z = 1 / of_z.sum, over_g = 1 / of_g.sum, lse = of_g.lse;
                     const auto scale = static_cast<float>(s.alpha[i] * s.temperature / static_cast<double>(s.B));
                     float* out = dg ? dg + first : q;  // without a gradient its place is scratch
                     const float cross = row_sum(C, [=](std::int64_t c) {
                       const float share = p[c] * over_z;
                       out[c] = scale * (q[c] * over_g - share);
                       return share * (lse - own[c] * inverse);
                     });
                     row_loss[static_cast<std::size_t>(b)] += s.alpha[i] * static_cast<double>(cross);
                   }
                 }
               });
  double sum = 0;
  for (const double l : row_loss) sum += l;
  *loss = static_cast<float>(sum * s.temperature * s.temperature / static_cast<double>(s.B));
}

}  // namespace akin::fast
