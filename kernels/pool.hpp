// pool: maxima and means over square windows of [N, H, W, C] images, channel by channel.
//   max_pool  y[n,p,q,c] = max_{r,s} x[n, p stride - pad + r, q stride - pad + s, c], 0 <= r, s < window
//             Padding never wins; the first of equal pixels (row by row) does; a NaN beats every number.
//             at[n,p,q,c] = h W + w of the winner, which is all the backward needs:
//             dx[n,h,w,c] = sum of dy[n,p,q,c] over the outputs that (h, w) won
//   avg_pool  y = 1/window^2 times the sum over the window; padding counts as zeros
//             dx[n,h,w,c] = 1/window^2 times the sum of dy over the windows that hold (h, w)
//   adaptive_avg_pool  y[n,p,q,c] = mean of x[n,h,w,c] over floor(p H / P) <= h < ceil((p + 1) H / P), w likewise:
//             windows that overlap, and repeat pixels where P > H; P and Q are given; summed in double
//   global_avg_pool  y[n,c] = mean_{h,w} x[n,h,w,c], summed in double;  dx[n,h,w,c] = dy[n,c] / (H W)
// Shapes: x, dx [N, H, W, C]; y, dy, at [N, P, Q, C] with P = (H + 2 pad - window) / stride + 1, rounded down, Q
// likewise; 2 pad <= window, so that every window holds a pixel. `ceil` rounds up: one more window, of the pixels that
// are left, if it starts inside the image or the padding before it (PyTorch's ceil_mode; max_pool alone). FLOPs:
// window^2 N P Q C. Bytes: reads x once from memory (windows overlap in cache), writes y (and at) once.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/window.hpp"
#include "kernels/common/work.hpp"

namespace akin {

struct PoolShape {
  std::int64_t N, H, W, C;
  std::int64_t window, stride, pad;
  bool ceil = false;
  constexpr std::int64_t P() const { return outputs(H); }
  constexpr std::int64_t Q() const { return outputs(W); }

 private:
  constexpr std::int64_t outputs(std::int64_t size) const {
    const std::int64_t whole = windows_on(size, window, stride, pad, pad + (ceil ? stride - 1 : 0));
    return ceil && (whole - 1) * stride >= size + pad ? whole - 1 : whole;
  }
};

/// H P and W Q fit 31 bits.
struct AdaptivePoolShape {
  std::int64_t N, H, W, C, P, Q;
};

/// Forward and backward. `winners`: max_pool's `at` is written or read.
constexpr Work pool_work(const PoolShape& s, bool winners, std::size_t size) {
  const std::int64_t x = s.N * s.H * s.W * s.C, y = s.N * s.P() * s.Q() * s.C;
  Work work = elementwise_work(y, static_cast<double>(s.window * s.window), 0, size);
  work += elementwise_work(x + y, 0, 1, size);
  return work += elementwise_work(winners ? y : 0, 0, 1, sizeof(std::int32_t));
}
constexpr Work adaptive_avg_pool_work(const AdaptivePoolShape& s, std::size_t size) {
  const std::int64_t x = s.N * s.H * s.W * s.C, y = s.N * s.P * s.Q * s.C;
  Work work = elementwise_work(x > y ? x : y, 1, 0, size);
  return work += elementwise_work(x + y, 0, 1, size);
}
constexpr Work global_avg_pool_work(std::int64_t N, std::int64_t pixels, std::int64_t C, std::size_t size) {
  Work work = elementwise_work(N * pixels * C, 1, 1, size);
  return work += elementwise_work(N * C, 0, 1, size);
}

/// `at` may be nullptr when no backward follows. On a device sums are in float, the backward gathers (no atomics, a
/// fixed order), and each function is one launch.
template <class Dev, class T>
void max_pool_fwd(const Stream<Dev>& stream, const PoolShape& s, const T* x, T* y, std::int32_t* at);
template <class Dev, class T>
void max_pool_bwd(const Stream<Dev>& stream, const PoolShape& s, const std::int32_t* at, const T* dy, T* dx,
                  Accum mode);
template <class Dev, class T>
void avg_pool_fwd(const Stream<Dev>& stream, const PoolShape& s, const T* x, T* y);
template <class Dev, class T>
void avg_pool_bwd(const Stream<Dev>& stream, const PoolShape& s, const T* dy, T* dx, Accum mode);
template <class Dev, class T>
void adaptive_avg_pool_fwd(const Stream<Dev>& stream, const AdaptivePoolShape& s, const T* x, T* y);
template <class Dev, class T>
void adaptive_avg_pool_bwd(const Stream<Dev>& stream, const AdaptivePoolShape& s, const T* dy, T* dx, Accum mode);
/// `pixels` = H W >= 1.
template <class Dev, class T>
void global_avg_pool_fwd(const Stream<Dev>& stream, std::int64_t N, std::int64_t pixels, std::int64_t C, const T* x,
                         T* y);
template <class Dev, class T>
void global_avg_pool_bwd(const Stream<Dev>& stream, std::int64_t N, std::int64_t pixels, std::int64_t C, const T* dy,
                         T* dx, Accum mode);

}  // namespace akin
