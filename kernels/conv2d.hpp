// conv2d: y[n,p,q,k] = sum_{r,s,c} x[n, p*stride + r - pad, q*stride + s - pad, c] * w[k,r,s,c]; outside x counts as
// zero.
//   dx[n,h,w,c]  = sum over the (p, q, r, s, k) that read it of dy[n,p,q,k] * w[k,r,s,c]
//   dw[k,r,s,c]  = sum_{n,p,q} dy[n,p,q,k] * x[n, p*stride + r - pad, q*stride + s - pad, c]
// Shapes: x, dx [N,H,W,C]; w, dw [K,R,S,C]; y, dy [N,P,Q,K]; P = (H + pad + pad_end - R) / stride + 1, Q likewise.
// FLOPs: 2 N P Q K R S C for each of the three. Bytes at least: x + w + y elements.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/gpu/stream.hpp"

namespace akin {

struct Conv2dShape {
  std::int64_t N, H, W, C, K, R, S, stride, pad;
  std::int64_t pad_end = pad;  ///< after the last row and column; TensorFlow pads less before the first
  std::int64_t P() const { return (H + pad + pad_end - R) / stride + 1; }
  std::int64_t Q() const { return (W + pad + pad_end - S) / stride + 1; }
  /// A plain matrix product over pixels.
  bool is_gemm() const { return R == 1 && S == 1 && stride == 1 && pad == 0 && pad_end == 0; }
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

/// T = float: fused multiply-adds; T = bf16: tensor cores, sums in float, weight gradients in float. Each pass is one
/// product over gathered pixels (implicit GEMM; nothing is unfolded in memory); 1 x 1 with stride 1 is a plain gemm.
/// Fast where C and K are multiples of 8 (bf16) or 4 (float); other channel counts take a path that gathers single
/// elements. Weights hold fewer than 2^31 elements, images fewer than 2^31 pixels.
namespace gpu {

template <class Gpu, class T>
void conv2d_fwd(const Stream<Gpu>& stream, const Conv2dShape& s, const T* x, const T* w, T* y);
/// stride^2 launches: one for each class of input pixels that the same taps reach.
template <class Gpu, class T>
void conv2d_bwd_data(const Stream<Gpu>& stream, const Conv2dShape& s, const T* dy, const T* w, T* dx, Accum mode);
/// `workspace`: conv2d_weight_workspace() floats, as for gemm; may be nullptr.
template <class Gpu, class T>
void conv2d_bwd_weight(const Stream<Gpu>& stream, const Conv2dShape& s, const T* x, const T* dy, float* dw, Accum mode,
                       float* workspace);
std::int64_t conv2d_weight_workspace(const Conv2dShape& s, std::size_t element_bytes, const GpuLimits& limits);

}  // namespace gpu
}  // namespace akin
