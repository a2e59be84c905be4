// kd_multi: distillation from S sources at once, one pass over the concatenated logits.
//   p_s = softmax(z_s / T), q_s = softmax(g_s / T)  over the columns offset[s] .. offset[s+1]-1
//   loss      = sum_s alpha_s T^2 / B * sum_b sum_c -p_s[b,c] log q_s[b,c]
//   dg_s[b,c] = alpha_s T / B * (q_s[b,c] - p_s[b,c])
// Shapes: z (teacher), g (student), dg [B, offset[S]]; loss [1]. alpha_s = 0 skips the source.
// FLOPs: about 12 B sum C_s. Bytes: reads z and g once, writes dg once.
#pragma once

#include <cstdint>

#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

struct KdShape {
  std::int64_t B;              ///< rows
  std::int64_t S;              ///< sources
  const std::int64_t* offset;  ///< S + 1 column offsets, ascending from 0
  const double* alpha;         ///< S weights
  double temperature;
};

/// `gradient`: whether dg is wanted.
constexpr Work kd_multi_work(const KdShape& s, bool gradient, std::size_t size) {
  return elementwise_work(s.B * s.offset[s.S], 12, gradient ? 3 : 2, size);
}

/// `dg` may be nullptr when no gradient is wanted. CPU: the fast path (kernels/kd_multi_omp.cpp) has threads over rows
/// and the exponentials of kernels/common/row_math.hpp, for float. A device takes float alone. offset and alpha stay in
/// host memory: they travel as kernel arguments, so that nothing is uploaded and a captured graph holds them. One
/// launch for up to 1024 sources (then one for each 1024), and one that adds the parts of the loss, in an order that
/// depends on the shape and the device alone. Rows of up to 1024 classes are read once; longer ones come from memory
/// once and from cache after. `scratch`: kd_multi_scratch() doubles.
template <class Dev, class T>
void kd_multi(const Stream<Dev>& stream, const KdShape& s, const T* z, const T* g, T* dg, double* scratch, T* loss);
template <class Dev>
std::int64_t kd_multi_scratch(const Stream<Dev>& stream, const KdShape& s);

}  // namespace akin
