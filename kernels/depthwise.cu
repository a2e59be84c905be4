// Memory-bound. Forward and data gradient are one kernel over strips: a thread makes L neighbouring pixels of a row for 16
// bytes of channels. For each row of taps it loads the pixels that the strip sees once, all loads under way together, and
// adds them to sums in registers; the weights of the block's channels lie in shared memory, tap by tap. Blocks walk over
// the strips with a grid stride, a block for up to 32 lanes of channels.
// Weight gradient: a walk over strips with the sums of all taps in registers, 4 channels a thread, joined over the block in shared memory, then over the
// blocks by a second kernel in double, in a fixed order.
// Windows 3x3 and 5x5 with stride 1 and 2 in whole packs of channels take these kernels; others gather single elements.
#include "kernels/depthwise.hpp"

#include "kernels/common/gpu/pixels.cuh"

namespace akin {

namespace {

// ---- strips

/// Output l of a strip and tap t meet in the strip's input input(l, t), or nowhere (-1).
template <int kWindow, int kStride>
struct ForwardStrip {
  static constexpr int K = kWindow, L = kStride == 1 ? 4 : 2, kIn = (L - 1) * kStride + K, kTapStep = 1;
  __device__ static constexpr int input(int l, int t) { return l * kStride + t; }
  __device__ static int first_tap(int, int) { return 0; }
  __device__ static int in_row(int p, int r, int pad) { return p * kStride + r - pad; }
  __device__ static int in_column(int q, int pad) { return q * kStride - pad; }
  /// Of the strips of a row: the first output of the first one.
  static int begin(int) { return 0; }
};

/// Outputs are pixels of dx, inputs of dy. A strip starts where stride divides w + pad, so that every tap finds its input
/// in the same place of every strip.
template <int kWindow, int kStride>
struct DataStrip {
  static constexpr int K = kWindow, L = 4, kBack = (K - 1) / kStride, kIn = (L - 1) / kStride + kBack + 1,
                       kTapStep = kStride;
  __device__ static constexpr int input(int l, int t) {
    return (l - t + K * kStride) % kStride == 0 ? kBack + (l - t + K * kStride) / kStride - K : -1;
  }
  __device__ static int first_tap(int h, int pad) { return (h + pad) % kStride; }
  __device__ static int in_row(int h, int r, int pad) { return (h + pad - r) / kStride; }
  __device__ static int in_column(int w, int pad) { return (w + pad) / kStride - kBack; }
  static int begin(int pad) { return -(pad % kStride); }
};

struct Strips {
  int C, lanes, rows;  ///< of a block, as in Columns
  int out_h, out_w, in_h, in_w, pad;
  int begin, in_a_row;
  std::uint32_t count;
};

/// A pixel of a row, or zeros outside.
template <int W, class T>
__device__ __forceinline__ Vec<T, W> pixel(const T* row, int column, int columns, int C) {
  if (static_cast<unsigned>(column) < static_cast<unsigned>(columns))
    return load_vec<W>(row + static_cast<std::int64_t>(column) * C);
  Vec<T, W> zero;
  memset(&zero, 0, sizeof(zero));  // in words: to_float reads those
  return zero;
}

template <class T, int W, class Strip>
__global__ void __launch_bounds__(kColumnsBlock, 2)
    strip_kernel(Strips s, const T* in, const float* w, T* out, Accum mode) {
  constexpr int K = Strip::K, L = Strip::L;
  AKIN_DYNAMIC_SHARED(float, taps);  // [K K][lanes W]
  const int width = s.lanes * W, first_channel = static_cast<int>(blockIdx.y) * width;
  const int weights = (s.C - first_channel < width ? s.C - first_channel : width) * K * K;
  for (int i = static_cast<int>(threadIdx.x); i < weights; i += kColumnsBlock)
    taps[i % (K * K) * width + i / (K * K)] = w[first_channel * K * K + i];
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % s.lanes, row = static_cast<int>(threadIdx.x) / s.lanes;
  const int c = first_channel + lane * W;
  if (row >= s.rows || c >= s.C) return;
  const std::uint32_t step = gridDim.x * static_cast<unsigned>(s.rows);
  for (std::uint32_t i = blockIdx.x * static_cast<unsigned>(s.rows) + static_cast<unsigned>(row); i < s.count; i += step) {
    const std::uint32_t line = i / static_cast<unsigned>(s.in_a_row), n = line / static_cast<unsigned>(s.out_h);
    const int h = static_cast<int>(line - n * static_cast<unsigned>(s.out_h));
    const int first = s.begin + static_cast<int>(i - line * static_cast<unsigned>(s.in_a_row)) * L;
    const int column = Strip::in_column(first, s.pad);
    float sum[L][W] = {};
    for (int r = Strip::first_tap(h, s.pad); r < K; r += Strip::kTapStep) {
      const int in_row = Strip::in_row(h, r, s.pad);
      if (in_row < 0 || in_row >= s.in_h) continue;
      const T* p = in + (std::int64_t{n} * s.in_h + in_row) * s.in_w * s.C + c;
      Vec<T, W> v[Strip::kIn];
#pragma unroll
      for (int j = 0; j < Strip::kIn; ++j) v[j] = pixel<W>(p, column + j, s.in_w, s.C);
#pragma unroll
      for (int t = 0; t < K; ++t) {
        float weight[W];
#pragma unroll
        for (int k = 0; k < W; k += 4)
          store_vec<4>(weight + k, load_vec<4>(taps + (r * K + t) * width + lane * W + k));
#pragma unroll
        for (int l = 0; l < L; ++l) {
          if (Strip::input(l, t) < 0) continue;
#pragma unroll
          for (int k = 0; k < W; ++k)
            sum[l][k] = fmaf(to_float(v[Strip::input(l, t)], k), weight[k], sum[l][k]);
        }
      }
    }
    T* to = out + (std::int64_t{line} * s.out_w + first) * s.C + c;
#pragma unroll
    for (int l = 0; l < L; ++l) {
      if (first + l < 0 || first + l >= s.out_w) continue;
      T* y = to + static_cast<std::int64_t>(l) * s.C;
      Vec<T, W> value;
      if (mode == Accum::add) value = load_vec<W>(y);
#pragma unroll
      for (int k = 0; k < W; ++k) put(value.v[k], sum[l][k], mode);
      store_vec<W>(y, value);
    }
  }
}

struct Sizes {
  int H, W, C, R, S, stride, pad, P, Q;
};

/// Joins sum[W] over the rows of a block and stores them as weights (column, tap) of this block's part.
template <int W>
__device__ __forceinline__ void finish_tap(const Columns& c, const ColumnsThread& t, const float (&sum)[W],
                                           float (&shared)[W][kColumnsBlock], int tap, int taps, float* part) {
  __syncthreads();  // the tap before is through
  if (!sum_rows<W>(c, t, sum, shared)) return;
#pragma unroll
  for (int k = 0; k < W; ++k)
    part[(static_cast<std::int64_t>(blockIdx.x) * c.C + t.column + k) * taps + tap] = shared[k][threadIdx.x];
}

constexpr int kWeightStrip = 2, kWeightLane = 4;  // more channels would not leave registers for the sums of 25 taps

/// part[parts][C][K][K]; the rows of `c` are strips of output pixels.
template <class T, int W, int K, int kStride>
__global__ void __launch_bounds__(kColumnsBlock, K == 3 ? 2 : 1)
    weight_kernel(Columns c, Sizes s, const T* x, const T* dy, float* part) {
  constexpr int L = kWeightStrip, kIn = (L - 1) * kStride + K;
  AKIN_SHARED(float, shared, [W][kColumnsBlock]);
  const ColumnsThread t = columns_thread<W>(c, static_cast<int>(blockIdx.x));
  float sum[K * K][W] = {};
  const auto strips = static_cast<std::uint32_t>((s.Q + L - 1) / L);
  for (auto m = static_cast<std::uint32_t>(t.first); m < static_cast<std::uint32_t>(t.end);
       m += static_cast<unsigned>(c.rows)) {
    const std::uint32_t line = m / strips, n = line / static_cast<unsigned>(s.P);
    const int p = static_cast<int>(line - n * static_cast<unsigned>(s.P)), q = static_cast<int>(m - line * strips) * L;
    const T* gradient = dy + std::int64_t{line} * s.Q * s.C + t.column;
    Vec<T, W> g[L];
#pragma unroll
    for (int l = 0; l < L; ++l) g[l] = pixel<W>(gradient, q + l, s.Q, s.C);
#pragma unroll
    for (int r = 0; r < K; ++r) {
      const int h = p * kStride + r - s.pad;
      if (h < 0 || h >= s.H) continue;
      const T* row = x + (std::int64_t{n} * s.H + h) * s.W * s.C + t.column;
      Vec<T, W> v[kIn];
#pragma unroll
      for (int j = 0; j < kIn; ++j) v[j] = pixel<W>(row, q * kStride - s.pad + j, s.W, s.C);
#pragma unroll
      for (int l = 0; l < L; ++l) {
        if (q + l >= s.Q) break;  // zero times a NaN of a pixel that no output sees
#pragma unroll
        for (int k = 0; k < W; ++k) {
          const float d = to_float(g[l], k);
#pragma unroll
          for (int u = 0; u < K; ++u)
            sum[r * K + u][k] = fmaf(d, to_float(v[l * kStride + u], k), sum[r * K + u][k]);
        }
      }
    }
  }
#pragma unroll
  for (int tap = 0; tap < K * K; ++tap) finish_tap<W>(c, t, sum[tap], shared, tap, K * K, part);
}

// ---- any window, stride and number of channels: one thread for an element

template <class T, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4) any_forward(Sizes s, Index count, const T* x, const float* w, T* y) {
  for_each_pixel<1>(count, s.P, s.Q, s.C, [&](const PixelAt<Index>& o, Index out) {
    float sum = 0;
    for (int r = 0; r < s.R; ++r) {
      const int h = o.h * s.stride + r - s.pad;
      if (h < 0 || h >= s.H) continue;
      for (int t = 0; t < s.S; ++t) {
        const int v = o.w * s.stride + t - s.pad;
        if (v < 0 || v >= s.W) continue;
        const T in = x[((o.n * static_cast<Index>(s.H) + h) * s.W + v) * s.C + o.c];
        sum = fmaf(to_float(in), w[(o.c * s.R + r) * s.S + t], sum);
      }
    }
    y[out] = from_float<T>(sum);
  });
}

template <class T, class Index>
__global__ void __launch_bounds__(kPixelBlock, 4)
    any_data(Sizes s, Index count, const T* dy, const float* w, T* dx, Accum mode) {
  for_each_pixel<1>(count, s.H, s.W, s.C, [&](const PixelAt<Index>& o, Index out) {
    float sum = 0;
    for (int r = (o.h + s.pad) % s.stride; r < s.R && r <= o.h + s.pad; r += s.stride) {
      const int p = (o.h + s.pad - r) / s.stride;
      if (p >= s.P) continue;
      for (int t = (o.w + s.pad) % s.stride; t < s.S && t <= o.w + s.pad; t += s.stride) {
        const int q = (o.w + s.pad - t) / s.stride;
        if (q >= s.Q) continue;
        const T g = dy[((o.n * static_cast<Index>(s.P) + p) * s.Q + q) * s.C + o.c];
        sum = fmaf(to_float(g), w[(o.c * s.R + r) * s.S + t], sum);
      }
    }
    put(dx[out], sum, mode);
  });
}

/// part[parts][C][R][S]; the rows of `c` are output pixels, blockIdx.z is the tap.
template <class T>
__global__ void __launch_bounds__(kColumnsBlock) any_weight(Columns c, Sizes s, const T* x, const T* dy, float* part) {
  AKIN_SHARED(float, shared, [1][kColumnsBlock]);
  const ColumnsThread t = columns_thread<1>(c, static_cast<int>(blockIdx.x));
  const int r = static_cast<int>(blockIdx.z) / s.S, u = static_cast<int>(blockIdx.z) % s.S;
  float sum[1] = {};
  for (std::int64_t m = t.first; m < t.end; m += c.rows) {
    const std::int64_t line = m / s.Q, n = line / s.P;
    const int h = static_cast<int>(line - n * s.P) * s.stride + r - s.pad,
              v = static_cast<int>(m - line * s.Q) * s.stride + u - s.pad;
    if (h < 0 || h >= s.H || v < 0 || v >= s.W) continue;
    sum[0] = fmaf(to_float(dy[m * s.C + t.column]), to_float(x[((n * s.H + h) * s.W + v) * s.C + t.column]), sum[0]);
  }
  finish_tap<1>(c, t, sum, shared, r * s.S + u, s.R * s.S, part);
}

// ---- launches

constexpr int kStripBlocks = 8, kWeightBlocks = 4;  // a multiprocessor
constexpr int kDepth = 8;                           // rows of a part for a thread, at least

int as_int(std::int64_t v) { return static_cast<int>(v); }

Sizes sizes_of(const DepthwiseShape& s) {
  return {as_int(s.H), as_int(s.W),   as_int(s.C),   as_int(s.R), as_int(s.S), as_int(s.stride),
          as_int(s.pad), as_int(s.P()), as_int(s.Q())};
}

/// run.operator()<window, stride>() and true where the strip kernels serve the shape.
template <class Run>
bool with_window(const DepthwiseShape& s, bool packs, Run&& run) {
  if (!packs || s.R != s.S || s.x_size() >= std::int64_t{1} << 33 || s.y_size() >= std::int64_t{1} << 33) return false;
  if (s.R == 3 && s.stride == 1) return run.template operator()<3, 1>(), true;
  if (s.R == 3 && s.stride == 2) return run.template operator()<3, 2>(), true;
  if (s.R == 5 && s.stride == 1) return run.template operator()<5, 1>(), true;
  if (s.R == 5 && s.stride == 2) return run.template operator()<5, 2>(), true;
  return false;
}

/// Images of N x in_h x in_w to N x out_h x out_w.
template <class Strip, class T>
void run_strips(const char* name, const Stream<ThisGpu>& stream, const DepthwiseShape& s, std::int64_t in_h,
                std::int64_t in_w, std::int64_t out_h, std::int64_t out_w, const T* in, const float* w, T* out,
                Accum mode) {
  constexpr int W = kPack<T>;
  const int begin = Strip::begin(as_int(s.pad));
  const std::int64_t in_a_row = (out_w - begin + Strip::L - 1) / Strip::L, count = s.N * out_h * in_a_row;
  const Columns c = share_columns(*stream.limits, count, s.C, W, kStripBlocks, 1);
  launch(name, strip_kernel<T, W, Strip>,
         {.grid = {c.parts, c.tiles},
          .block = kColumnsBlock,
          .shared = sizeof(float) * Strip::K * Strip::K * static_cast<std::size_t>(c.lanes * W)},
         stream,
         Strips{c.C, c.lanes, c.rows, as_int(out_h), as_int(out_w), as_int(in_h), as_int(in_w), as_int(s.pad), begin,
                as_int(in_a_row), static_cast<std::uint32_t>(count)},
         in, w, out, mode);
}

template <class T>
bool packed(const DepthwiseShape& s, const T* a, const T* b) {
  return s.C % kPack<T> == 0 && aligned16(a, b);
}

Columns weight_columns(const GpuLimits& limits, const DepthwiseShape& s, int W, bool strips) {
  const std::int64_t of_a_row = strips ? (s.Q() + kWeightStrip - 1) / kWeightStrip : s.Q();
  return share_columns(limits, s.N * s.P() * of_a_row, s.C, W, kWeightBlocks, kDepth);
}

}  // namespace

