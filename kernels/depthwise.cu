// One thread for neighbouring channels of an output pixel (forward) or of an input pixel (data gradient).
#include "kernels/depthwise.hpp"

#include "kernels/common/gpu/pixels.cuh"

namespace akin {

namespace {

struct Sizes {
  int H, W, C, R, S, stride, pad, P, Q;
};

Sizes sizes_of(const DepthwiseShape& s) {
  const auto i = [](std::int64_t v) { return static_cast<int>(v); };
  return {i(s.H), i(s.W), i(s.C), i(s.R), i(s.S), i(s.stride), i(s.pad), i(s.P()), i(s.Q())};
}

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4) any_forward(Sizes s, Index count, const T* x, const float* w, T* y) {
  for_each_pixel<W>(count, s.P, s.Q, s.C, [&](const PixelAt<Index>& o, Index out) {
    float sum[W] = {};
    for (int r = 0; r < s.R; ++r) {
      const int h = o.h * s.stride + r - s.pad;
      if (h < 0 || h >= s.H) continue;
      for (int t = 0; t < s.S; ++t) {
        const int v = o.w * s.stride + t - s.pad;
        if (v < 0 || v >= s.W) continue;
        const Vec<T, W> in = load_vec<W>(x + ((o.n * static_cast<Index>(s.H) + h) * s.W + v) * s.C + o.c);
#pragma unroll
        for (int k = 0; k < W; ++k)
          sum[k] = fmaf(to_float(in.v[k]), w[((o.c + k) * s.R + r) * s.S + t], sum[k]);
      }
    }
    Vec<T, W> v;
#pragma unroll
    for (int k = 0; k < W; ++k) v.v[k] = from_float<T>(sum[k]);
    store_vec<W>(y + out, v);
  });
}

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4)
    any_data(Sizes s, Index count, const T* dy, const float* w, T* dx, Accum mode) {
  for_each_pixel<W>(count, s.H, s.W, s.C, [&](const PixelAt<Index>& o, Index out) {
    float sum[W] = {};
    for (int r = (o.h + s.pad) % s.stride; r < s.R; r += s.stride) {
      const int p = (o.h + s.pad - r) / s.stride;
      if (o.h + s.pad < r || p >= s.P) continue;
      for (int t = (o.w + s.pad) % s.stride; t < s.S; t += s.stride) {
        const int q = (o.w + s.pad - t) / s.stride;
        if (o.w + s.pad < t || q >= s.Q) continue;
        const Vec<T, W> g = load_vec<W>(dy + ((o.n * static_cast<Index>(s.P) + p) * s.Q + q) * s.C + o.c);
#pragma unroll
        for (int k = 0; k < W; ++k) sum[k] = fmaf(to_float(g.v[k]), w[((o.c + k) * s.R + r) * s.S + t], sum[k]);
      }
    }
    Vec<T, W> v;
    if (mode == Accum::add) v = load_vec<W>(dx + out);
#pragma unroll
    for (int k = 0; k < W; ++k) put(v.v[k], sum[k], mode);
    store_vec<W>(dx + out, v);
  });
}

/// part[parts][C][R][S]; the rows of `c` are output pixels, blockIdx.z is the tap.
template <class T, int W>
__global__ void __launch_bounds__(kColumnsBlock)
    any_weight(Columns c, Sizes s, const T* x, const T* dy, float* part) {
  AKIN_SHARED(float, shared, [W][kColumnsBlock]);
  const ColumnsThread t = columns_thread<W>(c, static_cast<int>(blockIdx.x));
  const int r = static_cast<int>(blockIdx.z) / s.S, tap = static_cast<int>(blockIdx.z) % s.S;
  float sum[W] = {};
  for (std::int64_t m = t.first; m < t.end; m += c.rows) {
    const std::int64_t np = m / s.Q, n = np / s.P;
    const int h = static_cast<int>(np - n * s.P) * s.stride + r - s.pad,
              v = static_cast<int>(m - np * s.Q) * s.stride + tap - s.pad;
    if (h < 0 || h >= s.H || v < 0 || v >= s.W) continue;
    const Vec<T, W> in = load_vec<W>(x + ((n * s.H + h) * s.W + v) * s.C + t.column),
                    g = load_vec<W>(dy + m * s.C + t.column);
#pragma unroll
    for (int k = 0; k < W; ++k) sum[k] = fmaf(to_float(g.v[k]), to_float(in.v[k]), sum[k]);
  }
  const int me = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < W; ++k) shared[k][me] = sum[k];
  join_rows(c, t.row, [&](int from) {
#pragma unroll
    for (int k = 0; k < W; ++k) shared[k][me] += shared[k][from];
  });
  if (t.row != 0 || t.column >= s.C) return;
