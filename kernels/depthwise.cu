// Memory-bound, if few instructions are spent on an output.
//
// A thread makes a patch of pixels for 16 bytes of channels, so that rows and columns of inputs serve several outputs:
// it loads the patch's inputs row by row, zeros outside, and adds them to sums in registers; the weights of the block's
// channels lie in shared memory. Forward pass and data gradient are one kernel: with stride 1 the latter has its taps
// reversed, with stride 2 another table of which tap meets which input. Blocks walk over the patches with a grid
// stride, a block for up to 32 lanes of channels.
//
// The weight gradient: depthwise_weight.cu.
//
// Windows 3x3 and 5x5 with stride 1 and 2 in whole packs of channels take these kernels; others gather single elements.
#include "kernels/common/gpu/depthwise.cuh"
#include "kernels/common/gpu/moments.cuh"
#include "kernels/common/gpu/pixels.cuh"

namespace akin {

namespace {

// ---- patches

/// The weights of a lane lie together, lanes 16 bytes more apart where that keeps 8 of them in different banks.
template <int W, int K>
constexpr int kLaneWeights = K* K* W + (W % 8 == 0 ? 4 : 0);

/// kMoments: leaves the statistics of what it stores as parts [2][c.parts][c.C], and rows [c.parts].
template <class T, int W, class Patch, bool kMoments>
__global__ void __launch_bounds__(kColumnsBlock, 2)
    patch_kernel(Columns c, Patches s, bool reversed, const T* in, const float* w, T* out, Accum mode, float* part) {
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
  const bool active = row < c.rows && channel < c.C;
  if (!kMoments && !active) return;
  // Sums of a thread's outputs; registers are full.
  AKIN_SHARED(float, held, [kMoments ? 3 * W + 1 : 1][kMoments ? kColumnsBlock : 1]);  // shift, sum, square, count
  if constexpr (kMoments) held[3 * W][threadIdx.x] = 0;
  const float* weight_of = taps + lane * kLaneWeights<W, K>;
  const int step = static_cast<int>(gridDim.x) * c.rows, count = active ? static_cast<int>(s.count) : 0;
  int C = s.C;
  keep(C);
  for (int i = static_cast<int>(blockIdx.x) * c.rows + row; i < count; i += step) {
    const PatchAt at = patch_at<Patch>(s, i);
    float sum[Patch::kRows][L][W] = {};
    for_input_rows<W, Patch>(s, at, in, C, channel, [&](int y, const Packed<T, W>(&v)[Patch::kInColumns]) {
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
    });
    [[maybe_unused]] unsigned made = 0;  // a bit for each output of the patch
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
        if (out_columns >> l & 1) {
          const Vec<T, W> value = rounded<T, W>(sum[o][l]);
          store_vec<W>(to + std::int64_t{l} * C, value);
          if constexpr (kMoments) {
            made |= 1u << (o * L + l);
#pragma unroll
            for (int k = 0; k < W; ++k) sum[o][l][k] = to_float(value, k);
          }
        }
    }
    if constexpr (kMoments) {
      float& outputs = held[3 * W][threadIdx.x];
      const bool first = outputs == 0;  // the first output of a patch is one
#pragma unroll
      for (int k = 0; k < W; ++k) {
        float(&mine)[kColumnsBlock] = held[k], (&sums)[kColumnsBlock] = held[W + k],
        (&squares)[kColumnsBlock] = held[2 * W + k];
        const float shift = first ? sum[0][0][k] : mine[threadIdx.x];
        float all = first ? 0.0f : sums[threadIdx.x], square = first ? 0.0f : squares[threadIdx.x];
#pragma unroll
        for (int o = 0; o < Patch::kRows; ++o)
#pragma unroll
          for (int l = 0; l < L; ++l) {
            const float d = made >> (o * L + l) & 1 ? sum[o][l][k] - shift : 0.0f;
            all += d;
            square = fmaf(d, d, square);
          }
        if (first) mine[threadIdx.x] = shift;
        sums[threadIdx.x] = all, squares[threadIdx.x] = square;
      }
      outputs += static_cast<float>(__popc(made));
    }
  }
  if constexpr (kMoments) {
    AKIN_SHARED(typename ColumnMoments<W>::Shared, shared, [1]);
    const float outputs = held[3 * W][threadIdx.x];
    ColumnMoments<W> moments;
    moments.count = outputs;
#pragma unroll
    for (int k = 0; k < W; ++k) {
      const int me = static_cast<int>(threadIdx.x);
      moments.shift[k] = outputs > 0 ? held[k][me] : 0.0f;
      if (outputs > 0) moments.sum[k] = held[W + k][me], moments.square[k] = held[2 * W + k][me];
    }
    moments.write(c, active ? row : c.rows, channel, shared[0], part, part + std::int64_t{2} * c.parts * c.C);
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

// ---- launches

constexpr int kPatchBlocks = 4;  // a multiprocessor

template <int K, int kStride>
using ForwardPatch = Patch<ForwardSide<K, kStride>, 2, kStride == 1 && K == 3 ? 4 : 2>;
template <int K, int kStride>
using DataPatch = Patch<DataSide<K, kStride>, 2, 4>;
template <class Patch, class T>
void run_patches(const char* name, const Stream<ThisGpu>& stream, const Images& s, bool reversed, const T* in,
                 const float* w, T* out, Accum mode, PartMoments* moments = nullptr) {
  constexpr int W = kPack<T>, K = Patch::Side::K;
  const Patches patches = patches_of<Patch>(s);
  const Columns c = share_columns(*stream.limits, patches.count, s.C, W, kPatchBlocks, 1);
  const auto run = [&](auto kernel) {
    launch(name, kernel,
           {.grid = {c.parts, c.tiles},
            .block = kColumnsBlock,
            .shared = sizeof(float) * kLaneWeights<W, K> * static_cast<std::size_t>(c.lanes)},
           stream, c, patches, reversed, in, w, out, mode, moments == nullptr ? nullptr : moments->data);
  };
  if constexpr (std::is_same_v<typename Patch::Side, ForwardSide<K, 1>> ||
                std::is_same_v<typename Patch::Side, ForwardSide<K, 2>>)
    if (moments != nullptr) {
      moments->parts = c.parts;
      return run(patch_kernel<T, W, Patch, true>);
    }
  run(patch_kernel<T, W, Patch, false>);
}

}  // namespace

template <class Gpu, class T>
void depthwise_fwd(const Stream<Gpu>& stream, const DepthwiseShape& s, const T* x, const Full<T>* w, T* y,
                   PartMoments* moments) {
  const bool done = with_window(s, packed(s, x, y), [&]<int K, int kStride>() {
    run_patches<ForwardPatch<K, kStride>>("depthwise_fwd", stream, forward_images(s), false, x, w, y, Accum::overwrite,
                                          moments);
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

template <class Gpu>
std::int64_t depthwise_moments(const Stream<Gpu>& stream, const DepthwiseShape& s) {
  return PartMoments::floats(std::int64_t{stream.limits->multiprocessors} * kPatchBlocks, s.C);
}

using S = Stream<ThisGpu>;
template std::int64_t depthwise_moments<ThisGpu>(const S&, const DepthwiseShape&);
#define AKIN_INSTANTIATE(T)                                                                                           \
  template void depthwise_fwd<ThisGpu, T>(const S&, const DepthwiseShape&, const T*, const float*, T*, PartMoments*); \
  template void depthwise_bwd_data<ThisGpu, T>(const S&, const DepthwiseShape&, const T*, const float*, T*, Accum);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