template <class Gpu, class T>
void depthwise_fwd(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* x, const Full<T>* w, T* y) {
  const bool done = with_window(s, packed(s, x, y), [&]<int K, int kStride>() {
    run_strips<ForwardStrip<K, kStride>>("depthwise_fwd", stream, s, s.H, s.W, s.P(), s.Q(), x, w, y,
                                         Accum::overwrite);
  });
  if (done) return;
  const std::int64_t n = s.y_size();
  with_index(n > s.x_size() ? n : s.x_size(), [&]<class Index>() {
    launch("depthwise_fwd", any_forward<T, Index>,
           {.grid = blocks_for(stream, n, kPixelBlock), .block = kPixelBlock}, stream, sizes_of(s), n, x, w, y);
  });
}

template <class Gpu, class T>
void depthwise_bwd_data(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* dy, const Full<T>* w, T* dx,
                        Accum mode) {
  const bool done = with_window(s, packed(s, dy, dx), [&]<int K, int kStride>() {
    run_strips<DataStrip<K, kStride>>("depthwise_bwd_data", stream, s, s.P(), s.Q(), s.H, s.W, dy, w, dx, mode);
  });
  if (done) return;
  const std::int64_t n = s.x_size();
  with_index(n > s.y_size() ? n : s.y_size(), [&]<class Index>() {
    launch("depthwise_bwd_data", any_data<T, Index>,
           {.grid = blocks_for(stream, n, kPixelBlock), .block = kPixelBlock}, stream, sizes_of(s), n, dy, w, dx, mode);
  });
}

