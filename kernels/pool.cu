// Windows: one thread for 16 bytes of neighbouring channels of an output pixel (forward) or of an input pixel
// (backward), in memory order; it gathers what it needs, windows overlap in cache, nothing is scattered. Memory-bound:
// each output is written once, each input comes from memory once.
// The global mean: a block for one image and up to 32 lanes of channels (columns.cuh), rows joined in shared memory.
#include "kernels/pool.hpp"

#include <algorithm>

#include "kernels/common/gpu/pixels.cuh"

namespace akin {

namespace {

/// The sizes a kernel needs, as int: a side of an image always fits.
struct Windows {
  int H, W, C, P, Q, window, stride, pad;
};

// The second launch bound lets the compiler take 64 registers; without it, it spills to stay below 33.
struct Range {
  int begin, end;
};

/// Rows (columns) of an image of `size` that output p looks at.
__device__ __forceinline__ Range inputs_of(int p, int size, const Windows& s) {
  const int begin = p * s.stride - s.pad, end = begin + s.window;
  return {begin > 0 ? begin : 0, end < size ? end : size};
}

/// Outputs, of `outputs`, that look at row (column) h.
__device__ __forceinline__ Range outputs_of(int h, int outputs, const Windows& s) {
  const int over = h + s.pad - s.window, end = (h + s.pad) / s.stride + 1;
  return {over < 0 ? 0 : over / s.stride + 1, end < outputs ? end : outputs};
}

/// sum[k] += the pixels of a window; `image` [.., width, C] begins at the channel.
template <int W, class Index, class T>
__device__ __forceinline__ void add_window(const T* image, Range rows, Range columns, int width, int C,
                                           float (&sum)[W]) {
  for (int h = rows.begin; h < rows.end; ++h)
    for (int w = columns.begin; w < columns.end; ++w) {
      const Vec<T, W> v = load_vec<W>(image + (static_cast<Index>(h) * width + w) * C);
#pragma unroll
      for (int k = 0; k < W; ++k) sum[k] += to_float(v, k);
    }
}

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4)
    max_forward(Windows s, Index count, const T* x, T* y, std::int32_t* at) {
  for_each_pixel<W>(count, s.P, s.Q, s.C, [&](const PixelAt<Index>& o, Index out) {
    const Range rows = inputs_of(o.h, s.H, s), columns = inputs_of(o.w, s.W, s);
    const T* image = x + o.n * static_cast<Index>(s.H) * s.W * s.C + o.c;
    float top[W];
    int where[W];
#pragma unroll
    for (int k = 0; k < W; ++k) top[k] = -INFINITY, where[k] = rows.begin * s.W + columns.begin;
    for (int h = rows.begin; h < rows.end; ++h)
      for (int w = columns.begin; w < columns.end; ++w) {
        const int here = h * s.W + w;
        const Vec<T, W> v = load_vec<W>(image + static_cast<Index>(here) * s.C);
#pragma unroll
        for (int k = 0; k < W; ++k) {
          const float f = to_float(v, k);
          if (!(f <= top[k]) && top[k] == top[k]) top[k] = f, where[k] = here;  // the first NaN wins
        }
      }
    Vec<T, W> best;
#pragma unroll
    for (int k = 0; k < W; ++k) best.v[k] = from_float<T>(top[k]);
    store_vec<W>(y + out, best);
    if (at == nullptr) return;
    if constexpr (W > 1) {
#pragma unroll
      for (int k = 0; k < W; k += 4)
        store_vec<4>(at + out + k, Vec<std::int32_t, 4>{where[k], where[k + 1], where[k + 2], where[k + 3]});
    } else {
      at[out] = where[0];
    }
  });
}

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4)
    max_backward(Windows s, Index count, const std::int32_t* at, const T* dy, T* dx, Accum mode) {
  for_each_pixel<W>(count, s.H, s.W, s.C, [&](const PixelAt<Index>& o, Index out) {
    const Range rows = outputs_of(o.h, s.P, s), columns = outputs_of(o.w, s.Q, s);
    const int here = o.h * s.W + o.w;
    float sum[W] = {};
    for (int p = rows.begin; p < rows.end; ++p)
      for (int q = columns.begin; q < columns.end; ++q) {
        const Index from = ((o.n * static_cast<Index>(s.P) + p) * s.Q + q) * s.C + o.c;
        const Vec<T, W> g = load_vec<W>(dy + from);
        constexpr int kStep = W > 1 ? 4 : 1;
#pragma unroll
        for (int k = 0; k < W; k += kStep) {
          const Vec<std::int32_t, kStep> winner = load_vec<kStep>(at + from + k);
#pragma unroll
          for (int j = 0; j < kStep; ++j) sum[k + j] += winner.v[j] == here ? to_float(g, k + j) : 0.0f;
        }
      }
    Vec<T, W> v;
    if (mode == Accum::add) v = load_vec<W>(dx + out);
#pragma unroll
    for (int k = 0; k < W; ++k) put(v.v[k], sum[k], mode);
    store_vec<W>(dx + out, v);
  });
}

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4) avg_forward(Windows s, Index count, float factor, const T* x, T* y) {
  for_each_pixel<W>(count, s.P, s.Q, s.C, [&](const PixelAt<Index>& o, Index out) {
    const Range rows = inputs_of(o.h, s.H, s), columns = inputs_of(o.w, s.W, s);
    float sum[W] = {};
    add_window<W, Index>(x + o.n * static_cast<Index>(s.H) * s.W * s.C + o.c, rows, columns, s.W, s.C, sum);
    Vec<T, W> v;
#pragma unroll
    for (int k = 0; k < W; ++k) v.v[k] = from_float<T>(sum[k] * factor);
    store_vec<W>(y + out, v);
  });
}

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4)
    avg_backward(Windows s, Index count, float factor, const T* dy, T* dx, Accum mode) {
  for_each_pixel<W>(count, s.H, s.W, s.C, [&](const PixelAt<Index>& o, Index out) {
    const Range rows = outputs_of(o.h, s.P, s), columns = outputs_of(o.w, s.Q, s);
    float sum[W] = {};
    add_window<W, Index>(dy + o.n * static_cast<Index>(s.P) * s.Q * s.C + o.c, rows, columns, s.Q, s.C, sum);
    Vec<T, W> v;
    if (mode == Accum::add) v = load_vec<W>(dx + out);
#pragma unroll
    for (int k = 0; k < W; ++k) put(v.v[k], sum[k] * factor, mode);
    store_vec<W>(dx + out, v);
  });
}

