// conv2d, weight gradient, as a product on common/gpu/tile.cuh. Rows: K; columns: taps and channels (r, s, c);
// reduction: output pixels, read across in both operands (runs in memory are along channels). There are few tiles and
// very many pixels, so the reduction is cut into pieces that fill the card; the pieces are added in order.
// Where C is no multiple of a pack (the first layer) pixels are gathered one element at a time, dy still in packs.
#include "kernels/common/gpu/conv2d_direct.hpp"
#include "kernels/common/gpu/tile.cuh"
#include "kernels/conv2d.hpp"
#include "kernels/gemm.hpp"

namespace akin {

namespace {

/// XPacks, DyPacks: x (dy) may be read 16 bytes at a time.
template <const auto& menu, bool XPacks, bool DyPacks, class T>
void weight_gradient(const Stream<ThisGpu>& stream, const Conv2dShape& s, const T* x, const T* dy, float* dw,
                     Accum mode, float* workspace) {
  constexpr const char* name = "conv2d_bwd_weight";
  const std::int64_t P = s.P(), Q = s.Q(), pixels = s.N * P * Q, filter = s.R * s.S * s.C;
  const Matrix<T, false, DyPacks> a{dy, 1, s.K, tile_int(s.K, name), tile_int(pixels, name)};
  const PixelGrid grid{tile_int(s.H, name),
                       tile_int(s.W, name),
                       tile_int(s.C, name),
                       tile_int(s.stride, name),
                       tile_int(s.pad, name),
                       tile_int(s.pad, name),
                       tile_int(s.H * s.W * s.C, name),
                       tile_int(s.R, name),
                       tile_int(s.S, name),
                       a.depth,
                       tile_int(filter, name),
                       Divisor(P),
                       Divisor(Q),
                       Divisor(s.S),
                       Divisor(s.C)};
  const PixelsAcross<T, XPacks> b{{x, grid}};
  run_product<menu>(name, stream, a, b, ToRows{dw, filter, false}, s.K, filter, pixels, Finish{1.0f, nullptr, mode},
                    workspace);
}

template <class T>
constexpr const auto& weight_tiles() {
  if constexpr (std::is_same_v<T, bf16>)
    return gpu::kTilesWeight;
  else
    return gpu::kTilesFloat;
}

}  // namespace

template <class Gpu, class T>
void conv2d_bwd_weight(const Stream<Gpu>& stream, const Conv2dShape& s, const T* x, const T* dy, Full<T>* dw,
                       Accum mode, float* workspace) {
  if (s.is_gemm())
    return gemm(stream, {s.K, s.C, s.N * s.H * s.W, Trans::yes, Trans::no}, 1.0, dy, x, nullptr, dw, mode, workspace);
  if constexpr (std::is_same_v<T, bf16>)
    if (conv2d_direct_bwd_weight(stream, s, x, dy, dw, mode, workspace)) return;
  const bool x_packs = s.C % kPack<T> == 0 && s.R + s.S <= TapBits::kMost && aligned16(x);
  const bool dy_packs = s.K % kPack<T> == 0 && aligned16(dy);
  if (x_packs && dy_packs)
    weight_gradient<weight_tiles<T>(), true, true>(stream, s, x, dy, dw, mode, workspace);
  else if (dy_packs)
    weight_gradient<gpu::kTilesSlow, false, true>(stream, s, x, dy, dw, mode, workspace);
  else
    weight_gradient<gpu::kTilesSlow, false, false>(stream, s, x, dy, dw, mode, workspace);
}

#define AKIN_INSTANTIATE(T)                                                                                           \
  template void conv2d_bwd_weight<ThisGpu, T>(const Stream<ThisGpu>&, const Conv2dShape&, const T*, const T*, float*, \
                                              Accum, float*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
