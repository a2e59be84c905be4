// kd_multi: distillation from S sources at once, one pass over the concatenated logits.
//   p_s = softmax(z_s / T), q_s = softmax(g_s / T)  over the columns offset[s] .. offset[s+1]-1
//   loss      = sum_s alpha_s T^2 / B * sum_b sum_c -p_s[b,c] log q_s[b,c]
//   dg_s[b,c] = alpha_s T / B * (q_s[b,c] - p_s[b,c])
// Shapes: z (teacher), g (student), dg [B, offset[S]]; loss: one double. alpha_s = 0 skips the source.
// FLOPs: about 12 B sum C_s. Bytes: reads z and g once, writes dg once.
#pragma once

#include <cstdint>

namespace akin {

struct KdShape {
  std::int64_t B;              ///< rows
  std::int64_t S;              ///< sources
  const std::int64_t* offset;  ///< S + 1 column offsets, ascending from 0
  const double* alpha;         ///< S weights
  double temperature;
};

namespace spec {

/// `dg` may be nullptr when no gradient is wanted.
template <class T>
double kd_multi(const KdShape& s, const T* z, const T* g, T* dg);

}  // namespace spec
}  // namespace akin