struct AdaptiveWindows {
  int H, W, C, P, Q;
};

/// Pixels of window i; with the two sizes exchanged, the windows that hold pixel i.
__device__ __forceinline__ Range adaptive(int i, int pixels, int windows) {
  const auto begin = static_cast<unsigned>(i) * static_cast<unsigned>(pixels), n = static_cast<unsigned>(windows);
  return {static_cast<int>(begin / n), static_cast<int>((begin + static_cast<unsigned>(pixels) + n - 1) / n)};
}

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4)
    adaptive_forward(AdaptiveWindows s, Index count, const T* x, T* y) {
  for_each_pixel<W>(count, s.P, s.Q, s.C, [&](const PixelAt<Index>& o, Index out) {
    const Range rows = adaptive(o.h, s.H, s.P), columns = adaptive(o.w, s.W, s.Q);
    const float area = static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
    float sum[W] = {};
    add_window<W, Index>(x + o.n * static_cast<Index>(s.H) * s.W * s.C + o.c, rows, columns, s.W, s.C, sum);
    Vec<T, W> v;
#pragma unroll
    for (int k = 0; k < W; ++k) v.v[k] = from_float<T>(sum[k] / area);
    store_vec<W>(y + out, v);
  });
}

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4)
    adaptive_backward(AdaptiveWindows s, Index count, const T* dy, T* dx, Accum mode) {
  for_each_pixel<W>(count, s.H, s.W, s.C, [&](const PixelAt<Index>& o, Index out) {
    const Range rows = adaptive(o.h, s.P, s.H), columns = adaptive(o.w, s.Q, s.W);
    float sum[W] = {};
    for (int p = rows.begin; p < rows.end; ++p) {
      const Range r = adaptive(p, s.H, s.P);
      for (int q = columns.begin; q < columns.end; ++q) {
        const Range c = adaptive(q, s.W, s.Q);
        const float factor = 1.0f / static_cast<float>((r.end - r.begin) * (c.end - c.begin));
        const Vec<T, W> g = load_vec<W>(dy + ((o.n * static_cast<Index>(s.P) + p) * s.Q + q) * s.C + o.c);
#pragma unroll
        for (int k = 0; k < W; ++k) sum[k] = fmaf(factor, to_float(g, k), sum[k]);
      }
    }
    Vec<T, W> v;
    if (mode == Accum::add) v = load_vec<W>(dx + out);
#pragma unroll
    for (int k = 0; k < W; ++k) put(v.v[k], sum[k], mode);
    store_vec<W>(dx + out, v);
  });
}

