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
#include "kernels/common/moments.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/window.hpp"
#include "kernels/common/work.hpp"

namespace akin {

struct DepthwiseShape {
  std::int64_t N, H, W, C, R, S, stride, pad;
  std::int64_t pad_end = pad;  ///< after the last row and column
  constexpr std::int64_t P() const { return windows_on(H, R, stride, pad, pad_end); }
  constexpr std::int64_t Q() const { return windows_on(W, S, stride, pad, pad_end); }
  constexpr std::int64_t x_size() const { return N * H * W * C; }
  constexpr std::int64_t w_size() const { return C * R * S; }
  constexpr std::int64_t y_size() const { return N * P() * Q() * C; }
};

/// Of each of the three passes.
constexpr Work depthwise_work(const DepthwiseShape& s, std::size_t size) {
  return {2.0 * static_cast<double>(s.y_size()) * static_cast<double>(s.R * s.S),
          static_cast<double>(size) * static_cast<double>(s.x_size() + s.w_size() + s.y_size())};
}

/// Weights and their gradient keep f32 beside bf16 activations, and so do all sums. One launch each. `moments`: filled by
/// a device with the statistics of y's channels, as they are stored, where its kernels for packs serve the shape;
/// depthwise_moments() floats.
template <class Dev, class T>
void depthwise_fwd(const Stream<Dev>& stream, const DepthwiseShape& s, const T* x, const Full<T>* w, T* y,
                   PartMoments* moments = nullptr);
/// Room for the statistics of y; 0: none are left.
template <class Dev>
std::int64_t depthwise_moments(const Stream<Dev>& stream, const DepthwiseShape& s);
template <class Dev, class T>
void depthwise_bwd_data(const Stream<Dev>& stream, const DepthwiseShape& s, const T* dy, const Full<T>* w, T* dx,
                        Accum mode);
/// CPU: plain loops sum in double; the fast path (kernels/depthwise_omp.cpp) in float over fixed pieces of rows, the
/// pieces in double: the same bits for any number of threads. A device takes two launches: sums over parts of the
/// pixels, then the parts in order. `workspace`: depthwise_workspace() floats.
template <class Dev, class T>
void depthwise_bwd_weight(const Stream<Dev>& stream, const DepthwiseShape& s, const T* x, const T* dy, Full<T>* dw,
                          Accum mode, float* workspace);
template <class Dev>
std::int64_t depthwise_workspace(const Stream<Dev>& stream, const DepthwiseShape& s);

}  // namespace akin