#pragma unroll
  for (int k = 0; k < W; ++k)
    part[((static_cast<std::int64_t>(blockIdx.x) * s.C + t.column + k) * s.R + r) * s.S + tap] = shared[k][me];
}

constexpr int kBlocks = 8;  // a multiprocessor
constexpr int kDepth = 8;   // rows a thread, at least

template <class T, class Run>
void with_pixels(std::int64_t elements, std::int64_t most, bool packs, Run&& run) {
  with_index(elements > most ? elements : most, [&]<class Index>() {
    if (packs)
      run.template operator()<kPack<T>, Index>(elements / kPack<T>);
    else
      run.template operator()<1, Index>(elements);
  });
}

LaunchShape shape_of(const Stream<ThisGpu>& stream, std::int64_t threads) {
  return {.grid = blocks_for(stream, threads, kPixelBlock), .block = kPixelBlock};
}

}  // namespace

namespace gpu {

template <class Gpu, class T>
void depthwise_fwd(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* x, const float* w, T* y) {
  with_pixels<T>(s.y_size(), s.x_size(), s.C % kPack<T> == 0 && aligned16(x, y),
                 [&]<int W, class Index>(std::int64_t n) {
                   launch("depthwise_fwd", any_forward<T, W, Index>, shape_of(stream, n), stream, sizes_of(s), n, x, w,
                          y);
                 });
}

template <class Gpu, class T>
void depthwise_bwd_data(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* dy, const float* w, T* dx,
                        Accum mode) {
  with_pixels<T>(s.x_size(), s.y_size(), s.C % kPack<T> == 0 && aligned16(dy, dx),
                 [&]<int W, class Index>(std::int64_t n) {
                   launch("depthwise_bwd_data", any_data<T, W, Index>, shape_of(stream, n), stream, sizes_of(s), n, dy,
                          w, dx, mode);
                 });
}

template <class Gpu, class T>
void depthwise_bwd_weight(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* x, const T* dy, float* dw,
                          Accum mode, float* workspace) {
  if (s.w_size() == 0) return;
  const auto run = [&]<int W>() {
    const Columns c = share_columns(*stream.limits, s.N * s.P() * s.Q(), s.C, W, kBlocks, kDepth);
    launch("depthwise_bwd_weight", any_weight<T, W>,
           {.grid = {c.parts, c.tiles, s.R * s.S}, .block = kColumnsBlock}, stream, c, sizes_of(s), x, dy, workspace);
    launch("depthwise_finish", sum_parts_of_columns<float>, finish_shape(s.w_size()), stream, c.parts, s.w_size(), workspace,
           dw, mode);
  };
  if (s.C % kPack<T> == 0 && aligned16(x, dy))
    run.template operator()<kPack<T>>();
  else
    run.template operator()<1>();
}

template <class Gpu>
std::int64_t depthwise_workspace(const Stream<Gpu>& stream, const DepthwiseShape& s) {
  std::int64_t parts = 1;
  for (const int W : {1, kPack<float>, kPack<bf16>}) {  // which of them is right depends on the alignment
    if (s.C == 0 || s.C % W != 0) continue;
    const std::int64_t p = share_columns(*stream.limits, s.N * s.P() * s.Q(), s.C, W, kBlocks, kDepth).parts;
    if (p > parts) parts = p;
  }
  return parts * s.w_size();
}

using S = Stream<ThisGpu>;
template std::int64_t depthwise_workspace<ThisGpu>(const S&, const DepthwiseShape&);
#define AKIN_INSTANTIATE(T)                                                                                          \
  template void depthwise_fwd<ThisGpu, T>(const S&, const DepthwiseShape&, const T*, const float*, T*);              \
  template void depthwise_bwd_data<ThisGpu, T>(const S&, const DepthwiseShape&, const T*, const float*, T*, Accum);  \
  template void depthwise_bwd_weight<ThisGpu, T>(const S&, const DepthwiseShape&, const T*, const T*, float*, Accum, \
                                                 float*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace gpu
}  // namespace akin