AdaptiveWindows windows_of(const AdaptivePoolShape& s) {
  const auto i = [](std::int64_t v) { return static_cast<int>(v); };
  return {i(s.H), i(s.W), i(s.C), i(s.P), i(s.Q)};
}

/// The parts of `s` are the images.
template <class T, int W>
__global__ void __launch_bounds__(kColumnsBlock) global_forward(Columns s, float factor, const T* x, T* y) {
  AKIN_SHARED(float, shared, [W][kColumnsBlock]);
  const ColumnsThread t = columns_thread<W>(s, static_cast<int>(blockIdx.x));
  float sum[W] = {};
  for_rows<4>(
      t.first, t.end, s.rows, [&](std::int64_t m) { return load_vec<W>(x + m * s.C + t.column); },
      [&](std::int64_t, const Vec<T, W>& v) {
#pragma unroll
        for (int k = 0; k < W; ++k) sum[k] += to_float(v, k);
      });
  if (!sum_rows<W>(s, t, sum, shared)) return;
  Vec<T, W> mean;
#pragma unroll
  for (int k = 0; k < W; ++k) mean.v[k] = from_float<T>(shared[k][threadIdx.x] * factor);
  store_vec<W>(y + static_cast<std::int64_t>(blockIdx.x) * s.C + t.column, mean);
}

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4)
    global_backward(int pixels, int C, Index count, float factor, const T* dy, T* dx, Accum mode) {
  for_each_pixel<W>(count, pixels, 1, C, [&](const PixelAt<Index>& o, Index out) {
    const Vec<T, W> g = load_vec<W>(dy + o.n * C + o.c);
    Vec<T, W> v;
    if (mode == Accum::add) v = load_vec<W>(dx + out);
#pragma unroll
    for (int k = 0; k < W; ++k) put(v.v[k], to_float(g, k) * factor, mode);
    store_vec<W>(dx + out, v);
  });
}

/// run.operator()<W, Index>(threads wanted) for `elements` written, the largest tensor having `most`.
template <class T, class Run>
void with_pixels(std::int64_t elements, std::int64_t most, bool packs, Run&& run) {
  with_index(std::max(elements, most), [&]<class Index>() {
    if (packs)
      run.template operator()<kPack<T>, Index>(elements / kPack<T>);
    else
      run.template operator()<1, Index>(elements);
  });
}

Windows windows_of(const PoolShape& s) {
  const auto i = [](std::int64_t v) { return static_cast<int>(v); };
  return {i(s.H), i(s.W), i(s.C), i(s.P()), i(s.Q()), i(s.window), i(s.stride), i(s.pad)};
}

std::int64_t in_elements(const PoolShape& s) { return s.N * s.H * s.W * s.C; }
std::int64_t out_elements(const PoolShape& s) { return s.N * s.P() * s.Q() * s.C; }
float inverse_area(const PoolShape& s) { return 1.0f / static_cast<float>(s.window * s.window); }

LaunchShape shape_of(const Stream<ThisGpu>& stream, std::int64_t threads) {
  return {.grid = blocks_for(stream, threads, kPixelBlock), .block = kPixelBlock};
}

}  // namespace

