// Memory-bound, if few instructions are spent on an output.
//
// A thread makes a patch of pixels for 16 bytes of channels, so that rows and columns of inputs serve several outputs: it
// loads the patch's inputs row by row, zeros outside, and adds them to sums in registers; the weights of the block's
// channels lie in shared memory. Forward pass and data gradient are one kernel: with stride 1 the latter has its taps
// reversed, with stride 2 another table of which tap meets which input. Blocks walk over the patches with a grid stride, a
// block for up to 32 lanes of channels.
//
// Weight gradient: a walk over such patches with the sums of all taps in registers, 4 channels a thread, joined over the
// block in shared memory, then over the blocks by a second kernel in double, in a fixed order.
//
// Windows 3x3 and 5x5 with stride 1 and 2 in whole packs of channels take these kernels; others gather single elements.
#include "kernels/depthwise.hpp"

#include "kernels/common/gpu/patches.cuh"
#include "kernels/common/gpu/pixels.cuh"

namespace akin {

namespace {

// ---- patches

/// The weights of a lane lie together, lanes 16 bytes more apart where that keeps 8 of them in different banks.
template <int W, int K>
constexpr int kLaneWeights = K * K * W + (W % 8 == 0 ? 4 : 0);

template <class T, int W, class Patch>
__global__ void __launch_bounds__(kColumnsBlock, 2)
    patch_kernel(Columns c, Patches s, bool reversed, const T* in, const float* w, T* out, Accum mode) {
  using Side = typename Patch::Side;
  constexpr int K = Side::K, L = Patch::kColumns;
  AKIN_DYNAMIC_SHARED(float, taps);  // [lanes][K K][W]
  const int width = c.lanes * W, first_channel = static_cast<int>(blockIdx.y) * width;
  const int weights = (c.C - first_channel < width ? c.C - first_channel : width) * K * K;
  for (int i = static_cast<int>(threadIdx.x); i < weights; i += kColumnsBlock) {
    const int channel = i / (K * K), tap = i % (K * K);
    taps[channel / W * kLaneWeights<W, K> + (reversed ? K * K - 1 - tap : tap) * W + channel % W] =
        w[first_channel * K * K + i];
  }
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % c.lanes, row = static_cast<int>(threadIdx.x) / c.lanes;
  const int channel = first_channel + lane * W;
  if (row >= c.rows || channel >= c.C) return;
  const float* weight_of = taps + lane * kLaneWeights<W, K>;
  const int step = static_cast<int>(gridDim.x) * c.rows, count = static_cast<int>(s.count);
  int C = s.C;
  keep(C);
  for (int i = static_cast<int>(blockIdx.x) * c.rows + row; i < count; i += step) {
    const PatchAt at = patch_at<Patch>(s, i);
    const int in_h = Side::first_input(at.h, s.pad), in_w = Side::first_input(at.w, s.pad);
    const unsigned in_columns = bits_inside<Patch::kInColumns>(in_w, s.seen_w);
    const T* p = in + std::int64_t{(at.n * s.in_h + in_h) * s.in_w + in_w} * C + channel;
    float sum[Patch::kRows][L][W] = {};
#pragma unroll
    for (int y = 0; y < Patch::kInRows; ++y, p += s.in_pitch) {
      if (static_cast<unsigned>(in_h + y) >= static_cast<unsigned>(s.seen_h)) continue;
      Packed<T, W> v[Patch::kInColumns];
      keep_global(p);
      load_row<W>(v, p, C, in_columns);
#pragma unroll
      for (int k = 0; k < W; k += 4)  // a few channels after the other: fewer floats at a time
#pragma unroll
        for (int t = 0; t < K; ++t)
#pragma unroll
          for (int o = 0; o < Patch::kRows; ++o)
#pragma unroll
            for (int r = 0; r < K; ++r) {
              if (Side::input(o, r) != y) continue;
              const Vec<float, 4> weight = load_vec<4>(weight_of + (r * K + t) * W + k);
#pragma unroll
              for (int l = 0; l < L; ++l) {
                if (Side::input(l, t) < 0) continue;
#pragma unroll
                for (int e = k; e < k + 4; ++e)
                  sum[o][l][e] = fmaf(v[Side::input(l, t)][e], weight.v[e - k], sum[o][l][e]);
              }
            }
    }
    const unsigned out_columns = bits_inside<L>(at.w, s.out_w);
    T* to = out + std::int64_t{(at.n * s.out_h + at.h) * s.out_w + at.w} * C + channel;
#pragma unroll
    for (int o = 0; o < Patch::kRows; ++o, to += s.out_pitch) {
      keep_global(to);
      if (static_cast<unsigned>(at.h + o) >= static_cast<unsigned>(s.out_h)) continue;
      if (mode == Accum::add) {
        Packed<T, W> before[L];
        load_row<W>(before, to, C, out_columns);
#pragma unroll
        for (int l = 0; l < L; ++l)
#pragma unroll
          for (int k = 0; k < W; ++k) sum[o][l][k] += before[l][k];
      }
#pragma unroll
      for (int l = 0; l < L; ++l)
        if (out_columns >> l & 1) store_vec<W>(to + std::int64_t{l} * C, rounded<T, W>(sum[o][l]));
    }
  }
}

struct Sizes {
  int H, W, C, R, S, stride, pad, P, Q;
};

/// Joins sum[kTaps][W] over the rows of a block and stores them as weights (column, tap ...) of this block's part.
template <int W, int kTaps>
__device__ __forceinline__ void finish_taps(const Columns& c, const ColumnsThread& t, const float (&sum)[kTaps * W],
                                            float (&shared)[kTaps * W][kColumnsBlock], int tap, int taps, float* part) {
  if (!sum_rows<kTaps * W>(c, t, sum, shared)) return;
#pragma unroll
  for (int k = 0; k < W; ++k)
#pragma unroll
    for (int i = 0; i < kTaps; ++i)
      part[(static_cast<std::int64_t>(blockIdx.x) * c.C + t.column + k) * taps + tap + i] =
          shared[i * W + k][threadIdx.x];
}

/// Channels of a thread: more would not leave registers for the sums of all taps.
constexpr int kWeightLane = 4;

/// part[parts][C][K][K]; the rows of `c` are patches of output pixels.
template <class Patch>
constexpr int kWeightBlocks = Patch::Side::K == 3 ? 2 : 1;  // of a multiprocessor: the sums take so many registers

template <class T, int W, class Patch>
__global__ void __launch_bounds__(kColumnsBlock, kWeightBlocks<Patch>)
    weight_kernel(Columns c, Patches s, const T* x, const T* dy, float* part) {
  using Side = typename Patch::Side;
  constexpr int K = Side::K, L = Patch::kColumns, kAtOnce = K == 3 ? K * K : K;  // taps that fit into shared memory
  AKIN_SHARED(float, shared, [kAtOnce * W][kColumnsBlock]);
  const ColumnsThread t = columns_thread<W>(c, static_cast<int>(blockIdx.x));
  float sum[K * K * W] = {};
  const int end = static_cast<int>(t.end);
  int C = s.C;
  keep(C);
  for (int m = static_cast<int>(t.first); m < end; m += c.rows) {
    const PatchAt at = patch_at<Patch>(s, m);
    const unsigned out_columns = bits_inside<L>(at.w, s.out_w);
    const T* gradient = dy + std::int64_t{(at.n * s.out_h + at.h) * s.out_w + at.w} * C + t.column;
    Packed<T, W> g[Patch::kRows][L];
#pragma unroll
    for (int o = 0; o < Patch::kRows; ++o, gradient += s.out_pitch)
      load_row<W>(g[o], gradient, C, at.h + o < s.out_h ? out_columns : 0);
    const int in_h = Side::first_input(at.h, s.pad), in_w = Side::first_input(at.w, s.pad);
    const unsigned in_columns = bits_inside<Patch::kInColumns>(in_w, s.seen_w);
    const T* p = x + std::int64_t{(at.n * s.in_h + in_h) * s.in_w + in_w} * C + t.column;
#pragma unroll
    for (int y = 0; y < Patch::kInRows; ++y, p += s.in_pitch) {
      if (static_cast<unsigned>(in_h + y) >= static_cast<unsigned>(s.seen_h)) continue;
      Packed<T, W> v[Patch::kInColumns];
      keep_global(p);
      load_row<W>(v, p, C, in_columns);
#pragma unroll
      for (int o = 0; o < Patch::kRows; ++o)
#pragma unroll
        for (int r = 0; r < K; ++r) {
          if (Side::input(o, r) != y) continue;
#pragma unroll
          for (int k = 0; k < W; ++k)
#pragma unroll
            for (int l = 0; l < L; ++l)
#pragma unroll
              for (int u = 0; u < K; ++u) {
                float& to = sum[(r * K + u) * W + k];
                to = fmaf(g[o][l][k], v[Side::input(l, u)][k], to);
              }
        }
    }
  }
  if constexpr (kAtOnce == K * K) {
    finish_taps<W, kAtOnce>(c, t, sum, shared, 0, K * K, part);
  } else {
#pragma unroll
    for (int tap = 0; tap < K * K; tap += kAtOnce) {
      float some[kAtOnce * W];
#pragma unroll
      for (int i = 0; i < kAtOnce * W; ++i) some[i] = sum[tap * W + i];
      if (tap > 0) __syncthreads();  // the taps before are through
      finish_taps<W, kAtOnce>(c, t, some, shared, tap, K * K, part);
    }
  }
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
  finish_taps<1, 1>(c, t, sum, shared, r * s.S + u, s.R * s.S, part);
}

// ---- launches

constexpr int kPatchBlocks = 4, kAnyBlocks = 4;  // a multiprocessor
constexpr int kPatchDepth = 4, kAnyDepth = 8;    // rows of a part for a thread, at least

Sizes sizes_of(const DepthwiseShape& s) {
  return {as_int(s.H),      as_int(s.W),   as_int(s.C),   as_int(s.R),  as_int(s.S),
          as_int(s.stride), as_int(s.pad), as_int(s.P()), as_int(s.Q())};
}

/// run.operator()<window, stride>() and true where the patch kernels serve the shape.
template <class Run>
bool with_window(const DepthwiseShape& s, bool packs, Run&& run) {
  constexpr std::int64_t kMost = std::int64_t{1} << 30;  // patches are counted in int
  if (!packs || s.R != s.S || s.N * s.H * s.W >= kMost || s.N * s.P() * s.Q() >= kMost) return false;
  if (s.R == 3 && s.stride == 1) return run.template operator()<3, 1>(), true;
  if (s.R == 3 && s.stride == 2) return run.template operator()<3, 2>(), true;
  if (s.R == 5 && s.stride == 1) return run.template operator()<5, 1>(), true;
  if (s.R == 5 && s.stride == 2) return run.template operator()<5, 2>(), true;
  return false;
}

Images forward_images(const DepthwiseShape& s) { return {s.N, s.C, s.H, s.W, s.P(), s.Q(), s.pad}; }

template <int K, int kStride>
using ForwardPatch = Patch<ForwardSide<K, kStride>, 2, kStride == 1 && K == 3 ? 4 : 2>;
template <int K, int kStride>
using DataPatch = Patch<DataSide<K, kStride>, 2, 4>;
template <int K, int kStride>
using WeightPatch = Patch<ForwardSide<K, kStride>, K == 3 ? 2 : 1, K == 3 && kStride == 1 ? 4 : 2>;

template <class Patch, class T>
void run_patches(const char* name, const Stream<ThisGpu>& stream, const Images& s, bool reversed, const T* in,
                 const float* w, T* out, Accum mode) {
  constexpr int W = kPack<T>, K = Patch::Side::K;
  const Patches patches = patches_of<Patch>(s);
  const Columns c = share_columns(*stream.limits, patches.count, s.C, W, kPatchBlocks, 1);
  launch(name, patch_kernel<T, W, Patch>,
         {.grid = {c.parts, c.tiles},
          .block = kColumnsBlock,
          .shared = sizeof(float) * kLaneWeights<W, K> * static_cast<std::size_t>(c.lanes)},
         stream, c, patches, reversed, in, w, out, mode);
}

template <class T>
bool packed(const DepthwiseShape& s, const T* a, const T* b) {
  return s.C % kPack<T> == 0 && aligned16(a, b);
}

template <class Patch>
Columns weight_columns(const GpuLimits& limits, const DepthwiseShape& s) {
  return share_columns(limits, patches_of<Patch>(forward_images(s)).count, s.C, kWeightLane, kWeightBlocks<Patch>,
                       kPatchDepth);
}

Columns any_columns(const GpuLimits& limits, const DepthwiseShape& s) {
  return share_columns(limits, s.N * s.P() * s.Q(), s.C, 1, kAnyBlocks, kAnyDepth);
}

}  // namespace

template <class Gpu, class T>
void depthwise_fwd(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* x, const Full<T>* w, T* y) {
  const bool done = with_window(s, packed(s, x, y), [&]<int K, int kStride>() {
    run_patches<ForwardPatch<K, kStride>>("depthwise_fwd", stream, forward_images(s), false, x, w, y, Accum::overwrite);
  });
  if (done) return;
  const std::int64_t n = s.y_size();
  with_index(n > s.x_size() ? n : s.x_size(), [&]<class Index>() {
    launch("depthwise_fwd", any_forward<T, Index>, {.grid = blocks_for(stream, n, kPixelBlock), .block = kPixelBlock},
           stream, sizes_of(s), n, x, w, y);
  });
}

template <class Gpu, class T>
void depthwise_bwd_data(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* dy, const Full<T>* w, T* dx,
                        Accum mode) {
  const bool done = with_window(s, packed(s, dy, dx), [&]<int K, int kStride>() {
    constexpr const char* name = "depthwise_bwd_data";
    Images images{s.N, s.C, s.P(), s.Q(), s.H, s.W, s.pad};
    if constexpr (kStride == 1) {
      images.pad = K - 1 - s.pad;
      run_patches<ForwardPatch<K, 1>>(name, stream, images, true, dy, w, dx, mode);
    } else {
      run_patches<DataPatch<K, kStride>>(name, stream, images, false, dy, w, dx, mode);
    }
  });
  if (done) return;
  const std::int64_t n = s.x_size();
  with_index(n > s.y_size() ? n : s.y_size(), [&]<class Index>() {
    launch("depthwise_bwd_data", any_data<T, Index>, {.grid = blocks_for(stream, n, kPixelBlock), .block = kPixelBlock},
           stream, sizes_of(s), n, dy, w, dx, mode);
  });
}

template <class Gpu, class T>
void depthwise_bwd_weight(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* x, const T* dy, Full<T>* dw,
                          Accum mode, float* workspace) {
  if (s.w_size() == 0) return;
  constexpr const char* name = "depthwise_bwd_weight";
  Columns c{};
  const bool done = with_window(s, packed(s, x, dy), [&]<int K, int kStride>() {
    using Patch = WeightPatch<K, kStride>;
    c = weight_columns<Patch>(*stream.limits, s);
    launch(name, weight_kernel<T, kWeightLane, Patch>, columns_shape(c), stream, c,
           patches_of<Patch>(forward_images(s)), x, dy, workspace);
  });
  if (!done) {
    c = any_columns(*stream.limits, s);
    launch(name, any_weight<T>, {.grid = {c.parts, c.tiles, s.R * s.S}, .block = kColumnsBlock}, stream, c, sizes_of(s),
           x, dy, workspace);
  }
  launch("depthwise_finish", sum_parts_of_columns<float>, finish_shape(s.w_size()), stream, c.parts, s.w_size(),
         workspace, dw, mode);
}

template <class Gpu>
std::int64_t depthwise_workspace(const Stream<Gpu>& stream, const DepthwiseShape& s) {
  if (s.w_size() == 0) return 0;
  std::int64_t parts = any_columns(*stream.limits, s).parts;
  with_window(s, s.C % kWeightLane == 0, [&]<int K, int kStride>() {  // alignment decides which of the two runs
    parts = std::max<std::int64_t>(parts, weight_columns<WeightPatch<K, kStride>>(*stream.limits, s).parts);
  });
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
