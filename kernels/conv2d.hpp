// conv2d: y[n,p,q,k] = sum_{r,s,c} x[n, p*stride + r - pad, q*stride + s - pad, c] * w[k,r,s,c]; outside x counts as
// zero.
//   dx[n,h,w,c]  = sum over the (p, q, r, s, k) that read it of dy[n,p,q,k] * w[k,r,s,c]
//   dw[k,r,s,c]  = sum_{n,p,q} dy[n,p,q,k] * x[n, p*stride + r - pad, q*stride + s - pad, c]
// Shapes: x, dx [N,H,W,C]; w, dw [K,R,S,C]; y, dy [N,P,Q,K]; P = (H + 2 pad - R) / stride + 1, Q likewise.
// FLOPs: 2 N P Q K R S C for each of the three. Bytes at least: x + w + y elements.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"

namespace akin {

struct Conv2dShape {
  std::int64_t N, H, W, C, K, R, S, stride, pad;
  std::int64_t P() const { return (H + 2 * pad - R) / stride + 1; }
  std::int64_t Q() const { return (W + 2 * pad - S) / stride + 1; }
  std::int64_t x_size() const { return N * H * W * C; }
  std::int64_t w_size() const { return K * R * S * C; }
  std::int64_t y_size() const { return N * P() * Q() * K; }
};

namespace spec {

template <class T>
void conv2d_fwd(const Conv2dShape& s, const T* x, const T* w, T* y);
template <class T>
void conv2d_bwd_data(const Conv2dShape& s, const T* dy, const T* w, T* dx, Accum mode);
template <class T>
void conv2d_bwd_weight(const Conv2dShape& s, const T* x, const T* dy, T* dw, Accum mode);

}  // namespace spec

namespace fast {

class OnednnCache;
/// Through oneDNN; the specification where it is absent.
void conv2d_fwd(OnednnCache& cache, const Conv2dShape& s, const float* x, const float* w, float* y);
/// `scratch`: x_size() elements, needed when mode is add (oneDNN only overwrites here); else it may be nullptr.
void conv2d_bwd_data(OnednnCache& cache, const Conv2dShape& s, const float* dy, const float* w, float* dx, Accum mode,
                     float* scratch);
void conv2d_bwd_weight(OnednnCache& cache, const Conv2dShape& s, const float* x, const float* dy, float* dw,
                       Accum mode);

}  // namespace fast
}  // namespace akin
