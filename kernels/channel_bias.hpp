// channel_bias: y[m,c] = f(x[m,c] + bias[c]), f an activation (kernels/activation.hpp).
//   du[m,c]   = f'(x[m,c] + bias[c]) dy[m,c];  dx = du;  dbias[c] = sum_m du[m,c]
// The backward reads what keeps_output() says: y for relu and relu6, x (and bias) for hardswish and hardsigmoid,
// neither for none. Shapes: x, y, dx, dy [M, C], M being all leading dimensions together; bias, dbias [C]. FLOPs: 2 to
// 6 an element forward, as many backward. Bytes: forward reads 1 and writes 1 element, backward reads 2 (1 for none)
// and writes 1, in one pass over the activations.
#pragma once

#include <cstdint>

#include "kernels/activation.hpp"
#include "kernels/common/work.hpp"

namespace akin {

struct ChannelBiasShape {
  std::int64_t M, C;
  Activation kind = Activation::none;
};

/// dx and dbias may be nullptr when nobody wants them.
template <class T>
struct ChannelBiasBackward {
  const T* kept = nullptr;        ///< y or x; nullptr for none
  const Full<T>* bias = nullptr;  ///< needed where x is kept
  const T* dy = nullptr;
  T* dx = nullptr;
  Accum dx_mode = Accum::overwrite;
  Full<T>* dbias = nullptr;
  Accum dbias_mode = Accum::overwrite;
};

constexpr Work channel_bias_fwd_work(const ChannelBiasShape& s, std::size_t size) {
  return elementwise_work(s.M * s.C, 1 + activation_fwd_work(s.kind, 1, 1).flops, 2, size);
}
/// `wants_dx`: without an activation dx is dy itself, and only dbias is summed.
constexpr Work channel_bias_bwd_work(const ChannelBiasShape& s, bool wants_dx, std::size_t size) {
  return elementwise_work(s.M * s.C, 1 + activation_fwd_work(s.kind, 1, 1).flops,
                          (s.kind == Activation::none ? 1 : 2) + (wants_dx ? 1 : 0), size);
}

template <class Dev, class T>
void channel_bias_fwd(const Stream<Dev>& stream, const ChannelBiasShape& s, const T* x, const Full<T>* bias, T* y);
/// CPU: dbias is summed in double over fixed pieces of rows, in order. A device sums in float over a thread's rows,
/// then in a fixed order: one launch, or two where dbias is wanted. `scratch`: channel_bias_scratch() floats; may be
/// nullptr without dbias.
template <class Dev, class T>
void channel_bias_bwd(const Stream<Dev>& stream, const ChannelBiasShape& s, const ChannelBiasBackward<T>& t,
                      float* scratch);
template <class Dev>
std::int64_t channel_bias_scratch(const Stream<Dev>& stream, const ChannelBiasShape& s);

}  // namespace akin
