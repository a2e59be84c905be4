// channel_scale: y[n,i,c] = x[n,i,c] s[n,c]: the gate of squeeze-and-excitation (Hu, Shen, Sun, "Squeeze-and-excitation
// networks", CVPR 2018).
//   dx[n,i,c] = dy[n,i,c] s[n,c];  ds[n,c] = sum_i dy[n,i,c] x[n,i,c]
// Shapes: x, y, dx, dy [N, pixels, C]; s, ds [N, C].
// FLOPs: 1 an element forward, 3 backward. Bytes: forward reads 1 and writes 1 element, backward reads 2 and writes 1,
// both gradients in one pass.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

struct ChannelScaleShape {
  std::int64_t N, pixels, C;
};

/// dx and ds may be nullptr when nobody wants them.
template <class T>
struct ChannelScaleBackward {
  const T *x = nullptr, *s = nullptr, *dy = nullptr;
  T* dx = nullptr;
  Accum dx_mode = Accum::overwrite;
  T* ds = nullptr;
  Accum ds_mode = Accum::overwrite;
};

constexpr Work channel_scale_fwd_work(const ChannelScaleShape& s, std::size_t size) {
  return elementwise_work(s.N * s.pixels * s.C, 1, 2, size);
}
constexpr Work channel_scale_bwd_work(const ChannelScaleShape& s, std::size_t size) {
  return elementwise_work(s.N * s.pixels * s.C, 3, 3, size);
}

template <class Dev, class T>
void channel_scale_fwd(const Stream<Dev>& stream, const ChannelScaleShape& shape, const T* x, const T* s, T* y);
/// ds is summed in double on the CPU, in float and in a fixed order on a device. One launch.
template <class Dev, class T>
void channel_scale_bwd(const Stream<Dev>& stream, const ChannelScaleShape& shape, const ChannelScaleBackward<T>& t);

}  // namespace akin
