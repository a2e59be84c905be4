// depthwise: a convolution of each channel by itself (Howard et al., "MobileNets", 2017):
//   y[n,p,q,c]  = sum_{r,s} x[n, p stride + r - pad, q stride + s - pad, c] w[c,r,s]; outside x counts as zero
//   dx[n,h,w,c] = sum over the (p, q, r, s) that read it of dy[n,p,q,c] w[c,r,s]
//   dw[c,r,s]   = sum_{n,p,q} dy[n,p,q,c] x[n, p stride + r - pad, q stride + s - pad, c]
// Shapes: x, dx [N,H,W,C]; w, dw [C,R,S] (stored as [C,R,S,1]); y, dy [N,P,Q,C]; P = (H + pad + pad_end - R) / stride +
// 1, Q likewise. FLOPs: 2 N P Q C R S for each of the three. Bytes: x + w + y elements; memory-bound on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/gpu/stream.hpp"

namespace akin {

struct DepthwiseShape {
  std::int64_t N, H, W, C, R, S, stride, pad;
  std::int64_t pad_end = pad;  ///< after the last row and column
  std::int64_t P() const { return (H + pad + pad_end - R) / stride + 1; }
  std::int64_t Q() const { return (W + pad + pad_end - S) / stride + 1; }
  std::int64_t x_size() const { return N * H * W * C; }
  std::int64_t w_size() const { return C * R * S; }
  std::int64_t y_size() const { return N * P() * Q() * C; }
};

namespace spec {

template <class T>
void depthwise_fwd(const DepthwiseShape& s, const T* x, const T* w, T* y);
template <class T>
void depthwise_bwd_data(const DepthwiseShape& s, const T* dy, const T* w, T* dx, Accum mode);
/// Summed in double.
template <class T>
void depthwise_bwd_weight(const DepthwiseShape& s, const T* x, const T* dy, T* dw, Accum mode);

}  // namespace spec

namespace fast {

/// kernels/depthwise_omp.cpp. Weight gradients are summed in float over fixed pieces of rows, the pieces in double: the
/// same bits for any number of threads.
void depthwise_fwd(const DepthwiseShape& s, const float* x, const float* w, float* y);
void depthwise_bwd_data(const DepthwiseShape& s, const float* dy, const float* w, float* dx, Accum mode);
void depthwise_bwd_weight(const DepthwiseShape& s, const float* x, const float* dy, float* dw, Accum mode);

}  // namespace fast

/// T: float or bf16 activations; weights and their gradient are float, and so are all sums.
namespace gpu {

/// One launch each.
template <class Gpu, class T>
void depthwise_fwd(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* x, const float* w, T* y);
template <class Gpu, class T>
void depthwise_bwd_data(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* dy, const float* w, T* dx,
                        Accum mode);
/// Two launches: sums over parts of the pixels, then the parts in order. `workspace`: depthwise_workspace() floats.
template <class Gpu, class T>
void depthwise_bwd_weight(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* x, const T* dy, float* dw,
                          Accum mode, float* workspace);
template <class Gpu>
std::int64_t depthwise_workspace(const Stream<Gpu>& stream, const DepthwiseShape& s);

}  // namespace gpu
}  // namespace akin