template <class Gpu, class T>
void depthwise_bwd_weight(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* x, const T* dy, Full<T>* dw,
                          Accum mode, float* workspace) {
  if (s.w_size() == 0) return;
  constexpr const char* name = "depthwise_bwd_weight";
  Columns c{};
  const bool done = with_window(s, packed(s, x, dy), [&]<int K, int kStride>() {
    c = weight_columns(*stream.limits, s, kWeightLane, true);
    launch(name, weight_kernel<T, kWeightLane, K, kStride>, columns_shape(c), stream, c, sizes_of(s), x, dy, workspace);
  });
  if (!done) {
    c = weight_columns(*stream.limits, s, 1, false);
    launch(name, any_weight<T>, {.grid = {c.parts, c.tiles, s.R * s.S}, .block = kColumnsBlock}, stream, c, sizes_of(s),
           x, dy, workspace);
  }
  launch("depthwise_finish", sum_parts_of_columns<float>, finish_shape(s.w_size()), stream, c.parts, s.w_size(),
         workspace, dw, mode);
}

template <class Gpu>
std::int64_t depthwise_workspace(const Stream<Gpu>& stream, const DepthwiseShape& s) {
  if (s.w_size() == 0) return 0;
  std::int64_t parts = weight_columns(*stream.limits, s, 1, false).parts;
  if (s.C % kWeightLane == 0) {  // alignment decides which of the two runs
    const std::int64_t more = weight_columns(*stream.limits, s, kWeightLane, true).parts;
    if (more > parts) parts = more;
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

}  // namespace akin
