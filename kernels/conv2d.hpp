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
#include "kernels/common/moments.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/window.hpp"
#include "kernels/common/work.hpp"

namespace akin {

struct Conv2dShape {
  std::int64_t N, H, W, C, K, R, S, stride, pad;
  std::int64_t pad_end = pad;  ///< after the last row and column
  constexpr std::int64_t P() const { return windows_on(H, R, stride, pad, pad_end); }
  constexpr std::int64_t Q() const { return windows_on(W, S, stride, pad, pad_end); }
  /// A plain matrix product over pixels.
  constexpr bool is_gemm() const { return R == 1 && S == 1 && stride == 1 && pad == 0 && pad_end == 0; }
  constexpr std::int64_t x_size() const { return N * H * W * C; }
  constexpr std::int64_t w_size() const { return K * R * S * C; }
  constexpr std::int64_t y_size() const { return N * P() * Q() * K; }
};

/// Of each of the three passes.
constexpr Work conv2d_work(const Conv2dShape& s, std::size_t size) {
  return {2.0 * static_cast<double>(s.y_size()) * static_cast<double>(s.R * s.S * s.C),
          static_cast<double>(size) * static_cast<double>(s.x_size() + s.w_size() + s.y_size())};
}

/// CPU: sums in double; the fast path is oneDNN's, with sums in float. A device: T = float: fused multiply-adds; T =
/// bf16: tensor cores, sums in float. Each pass is one product over gathered pixels (implicit GEMM; nothing is unfolded
/// in memory); 1 x 1 with stride 1 is a plain gemm. Fast where C and K are multiples of 8 (bf16) or 4 (float); other
/// channel counts take a path that gathers single elements. Weights hold fewer than 2^31 elements, images fewer than
/// 2^31 pixels.
/// With few channels on tensor cores (3x3, C and K of 16, 32 or 64, C also up to 8) each pixel is fetched once instead:
/// kernels/conv2d_direct.cu. `moments`: filled by a device with the statistics of y's channels, as they are stored;
/// conv2d_moments() floats.
template <class Dev, class T>
void conv2d_fwd(const Stream<Dev>& stream, const Conv2dShape& s, const T* x, const T* w, T* y,
                PartMoments* moments = nullptr);
/// stride^2 launches: one for each class of input pixels that the same taps reach; one with few channels. `scratch`:
/// conv2d_data_scratch() floats. `norm`: of x, whose gradient dx is; heeded with few channels and stride 1 alone.
template <class Dev, class T>
void conv2d_bwd_data(const Stream<Dev>& stream, const Conv2dShape& s, const T* dy, const T* w, T* dx, Accum mode,
                     float* scratch, NormGradient<T>* norm = nullptr);
/// `workspace`: conv2d_weight_workspace() floats, as for gemm; may be nullptr. What is not finite in x may reach all taps
/// of its channel; pixels that no window sees reach none.
template <class Dev, class T>
void conv2d_bwd_weight(const Stream<Dev>& stream, const Conv2dShape& s, const T* x, const T* dy, Full<T>* dw,
                       Accum mode, float* workspace);

/// Room for the statistics of y; 0: none are left.
template <class T, class Dev>
std::int64_t conv2d_moments(const Stream<Dev>& stream, const Conv2dShape& s);
/// Room for the sums of a NormGradient; 0: none are left.
template <class T, class Dev>
std::int64_t conv2d_norm_sums(const Stream<Dev>& stream, const Conv2dShape& s);
/// Room for the whole of dx (as T) where oneDNN adds, as it only overwrites; else 0.
template <class T, class Dev>
std::int64_t conv2d_data_scratch(const Stream<Dev>& stream, const Conv2dShape& s, Accum mode);
template <class T, class Dev>
std::int64_t conv2d_weight_workspace(const Stream<Dev>& stream, const Conv2dShape& s);

}  // namespace akin