template <class Gpu, class T>
void max_pool_fwd(const Stream<Gpu>& stream, const PoolShape& s, const T* x, T* y, std::int32_t* at) {
  with_pixels<T>(out_elements(s), in_elements(s), s.C % kPack<T> == 0 && aligned16(x, y) && aligned16(at),
                 [&]<int W, class Index>(std::int64_t n) {
                   launch("max_pool_fwd", max_forward<T, W, Index>, shape_of(stream, n), stream, windows_of(s), n, x, y,
                          at);
                 });
}
template <class Gpu, class T>
void max_pool_bwd(const Stream<Gpu>& stream, const PoolShape& s, const std::int32_t* at, const T* dy, T* dx,
                  Accum mode) {
  with_pixels<T>(in_elements(s), out_elements(s), s.C % kPack<T> == 0 && aligned16(dy, dx) && aligned16(at),
                 [&]<int W, class Index>(std::int64_t n) {
                   launch("max_pool_bwd", max_backward<T, W, Index>, shape_of(stream, n), stream, windows_of(s), n, at,
                          dy, dx, mode);
                 });
}
template <class Gpu, class T>
void avg_pool_fwd(const Stream<Gpu>& stream, const PoolShape& s, const T* x, T* y) {
  with_pixels<T>(out_elements(s), in_elements(s), s.C % kPack<T> == 0 && aligned16(x, y),
                 [&]<int W, class Index>(std::int64_t n) {
                   launch("avg_pool_fwd", avg_forward<T, W, Index>, shape_of(stream, n), stream, windows_of(s), n,
                          inverse_area(s), x, y);
                 });
}
template <class Gpu, class T>
void avg_pool_bwd(const Stream<Gpu>& stream, const PoolShape& s, const T* dy, T* dx, Accum mode) {
  with_pixels<T>(in_elements(s), out_elements(s), s.C % kPack<T> == 0 && aligned16(dy, dx),
                 [&]<int W, class Index>(std::int64_t n) {
                   launch("avg_pool_bwd", avg_backward<T, W, Index>, shape_of(stream, n), stream, windows_of(s), n,
                          inverse_area(s), dy, dx, mode);
                 });
}
template <class Gpu, class T>
void adaptive_avg_pool_fwd(const Stream<Gpu>& stream, const AdaptivePoolShape& s, const T* x, T* y) {
  with_pixels<T>(s.N * s.P * s.Q * s.C, s.N * s.H * s.W * s.C, s.C % kPack<T> == 0 && aligned16(x, y),
                 [&]<int W, class Index>(std::int64_t n) {
                   launch("adaptive_avg_pool_fwd", adaptive_forward<T, W, Index>, shape_of(stream, n), stream,
                          windows_of(s), n, x, y);
                 });
}
template <class Gpu, class T>
void adaptive_avg_pool_bwd(const Stream<Gpu>& stream, const AdaptivePoolShape& s, const T* dy, T* dx, Accum mode) {
  with_pixels<T>(s.N * s.H * s.W * s.C, s.N * s.P * s.Q * s.C, s.C % kPack<T> == 0 && aligned16(dy, dx),
                 [&]<int W, class Index>(std::int64_t n) {
                   launch("adaptive_avg_pool_bwd", adaptive_backward<T, W, Index>, shape_of(stream, n), stream,
                          windows_of(s), n, dy, dx, mode);
                 });
}
template <class Gpu, class T>
void global_avg_pool_fwd(const Stream<Gpu>& stream, std::int64_t N, std::int64_t pixels, std::int64_t C, const T* x,
                         T* y) {
  if (C == 0) return;
  const auto run = [&]<int W>() {
    Columns s = share_columns(*stream.limits, N * pixels, C, W, 1, 1);
    s.chunk = pixels;
    s.parts = static_cast<int>(N);
    launch("global_avg_pool_fwd", global_forward<T, W>, {.grid = {s.parts, s.tiles}, .block = kColumnsBlock}, stream, s,
           1.0f / static_cast<float>(pixels), x, y);
  };
  if (C % kPack<T> == 0 && aligned16(x, y))
    run.template operator()<kPack<T>>();
  else
    run.template operator()<1>();
}
template <class Gpu, class T>
void global_avg_pool_bwd(const Stream<Gpu>& stream, std::int64_t N, std::int64_t pixels, std::int64_t C, const T* dy,
                         T* dx, Accum mode) {
  with_pixels<T>(N * pixels * C, 0, C % kPack<T> == 0 && aligned16(dy, dx), [&]<int W, class Index>(std::int64_t n) {
    launch("global_avg_pool_bwd", global_backward<T, W, Index>, shape_of(stream, n), stream, pixels, C, n,
           1.0f / static_cast<float>(pixels), dy, dx, mode);
  });
}

using S = Stream<ThisGpu>;
#define AKIN_INSTANTIATE(T)                                                                                        \
  template void max_pool_fwd<ThisGpu, T>(const S&, const PoolShape&, const T*, T*, std::int32_t*);                 \
  template void max_pool_bwd<ThisGpu, T>(const S&, const PoolShape&, const std::int32_t*, const T*, T*, Accum);    \
  template void avg_pool_fwd<ThisGpu, T>(const S&, const PoolShape&, const T*, T*);                                \
  template void avg_pool_bwd<ThisGpu, T>(const S&, const PoolShape&, const T*, T*, Accum);                         \
  template void adaptive_avg_pool_fwd<ThisGpu, T>(const S&, const AdaptivePoolShape&, const T*, T*);               \
  template void adaptive_avg_pool_bwd<ThisGpu, T>(const S&, const AdaptivePoolShape&, const T*, T*, Accum);        \
  template void global_avg_pool_fwd<ThisGpu, T>(const S&, std::int64_t, std::int64_t, std::int64_t, const T*, T*); \
  template void global_avg_pool_bwd<ThisGpu, T>(const S&, std::int64_t, std::int64_t, std::int64_t, const T*, T*,  \
                                                Accum);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
