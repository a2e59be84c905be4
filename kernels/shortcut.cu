// One thread for 16 bytes of neighbouring channels (one element where C, K or the zeros on a side are no whole packs)
// of an output pixel forward and of an input pixel backward: each is written once, in memory order, and gathers.
#include "kernels/shortcut.hpp"

#include "kernels/common/gpu/pixels.cuh"

namespace akin {

namespace {

struct Sizes {
  int H, W, C, P, Q, K, stride, left;
};

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock) forward(Sizes s, Index count, const T* x, T* y) {
  for_each_pixel<W>(count, s.P, s.Q, s.K, [&](const PixelAt<Index>& o, Index out) {
    const int c = o.c - s.left;
    Vec<T, W> v;
#pragma unroll
    for (int k = 0; k < W; ++k) v.v[k] = from_float<T>(0.0f);
    if (c >= 0 && c < s.C)
      v = load_vec<W>(x + ((o.n * static_cast<Index>(s.H) + o.h * s.stride) * s.W + o.w * s.stride) * s.C + c);
    store_vec<W>(y + out, v);
  });
}

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock) backward(Sizes s, Index count, const T* dy, T* dx, Accum mode) {
  for_each_pixel<W>(count, s.H, s.W, s.C, [&](const PixelAt<Index>& o, Index out) {
    const int p = o.h / s.stride, q = o.w / s.stride;
    const bool kept = p * s.stride == o.h && q * s.stride == o.w;
    if (!kept && mode == Accum::add) return;
    Vec<T, W> g, v;
#pragma unroll
    for (int k = 0; k < W; ++k) g.v[k] = from_float<T>(0.0f);
    if (kept) g = load_vec<W>(dy + ((o.n * static_cast<Index>(s.P) + p) * s.Q + q) * s.K + s.left + o.c);
    if (mode == Accum::add) v = load_vec<W>(dx + out);
#pragma unroll
    for (int k = 0; k < W; ++k) put(v.v[k], to_float(g, k), mode);
    store_vec<W>(dx + out, v);
  });
}

/// run.operator()<W, Index>(sizes, threads) for a kernel that writes `elements`.
template <class T, class Run>
void with_pixels(const ShortcutShape& s, std::int64_t elements, bool aligned, Run&& run) {
  const auto i = [](std::int64_t v) { return static_cast<int>(v); };
  const std::int64_t left = (s.K - s.C) / 2;
  const Sizes sizes{i(s.H), i(s.W), i(s.C), i(s.P()), i(s.Q()), i(s.K), i(s.stride), i(left)};
  const std::int64_t in = s.N * s.H * s.W * s.C, out = s.N * s.P() * s.Q() * s.K;
  with_index(in > out ? in : out, [&]<class Index>() {
    if (aligned && s.C % kPack<T> == 0 && left % kPack<T> == 0)
      run.template operator()<kPack<T>, Index>(sizes, elements / kPack<T>);
    else
      run.template operator()<1, Index>(sizes, elements);
  });
}

}  // namespace

template <class Gpu, class T>
void shortcut_a_fwd(const Stream<Gpu>& stream, const ShortcutShape& s, const T* x, T* y) {
  with_pixels<T>(s, s.N * s.P() * s.Q() * s.K, aligned16(x, y),
                 [&]<int W, class Index>(const Sizes& z, std::int64_t n) {
                   launch("shortcut_a_fwd", forward<T, W, Index>,
                          {.grid = blocks_for(stream, n, kPixelBlock), .block = kPixelBlock}, stream, z, n, x, y);
                 });
}
template <class Gpu, class T>
void shortcut_a_bwd(const Stream<Gpu>& stream, const ShortcutShape& s, const T* dy, T* dx, Accum mode) {
  with_pixels<T>(s, s.N * s.H * s.W * s.C, aligned16(dy, dx), [&]<int W, class Index>(const Sizes& z, std::int64_t n) {
    launch("shortcut_a_bwd", backward<T, W, Index>, {.grid = blocks_for(stream, n, kPixelBlock), .block = kPixelBlock},
           stream, z, n, dy, dx, mode);
  });
}

using S = Stream<ThisGpu>;
#define AKIN_INSTANTIATE(T)                                                               \
  template void shortcut_a_fwd<ThisGpu, T>(const S&, const ShortcutShape&, const T*, T*); \
  template void shortcut_a_bwd<ThisGpu, T>(const S&, const ShortcutShape&, const T*, T*, Accum);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
