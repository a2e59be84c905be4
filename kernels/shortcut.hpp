// shortcut: the option-A shortcut of CIFAR ResNets (He, Zhang, Ren, Sun, "Deep residual learning", CVPR 2016, 4.2):
// no parameters; pixels are dropped and zero channels added on both sides.
//   y[n,p,q,k]  = x[n, p stride, q stride, k - L]  for L <= k < L + C, else 0;  L = (K - C) / 2
//   dx[n,h,w,c] = dy[n, h / stride, w / stride, c + L]  where stride divides h and w, else 0
// Shapes: x, dx [N, H, W, C]; y, dy [N, P, Q, K], P = (H - 1) / stride + 1, Q likewise; K - C even and >= 0.
// FLOPs: none. Bytes: forward reads N P Q C and writes N P Q K; backward reads N P Q C and writes N H W C.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

struct ShortcutShape {
  std::int64_t N, H, W, C, K, stride;
  constexpr std::int64_t P() const { return (H - 1) / stride + 1; }
  constexpr std::int64_t Q() const { return (W - 1) / stride + 1; }
};

constexpr Work shortcut_a_fwd_work(const ShortcutShape& s, std::size_t size) {
  return elementwise_work(s.N * s.P() * s.Q() * (s.C + s.K), 0, 1, size);
}
constexpr Work shortcut_a_bwd_work(const ShortcutShape& s, std::size_t size) {
  return elementwise_work(s.N * (s.P() * s.Q() + s.H * s.W) * s.C, 0, 1, size);
}

/// One launch each.
template <class Dev, class T>
void shortcut_a_fwd(const Stream<Dev>& stream, const ShortcutShape& s, const T* x, T* y);
template <class Dev, class T>
void shortcut_a_bwd(const Stream<Dev>& stream, const ShortcutShape& s, const T* dy, T* dx, Accum mode);

}  // namespace akin
