// A lane holds 16 bytes of neighbouring channels and its part of the bias and walks down the rows (columns.cuh). The
// backward writes dx and sums du of each channel in the same pass: per thread in registers, over the rows of a block in
// shared memory, over the blocks by a second kernel in double, in a fixed order.
#include "kernels/channel_bias.hpp"

#include <algorithm>

#include "kernels/common/gpu/columns.cuh"

namespace akin {

namespace {

template <class T, int W>
__global__ void __launch_bounds__(kColumnsBlock)
    bias_forward(Columns s, Activation kind, const T* x, const float* bias, T* y) {
  const ColumnsThread t = columns_thread<W>(s, static_cast<int>(blockIdx.x));
  if (!t.active) return;
  float b[W];
#pragma unroll
  for (int k = 0; k < W; ++k) b[k] = bias[t.column + k];
  for_rows<4>(
      t.first, t.end, s.rows, [&](std::int64_t m) { return load_vec<W>(x + m * s.C + t.column); },
      [&](std::int64_t m, const Vec<T, W>& v) {
        Vec<T, W> out;
#pragma unroll
        for (int k = 0; k < W; ++k) out.v[k] = from_float<T>(activate(kind, to_float(v, k) + b[k]));
        store_vec<W>(y + m * s.C + t.column, out);
      });
}

template <class T, int W>
struct Gradient {
  Vec<T, W> dy, kept;
};

/// part[parts][C]: sums of du; nullptr where dbias is not wanted.
template <class T, int W>
__global__ void __launch_bounds__(kColumnsBlock)
    bias_backward(Columns s, Activation kind, ChannelBiasBackward<T> b, float* part) {
  AKIN_SHARED(float, shared, [W][kColumnsBlock]);
  const ColumnsThread t = columns_thread<W>(s, static_cast<int>(blockIdx.x));
  float bias[W], sum[W];
#pragma unroll
  for (int k = 0; k < W; ++k) {
    bias[k] = b.bias != nullptr && t.active ? b.bias[t.column + k] : 0.0f;  // an output is kept as it is
    sum[k] = 0;
  }
  for_rows<2>(
      t.first, t.end, s.rows,
      [&](std::int64_t m) {
        Gradient<T, W> in;
        in.dy = load_vec<W>(b.dy + m * s.C + t.column);
        in.kept = b.kept != nullptr ? load_vec<W>(b.kept + m * s.C + t.column) : in.dy;
        return in;
      },
      [&](std::int64_t m, const Gradient<T, W>& in) {
        float du[W];
#pragma unroll
        for (int k = 0; k < W; ++k) {
          du[k] = activation_gradient(kind, to_float(in.kept, k) + bias[k], to_float(in.dy, k));
          sum[k] += du[k];
        }
        if (b.dx == nullptr) return;
        T* dx = b.dx + m * s.C + t.column;
        Vec<T, W> out;
        if (b.dx_mode == Accum::add) out = load_vec<W>(dx);
#pragma unroll
        for (int k = 0; k < W; ++k) put(out.v[k], du[k], b.dx_mode);
        store_vec<W>(dx, out);
      });
  if (part == nullptr) return;
  if (!sum_rows<W>(s, t, sum, shared)) return;
#pragma unroll
  for (int k = 0; k < W; ++k) part[static_cast<std::int64_t>(blockIdx.x) * s.C + t.column + k] = shared[k][threadIdx.x];
}

constexpr int kForwardBlocks = 12, kBackwardBlocks = 6;  // a multiprocessor
constexpr int kDepth = 4;                                // rows a thread, at least

template <class T, int W>
void forward(const Stream<ThisGpu>& stream, const ChannelBiasShape& s, const T* x, const float* bias, T* y) {
  const Columns c = share_columns(*stream.limits, s.M, s.C, W, kForwardBlocks, kDepth);
  launch("channel_bias_fwd", bias_forward<T, W>, columns_shape(c), stream, c, s.kind, x, bias, y);
}

template <class T, int W>
void backward(const Stream<ThisGpu>& stream, const ChannelBiasShape& s, const ChannelBiasBackward<T>& t,
              float* scratch) {
  const Columns c = share_columns(*stream.limits, s.M, s.C, W, kBackwardBlocks, kDepth);
  float* part = t.dbias == nullptr ? nullptr : scratch;
  launch("channel_bias_bwd", bias_backward<T, W>, columns_shape(c), stream, c, s.kind, t, part);
  if (part != nullptr)
    launch("channel_bias_finish", sum_parts_of_columns<float>, finish_shape(s.C), stream, c.parts, s.C, part, t.dbias,
           t.dbias_mode);
}

}  // namespace

template <class Gpu, class T>
void channel_bias_fwd(const Stream<Gpu>& stream, const ChannelBiasShape& s, const T* x, const Full<T>* bias, T* y) {
  if (s.C == 0) return;
  if (s.C % kPack<T> == 0 && aligned16(x, y))
    forward<T, kPack<T>>(stream, s, x, bias, y);
  else
    forward<T, 1>(stream, s, x, bias, y);
}

template <class Gpu, class T>
void channel_bias_bwd(const Stream<Gpu>& stream, const ChannelBiasShape& s, const ChannelBiasBackward<T>& t,
                      float* scratch) {
  if (s.C == 0) return;
  if (s.C % kPack<T> == 0 && aligned16(t.kept, t.dy, t.dx))
    backward<T, kPack<T>>(stream, s, t, scratch);
  else
    backward<T, 1>(stream, s, t, scratch);
}

template <class Gpu>
std::int64_t channel_bias_scratch(const Stream<Gpu>& stream, const ChannelBiasShape& s) {
  std::int64_t parts = 1;
  for (const int W : {1, kPack<float>, kPack<bf16>})  // which of them is right depends on the alignment
    if (s.C > 0 && s.C % W == 0)
      parts = std::max<std::int64_t>(parts, share_columns(*stream.limits, s.M, s.C, W, kBackwardBlocks, kDepth).parts);
  return parts * s.C;
}

using S = Stream<ThisGpu>;
template std::int64_t channel_bias_scratch<ThisGpu>(const S&, const ChannelBiasShape&);
#define AKIN_INSTANTIATE(T)                                                                                  \
  template void channel_bias_fwd<ThisGpu, T>(const S&, const ChannelBiasShape&, const T*, const float*, T*); \
  template void channel_bias_bwd<ThisGpu, T>(const S&, const ChannelBiasShape&, const ChannelBiasBackward<T>&, float*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
