// conv2d, forward and data gradient, as products over gathered pixels on common/gpu/tile.cuh.
//   forward        rows: output pixels, columns: K, reduction: taps and channels (r, s, c)
//   data gradient  rows: input pixels of one class, columns: C, reduction: taps and channels (r, s, k) of dy.
// With a stride, input pixel h is read by the taps r = (h + pad) mod stride, + stride, + 2 stride ... alone. Pixels of
// one remainder of h and of w are a class: for them the gradient is a convolution of dy with stride 1 by the reversed
// taps of that remainder. Stride 1 is the case of one class.
#include "kernels/conv2d.hpp"

#include "kernels/common/gpu/conv2d_direct.hpp"
#include "kernels/common/gpu/tile.cuh"
#include "kernels/gemm.hpp"

namespace akin {

namespace {

PixelGrid pixel_grid(std::int64_t N, std::int64_t H, std::int64_t W, std::int64_t C, std::int64_t stride,
                     std::int64_t pad_h, std::int64_t pad_w, std::int64_t P, std::int64_t Q, std::int64_t taps_h,
                     std::int64_t taps_w) {
  constexpr const char* name = "conv2d";
  return {tile_int(H, name),
          tile_int(W, name),
          tile_int(C, name),
          tile_int(stride, name),
          static_cast<int>(pad_h),
          static_cast<int>(pad_w),
          tile_int(H * W * C, name),
          static_cast<int>(taps_h),
          static_cast<int>(taps_w),
          tile_int(N * P * Q, name),
          tile_int(taps_h * taps_w * C, name),
          Divisor(P),
          Divisor(Q),
          Divisor(taps_w),
          Divisor(C)};
}

/// Along one axis: what input pixels first, first + stride, ... see of dy.
struct PixelClass {
  std::int64_t pixels;     ///< how many
  std::int64_t first_tap;  ///< of those that reach them
  std::int64_t taps;
  std::int64_t pad;  ///< of the convolution of dy by the reversed taps
  PixelClass(std::int64_t first, std::int64_t size, std::int64_t window, std::int64_t stride, std::int64_t padding)
      : pixels((size - first + stride - 1) / stride),
        first_tap((first + padding) % stride),
        taps(first_tap < window ? (window - first_tap + stride - 1) / stride : 0),
        pad(taps - 1 - (first + padding - first_tap) / stride) {}
};

template <const auto& menu, bool Packs, class T>
void forward(const Stream<ThisGpu>& stream, const Conv2dShape& s, const T* x, const T* w, T* y, PartMoments* moments) {
  const std::int64_t P = s.P(), Q = s.Q(), filter = s.R * s.S * s.C;
  const Pixels<T, Packs> a{x, pixel_grid(s.N, s.H, s.W, s.C, s.stride, s.pad, s.pad, P, Q, s.R, s.S)};
  const Matrix<T, true, Packs> b{w, filter, 1, tile_int(s.K, "conv2d"), a.g.depth};
  run_product<menu>("conv2d_fwd", stream, a, b, ToRows{y, s.K, std::is_same_v<T, bf16>}, s.N * P * Q, s.K, filter,
                    Finish{}, nullptr, moments);
}

template <const auto& menu, bool Packs, class T>
void data_gradient(const Stream<ThisGpu>& stream, const Conv2dShape& s, const T* dy, const T* w, T* dx, Accum mode) {
  constexpr const char* name = "conv2d_bwd_data";
  const std::int64_t P = s.P(), Q = s.Q(), filter = s.R * s.S * s.C;
  tile_int(s.w_size(), name);
  for (std::int64_t i = 0; i < s.stride && i < s.H; ++i)
    for (std::int64_t j = 0; j < s.stride && j < s.W; ++j) {
      const PixelClass h(i, s.H, s.R, s.stride, s.pad), v(j, s.W, s.S, s.stride, s.pad);
      const std::int64_t depth = h.taps * v.taps * s.K;
      if (depth == 0 && mode == Accum::add) continue;  // nobody reads these pixels
      const Pixels<T, Packs> a{dy, pixel_grid(s.N, P, Q, s.K, 1, h.pad, v.pad, h.pixels, v.pixels, h.taps, v.taps)};
      const ReversedTaps<T, Packs> b{w,
                                     tile_int(s.C, name),
                                     tile_int(s.S, name),
                                     static_cast<int>(h.first_tap + (h.taps - 1) * s.stride),
                                     static_cast<int>(v.first_tap + (v.taps - 1) * s.stride),
                                     tile_int(s.stride, name),
                                     tile_int(filter, name),
                                     tile_int(depth, name),
                                     Divisor(s.K),
                                     Divisor(v.taps)};
      const ToPixels to{dx,
                        tile_int(s.H, name),
                        tile_int(s.W, name),
                        tile_int(s.C, name),
                        static_cast<int>(i),
                        static_cast<int>(j),
                        tile_int(s.stride, name),
                        std::is_same_v<T, bf16>,
                        Divisor(h.pixels),
                        Divisor(v.pixels)};
      run_product<menu>(name, stream, a, b, to, s.N * h.pixels * v.pixels, s.C, depth, Finish{1.0f, nullptr, mode},
                        nullptr);
    }
}

template <class T>
constexpr const auto& pixel_tiles() {
  if constexpr (std::is_same_v<T, bf16>)
    return gpu::kTilesPixels;
  else
    return gpu::kTilesFloat;
}

}  // namespace

template <class Gpu, class T>
void conv2d_fwd(const Stream<Gpu>& stream, const Conv2dShape& s, const T* x, const T* w, T* y, PartMoments* moments) {
  if (s.is_gemm())
    return gemm(stream, {s.N * s.H * s.W, s.K, s.C, Trans::no, Trans::yes}, 1.0, x, w, nullptr, y, Accum::overwrite,
                nullptr, moments);
  if constexpr (std::is_same_v<T, bf16>)
    if (conv2d_direct_fwd(stream, s, x, w, y, moments)) return;
  if (s.C % kPack<T> == 0 && s.R + s.S <= TapBits::kMost && aligned16(x, w))
    forward<pixel_tiles<T>(), true>(stream, s, x, w, y, moments);
  else
    forward<gpu::kTilesSlow, false>(stream, s, x, w, y, moments);
}

template <class Gpu, class T>
void conv2d_bwd_data(const Stream<Gpu>& stream, const Conv2dShape& s, const T* dy, const T* w, T* dx, Accum mode,
                     float*, [[maybe_unused]] NormGradient<T>* norm) {
  if (s.is_gemm()) return gemm(stream, {s.N * s.H * s.W, s.C, s.K}, 1.0, dy, w, nullptr, dx, mode, nullptr);
  if constexpr (std::is_same_v<T, bf16>)
    if (conv2d_direct_bwd_data(stream, s, dy, w, dx, mode, norm)) return;
  if (s.C % kPack<T> == 0 && s.K % kPack<T> == 0 && s.R + s.S <= TapBits::kMost && aligned16(dy, w))
    data_gradient<pixel_tiles<T>(), true>(stream, s, dy, w, dx, mode);
  else
    data_gradient<gpu::kTilesSlow, false>(stream, s, dy, w, dx, mode);
}

#define AKIN_INSTANTIATE(T)                                                                                            \
  template void conv2d_fwd<ThisGpu, T>(const Stream<ThisGpu>&, const Conv2dShape&, const T*, const T*, T*,             \
                                       PartMoments*);                                                                  \
  template void conv2d_bwd_data<ThisGpu, T>(const Stream<ThisGpu>&, const Conv2dShape&, const T*, const T*, T*, Accum, \
                                            float*, NormGradient<T>*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
