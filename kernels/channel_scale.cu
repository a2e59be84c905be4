// Forward: one thread for 16 bytes of neighbouring channels of a pixel, in memory order. Backward: a block for one image
// and up to 32 lanes of channels (columns.cuh) writes dx and sums dy x in the same pass; rows are joined in shared
// memory, in a fixed order.
#include "kernels/channel_scale.hpp"

#include "kernels/common/gpu/pixels.cuh"

namespace akin {

namespace {

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock)
    scale_forward(int pixels, int C, Index count, const T* x, const T* s, T* y) {
  for_each_pixel<W>(count, pixels, 1, C, [&](const PixelAt<Index>& o, Index at) {
    const Vec<T, W> v = load_vec<W>(x + at), factor = load_vec<W>(s + o.n * C + o.c);
    Vec<T, W> out;
#pragma unroll
    for (int k = 0; k < W; ++k) out.v[k] = from_float<T>(to_float(v, k) * to_float(factor, k));
    store_vec<W>(y + at, out);
  });
}

template <class T, int W>
struct Both {
  Vec<T, W> x, dy;
};

/// The parts of `c` are the images.
template <class T, int W>
__global__ void __launch_bounds__(kColumnsBlock) scale_backward(Columns c, ChannelScaleBackward<T> b) {
  AKIN_SHARED(float, shared, [W][kColumnsBlock]);
  const ColumnsThread t = columns_thread<W>(c, static_cast<int>(blockIdx.x));
  const std::int64_t gate = static_cast<std::int64_t>(blockIdx.x) * c.C + t.column;
  float s[W], sum[W];
#pragma unroll
  for (int k = 0; k < W; ++k) {
    s[k] = t.active ? to_float(b.s[gate + k]) : 0.0f;
    sum[k] = 0;
  }
  for_rows<2>(
      t.first, t.end, c.rows,
      [&](std::int64_t m) {
        return Both<T, W>{load_vec<W>(b.x + m * c.C + t.column), load_vec<W>(b.dy + m * c.C + t.column)};
      },
      [&](std::int64_t m, const Both<T, W>& in) {
#pragma unroll
        for (int k = 0; k < W; ++k) sum[k] = fmaf(to_float(in.dy, k), to_float(in.x, k), sum[k]);
        if (b.dx == nullptr) return;
        T* dx = b.dx + m * c.C + t.column;
        Vec<T, W> out;
        if (b.dx_mode == Accum::add) out = load_vec<W>(dx);
#pragma unroll
        for (int k = 0; k < W; ++k) put(out.v[k], to_float(in.dy, k) * s[k], b.dx_mode);
        store_vec<W>(dx, out);
      });
  if (b.ds == nullptr) return;
  if (!sum_rows<W>(c, t, sum, shared)) return;
#pragma unroll
  for (int k = 0; k < W; ++k) put(b.ds[gate + k], shared[k][threadIdx.x], b.ds_mode);
}

}  // namespace

template <class Gpu, class T>
void channel_scale_fwd(const Stream<Gpu>& stream, const ChannelScaleShape& shape, const T* x, const T* s, T* y) {
  const std::int64_t n = shape.N * shape.pixels * shape.C;
  const auto run = [&]<int W>() {
    with_index(n, [&]<class Index>() {
      launch("channel_scale_fwd", scale_forward<T, W, Index>,
             {.grid = blocks_for(stream, n / W, kPixelBlock), .block = kPixelBlock}, stream, shape.pixels, shape.C,
             n / W, x, s, y);
    });
  };
  if (shape.C % kPack<T> == 0 && aligned16(x, s, y))
    run.template operator()<kPack<T>>();
  else
    run.template operator()<1>();
}

template <class Gpu, class T>
void channel_scale_bwd(const Stream<Gpu>& stream, const ChannelScaleShape& shape, const ChannelScaleBackward<T>& t) {
  if (shape.C == 0) return;
  const auto run = [&]<int W>() {
    Columns c = share_columns(*stream.limits, shape.N * shape.pixels, shape.C, W, 1, 1);
    c.chunk = shape.pixels;
    c.parts = static_cast<int>(shape.N);
    launch("channel_scale_bwd", scale_backward<T, W>, columns_shape(c), stream, c, t);
  };
  if (shape.C % kPack<T> == 0 && aligned16(t.x, t.s, t.dy, t.dx))
    run.template operator()<kPack<T>>();
  else
    run.template operator()<1>();
}

using S = Stream<ThisGpu>;
#define AKIN_INSTANTIATE(T)                                                                                 \
  template void channel_scale_fwd<ThisGpu, T>(const S&, const ChannelScaleShape&, const T*, const T*, T*);  \
  template void channel_scale_bwd<ThisGpu, T>(const S&, const ChannelScaleShape&, const ChannelScaleBackward<T>&);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
