// depthwise's weight gradient: a walk over patches (depthwise.cu) with the sums of all taps in registers, 4 channels a
// thread, joined over the block in shared memory, then over the blocks by a second kernel in double, in a fixed order.
#include "kernels/common/gpu/depthwise.cuh"
#include "kernels/common/gpu/pixels.cuh"

namespace akin {

namespace {

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
    for_input_rows<W, Patch>(s, at, x, C, t.column, [&](int y, const Packed<T, W>(&v)[Patch::kInColumns]) {
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
    });
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

constexpr int kAnyBlocks = 4;                  // a multiprocessor
constexpr int kPatchDepth = 4, kAnyDepth = 8;  // rows of a part for a thread, at least

template <int K, int kStride>
using WeightPatch = Patch<ForwardSide<K, kStride>, K == 3 ? 2 : 1, K == 3 && kStride == 1 ? 4 : 2>;

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
  template void depthwise_bwd_weight<ThisGpu, T>(const S&, const DepthwiseShape&, const T*, const T*, float*, Accum, \
                                                 float*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
