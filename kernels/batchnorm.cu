// Batch normalisation as three kernels a direction, all memory-bound: a pass that reduces each channel over the parts
// of a matrix [M, C] (columns.cuh: 256 threads, a lane holds 16 bytes of neighbouring channels, 4 rows under way), a
// small one that joins the parts in double and updates the running statistics, and a pass that applies the result, in
// the opposite order of blocks, so that it begins with what the first pass left in L2. Statistics: a thread sums x - k
// and (x - k)^2, k its first value, so that a mean far from 0 costs no digits, and turns them into (count, mean, sum of
// squared deviations), which are joined pairwise in shared memory. Backward: the ReLU's mask comes from y, or where
// there was no residual from x again, bit for bit as the forward pass computed it (one tensor less to read in each
// pass); with a residual the first pass writes du = dresidual, which the second one reads.
#include "kernels/batchnorm.hpp"

#include <algorithm>

#include "kernels/common/gpu/moments.cuh"

namespace akin {

namespace {

// Of a multiprocessor. The first passes walk over parts of equal length, as many as are resident: one more would run
// alone when the others are done. Their launch bounds see to the registers, of which the backward pass of bf16 takes
// more.
constexpr int kReduceBlocks = 4, kGatedReduceBlocks = 3, kApplyBlocks = 12;
constexpr int kDepth = 4;  // rows a thread, at least

/// part[2][parts][C]: mean and sum of squared deviations of each part.
template <class T, int W>
__global__ void __launch_bounds__(kColumnsBlock, kReduceBlocks) statistics(Columns s, const T* x, float* part) {
  using Moments = ColumnMoments<W>;
  AKIN_SHARED(typename Moments::Shared, shared, [1]);
  const ColumnsThread t = columns_thread<W>(s, static_cast<int>(blockIdx.x));
  const T* px = x + t.column;
  Vec<T, W> first{};
  if (t.first < t.end) first = load_vec<W>(px + t.first * s.C);
  Moments moments;
#pragma unroll
  for (int k = 0; k < W; ++k) moments.shift[k] = to_float(first, k);
  for_rows<4>(
      t.first + s.rows, t.end, s.rows, [&](std::int64_t m) { return load_vec<W>(px + m * s.C); },
      [&](std::int64_t, const Vec<T, W>& v) {
#pragma unroll
        for (int k = 0; k < W; ++k) moments.add(k, to_float(v, k));
      });
  moments.count = static_cast<float>(t.end > t.first ? (t.end - t.first - 1) / s.rows + 1 : 0);
  moments.write(s, t.row, t.column, shared[0], part, nullptr);
}

/// Joins the parts; writes mean and invstd, updates the running statistics.
__global__ void __launch_bounds__(kFinishColumns* kFinishRows)
    finish_statistics(Parts s, double eps, double momentum, float* mean, float* invstd, float* running_mean,
                      float* running_var) {
  AKIN_SHARED(double, shared, [kFinishRows][kFinishColumns]);
  const int c = static_cast<int>(blockIdx.x) * kFinishColumns + static_cast<int>(threadIdx.x) % kFinishColumns;
  const Joined all = join_parts(s, 0, s.parts, c, shared);
  if (static_cast<int>(threadIdx.x) >= kFinishColumns || c >= s.C) return;
  const double M = static_cast<double>(s.M), var = all.square / M;
  mean[c] = static_cast<float>(all.mean);
  invstd[c] = static_cast<float>(1 / sqrt(var + eps));
  running_mean[c] = static_cast<float>((1 - momentum) * running_mean[c] + momentum * all.mean);
  running_var[c] =
      static_cast<float>((1 - momentum) * running_var[c] + momentum * (s.M > 1 ? all.square / (M - 1) : var));
}

/// Both passes must round alike: the backward asks where this was.
__device__ __forceinline__ float normalised(float x, float mean, float scale, float beta) {
  return fmaf(x - mean, scale, beta);
}

template <class T, int W>
struct XR {
  Vec<T, W> x, residual;
};

/// y = f(gamma (x - mean) invstd + beta + residual?). In eval the statistics come from the running ones, and the
/// first part writes them for the backward.
template <class T, int W, Activation kAct, bool Residual>
__global__ void __launch_bounds__(kColumnsBlock)
    apply_forward(Columns s, BatchNormForward<T> b, bool training, float eps) {
  const int part = static_cast<int>(gridDim.x - 1 - blockIdx.x);
  const ColumnsThread t = columns_thread<W>(s, part);
  if (!t.active) return;
  float mean[W], scale[W], beta[W];
#pragma unroll
  for (int k = 0; k < W; ++k) {
    const int c = t.column + k;
    mean[k] = training ? b.mean[c] : b.running_mean[c];
    const float invstd = training ? b.invstd[c] : 1.0f / sqrtf(b.running_var[c] + eps);
    scale[k] = b.gamma[c] * invstd;
    beta[k] = b.beta[c];
    if (!training && part == 0 && t.row == 0) b.mean[c] = mean[k], b.invstd[c] = invstd;
  }
  for_rows<4>(
      t.first, t.end, s.rows,
      [&](std::int64_t m) {
        XR<T, W> in;
        const std::int64_t at = m * s.C + t.column;
        in.x = load_vec<W>(b.x + at);
        if constexpr (Residual) in.residual = load_vec<W>(b.residual + at);
        return in;
      },
      [&](std::int64_t m, const XR<T, W>& in) {
        Vec<T, W> y;
#pragma unroll
        for (int k = 0; k < W; ++k) {
          float u = normalised(to_float(in.x, k), mean[k], scale[k], beta[k]);
          if constexpr (Residual) u += to_float(in.residual, k);
          y.v[k] = from_float<T>(activate(kAct, u));
        }
        store_vec<W>(b.y + m * s.C + t.column, y);
      });
}

/// Where the backward knows the activation's gradient from.
enum class Mask { none, x, y };

template <int W, Mask kMask>
constexpr int kGradientBlocks = W > 4 && kMask != Mask::none ? kGatedReduceBlocks : kReduceBlocks;

template <class T, int W>
struct XDY {
  Vec<T, W> x, dy, y;
};

template <Mask kMask, int W, class T>
__device__ __forceinline__ XDY<T, W> load_gradient(const T* x, const T* dy, const T* y, std::int64_t at) {
  XDY<T, W> in;
  in.x = load_vec<W>(x + at);
  in.dy = load_vec<W>(dy + at);
  if constexpr (kMask == Mask::y) in.y = load_vec<W>(y + at);
  return in;
}

/// du of element k.
template <Mask kMask, Activation kAct, int W, class T>
__device__ __forceinline__ float masked(const XDY<T, W>& in, int k, float mean, float scale, float beta) {
  const float dy = to_float(in.dy, k);
  if constexpr (kMask == Mask::x)
    return activation_gradient(kAct, normalised(to_float(in.x, k), mean, scale, beta), dy);
  if constexpr (kMask == Mask::y) return activation_gradient(kAct, to_float(in.y, k), dy);
  return dy;
}

/// part[2][parts][C]: sums of du and of du (x - mean). Writes du to dresidual when that is wanted.
template <class T, int W, Mask kMask, Activation kAct>
__global__ void __launch_bounds__(kColumnsBlock, kGradientBlocks<W, kMask>)
    reduce_gradient(Columns s, BatchNormBackward<T> b, float* part) {
  AKIN_SHARED(float, shared_sum, [W][kColumnsBlock]);
  AKIN_SHARED(float, shared_dot, [W][kColumnsBlock]);
  const ColumnsThread t = columns_thread<W>(s, static_cast<int>(blockIdx.x));
  float mean[W], scale[W], beta[W], sum[W], dot[W];
#pragma unroll
  for (int k = 0; k < W; ++k) {
    sum[k] = dot[k] = mean[k] = scale[k] = beta[k] = 0;
    if (!t.active) continue;
    mean[k] = b.mean[t.column + k];
    if constexpr (kMask == Mask::x) {
      scale[k] = b.gamma[t.column + k] * b.invstd[t.column + k];
      beta[k] = b.beta[t.column + k];
    }
  }
  for_rows<2>(
      t.first, t.end, s.rows,
      [&](std::int64_t m) { return load_gradient<kMask, W>(b.x, b.dy, b.y, m * s.C + t.column); },
      [&](std::int64_t m, const XDY<T, W>& in) {
        Vec<T, W> du;
#pragma unroll
        for (int k = 0; k < W; ++k) {
          const float d = masked<kMask, kAct>(in, k, mean[k], scale[k], beta[k]);
          sum[k] += d;
          // Beside y by halves: with words sm_80 has a register too few.
          const float x = kMask == Mask::y ? to_float(in.x.v[k]) : to_float(in.x, k);
          dot[k] = fmaf(d, x - mean[k], dot[k]);
          du.v[k] = from_float<T>(d);
        }
        if (b.dresidual != nullptr) store_vec<W>(b.dresidual + m * s.C + t.column, du);
      });
  const int me = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < W; ++k) shared_sum[k][me] = sum[k], shared_dot[k][me] = dot[k];
  join_rows(s, t.row, [&](int from) {
#pragma unroll
    for (int k = 0; k < W; ++k) {
      shared_sum[k][me] += shared_sum[k][from];
      shared_dot[k][me] += shared_dot[k][from];
    }
  });
  if (t.row != 0 || t.column >= s.C) return;
  float* out = part + static_cast<std::int64_t>(blockIdx.x) * s.C + t.column;
#pragma unroll
  for (int k = 0; k < W; ++k) {
    out[k] = shared_sum[k][me];
    out[static_cast<std::int64_t>(s.parts) * s.C + k] = shared_dot[k][me];
  }
}

/// factors[2][C] = dbeta / M and invstd dgamma / M, what the second pass needs; dgamma and dbeta where wanted. Dots of
/// parts without `invstd` have its square in them.
__global__ void __launch_bounds__(kFinishColumns* kFinishRows)
    finish_gradient(Columns s, const float* part, const float* invstd, float* factors, float* dgamma, Accum dgamma_mode,
                    float* dbeta, Accum dbeta_mode) {
  AKIN_SHARED(double, shared, [kFinishRows][kFinishColumns]);
  const int r = static_cast<int>(threadIdx.x) / kFinishColumns;
  const int c = static_cast<int>(blockIdx.x) * kFinishColumns + static_cast<int>(threadIdx.x) % kFinishColumns;
  const float *sums = part + c, *dots = part + static_cast<std::int64_t>(s.parts) * s.C + c;
  double sum = 0, dot = 0;
  if (c < s.C)
#pragma unroll 4
    for (int p = r; p < s.parts; p += kFinishRows) {
      sum += sums[static_cast<std::int64_t>(p) * s.C];
      dot += dots[static_cast<std::int64_t>(p) * s.C];
    }
  sum = sum_finish_rows(sum, shared);
  dot = sum_finish_rows(dot, shared);
  if (r != 0 || c >= s.C) return;
  const double M = static_cast<double>(s.M), scale = invstd == nullptr ? 1.0f : invstd[c];
  if (dgamma != nullptr) put(dgamma[c], static_cast<float>(dot * scale), dgamma_mode);
  if (dbeta != nullptr) put(dbeta[c], static_cast<float>(sum), dbeta_mode);
  factors[c] = static_cast<float>(sum / M);
  factors[s.C + c] = static_cast<float>(dot * scale * scale / M);
}

/// dx = gamma invstd (du - dbeta / M - (x - mean) invstd dgamma / M); in eval gamma invstd du.
template <class T, int W, Mask kMask, Activation kAct>
__global__ void __launch_bounds__(kColumnsBlock)
    apply_backward(Columns s, BatchNormBackward<T> b, bool training, const float* factors) {
  const ColumnsThread t = columns_thread<W>(s, static_cast<int>(gridDim.x - 1 - blockIdx.x));
  if (!t.active) return;
  float mean[W], scale[W], beta[W], per_x[W], constant[W];
#pragma unroll
  for (int k = 0; k < W; ++k) {
    const int c = t.column + k;
    mean[k] = b.mean[c];
    scale[k] = b.gamma[c] * b.invstd[c];
    beta[k] = kMask == Mask::x ? b.beta[c] : 0.0f;
    constant[k] = training ? -scale[k] * factors[c] : 0.0f;
    per_x[k] = training ? -scale[k] * factors[s.C + c] : 0.0f;
  }
  for_rows<2>(
      t.first, t.end, s.rows,
      [&](std::int64_t m) { return load_gradient<kMask, W>(b.x, b.dy, b.y, m * s.C + t.column); },
      [&](std::int64_t m, const XDY<T, W>& in) {
        T* dx = b.dx + m * s.C + t.column;
        Vec<T, W> out;
        if (b.dx_mode == Accum::add) out = load_vec<W>(dx);
#pragma unroll
        for (int k = 0; k < W; ++k) {
          const float du = masked<kMask, kAct>(in, k, mean[k], scale[k], beta[k]);
          const float rest = fmaf(per_x[k], to_float(in.x, k) - mean[k], constant[k]);
          put(out.v[k], fmaf(scale[k], du, rest), b.dx_mode);
        }
        store_vec<W>(dx, out);
      });
}

/// body.operator()<act>() for the activations that go with it.
template <class Body>
void with_gate(Activation act, Body&& body) {
  if (act == Activation::relu) return body.template operator()<Activation::relu>();
  if (act == Activation::relu6) return body.template operator()<Activation::relu6>();
  body.template operator()<Activation::none>();
}

template <class T, int W>
Parts statistics_of(const Stream<ThisGpu>& stream, const BatchNormShape& s, const T* x, float* scratch) {
  const Columns c = share_columns(*stream.limits, s.M, s.C, W, kReduceBlocks, kDepth);
  launch("batchnorm_statistics", statistics<T, W>, columns_shape(c), stream, c, x, scratch);
  return parts_of(c, scratch);
}

template <class T, int W>
void forward(const Stream<ThisGpu>& stream, const BatchNormShape& s, const BatchNormForward<T>& t, float* scratch) {
  if (s.training) {
    const Parts parts = t.moments.parts == 0 ? statistics_of<T, W>(stream, s, t.x, scratch)
                                             : few_parts(stream, parts_of(s.population(), s.C, t.moments), scratch);
    launch("batchnorm_finish", finish_statistics, finish_shape(s.C), stream, parts, s.eps, s.momentum, t.mean, t.invstd,
           t.running_mean, t.running_var);
  }
  const Columns c = share_columns(*stream.limits, s.M, s.C, W, kApplyBlocks, kDepth);
  const auto run = [&](auto kernel) {
    launch("batchnorm_fwd", kernel, columns_shape(c), stream, c, t, s.training, static_cast<float>(s.eps));
  };
  with_gate(s.act, [&]<Activation kAct>() {
    if (t.residual != nullptr)
      run(apply_forward<T, W, kAct, true>);
    else
      run(apply_forward<T, W, kAct, false>);
  });
}

/// All of it, or where `own` is given the half before it.
template <class T, int W, Mask kMask, Activation kAct>
void backward_by(const Stream<ThisGpu>& stream, const BatchNormShape& s, BatchNormBackward<T> t, float* own,
                 float* scratch) {
  Columns c = share_columns(*stream.limits, s.M, s.C, W, kGradientBlocks<W, kMask>, kDepth);
  const float* part = t.sums;
  if (t.ranks > 0) {
    c.parts = static_cast<int>(t.ranks);
    c.M = s.population();
    part = t.of_ranks;
    t.dgamma = t.dbeta = nullptr;
  } else if (t.parts > 0) {
    c.parts = static_cast<int>(t.parts);
  } else {
    part = scratch + 2 * s.C;
    launch("batchnorm_bwd_reduce", reduce_gradient<T, W, kMask, kAct>, columns_shape(c), stream, c, t,
           scratch + 2 * s.C);
  }
  if (own != nullptr) c.M = 1;
  launch("batchnorm_bwd_finish", finish_gradient, finish_shape(c.C), stream, c, part, t.ranks > 0 ? nullptr : t.invstd,
         own == nullptr ? scratch : own, t.dgamma, t.dgamma_mode, t.dbeta, t.dbeta_mode);
  if (t.dx == nullptr || own != nullptr) return;
  const Columns a = share_columns(*stream.limits, s.M, s.C, W, kApplyBlocks, kDepth);
  const auto apply = [&](auto kernel) {
    launch("batchnorm_bwd", kernel, columns_shape(a), stream, a, t, s.training, scratch);
  };
  if (t.dresidual == nullptr) return apply(apply_backward<T, W, kMask, kAct>);
  t.dy = t.dresidual;  // du is there
  apply(apply_backward<T, W, Mask::none, Activation::none>);
}

template <class T, int W>
void backward(const Stream<ThisGpu>& stream, const BatchNormShape& s, const BatchNormBackward<T>& t, float* own,
              float* scratch) {
  if (t.parts > 0) return backward_by<T, W, Mask::none, Activation::none>(stream, s, t, own, scratch);
  with_gate(s.act, [&]<Activation kAct>() {
    if constexpr (kAct == Activation::none)
      backward_by<T, W, Mask::none, kAct>(stream, s, t, own, scratch);
    else if (t.beta != nullptr && t.dresidual == nullptr)
      backward_by<T, W, Mask::x, kAct>(stream, s, t, own, scratch);
    else
      backward_by<T, W, Mask::y, kAct>(stream, s, t, own, scratch);
  });
}

template <class T>
void backward_aligned(const Stream<ThisGpu>& stream, const BatchNormShape& s, const BatchNormBackward<T>& t, float* own,
                      float* scratch) {
  if (s.C == 0) return;
  if (s.C % kPack<T> == 0 && aligned16(t.x, t.y, t.dy, t.dx, t.dresidual))
    backward<T, kPack<T>>(stream, s, t, own, scratch);
  else
    backward<T, 1>(stream, s, t, own, scratch);
}

}  // namespace

template <class Gpu>
std::int64_t batchnorm_scratch(const Stream<Gpu>& stream, const BatchNormShape& s) {
  std::int64_t parts = 1;
  for (const int W : {1, kPack<float>, kPack<bf16>})  // which of them is right depends on the alignment
    if (s.C % W == 0)
      for (const int blocks : {kReduceBlocks, kGatedReduceBlocks})  // more blocks may be fewer parts: chunks are whole
        parts = std::max<std::int64_t>(parts, share_columns(*stream.limits, s.M, s.C, W, blocks, kDepth).parts);
  return std::max(2 * s.C * (parts + 1), PartMoments::floats(kJoinedParts, s.C));
}

template <class Gpu, class T>
void batchnorm_fwd(const Stream<Gpu>& stream, const BatchNormShape& s, const BatchNormForward<T>& t, float* scratch) {
  if (s.C == 0) return;
  if (s.C % kPack<T> == 0 && aligned16(t.x, t.residual, t.y))
    forward<T, kPack<T>>(stream, s, t, scratch);
  else
    forward<T, 1>(stream, s, t, scratch);
}

template <class Gpu, class T>
void batchnorm_moments(const Stream<Gpu>& stream, const BatchNormShape& s, const BatchNormForward<T>& t, float* own,
                       float* scratch) {
  if (s.C == 0) return;
  const bool packed = s.C % kPack<T> == 0 && aligned16(t.x);
  const Parts parts = t.moments.parts > 0 ? parts_of(s.M, s.C, t.moments)
                      : packed            ? statistics_of<T, kPack<T>>(stream, s, t.x, scratch)
                                          : statistics_of<T, 1>(stream, s, t.x, scratch);
  join_to(stream, parts, {own, 1});
}

template <class Gpu, class T>
void batchnorm_bwd(const Stream<Gpu>& stream, const BatchNormShape& s, const BatchNormBackward<T>& t, float* scratch) {
  backward_aligned(stream, s, t, nullptr, scratch);
}

template <class Gpu, class T>
void batchnorm_sums(const Stream<Gpu>& stream, const BatchNormShape& s, const BatchNormBackward<T>& t, float* own,
                    float* scratch) {
  backward_aligned(stream, s, t, own, scratch);
}

using S = Stream<ThisGpu>;
template std::int64_t batchnorm_scratch<ThisGpu>(const S&, const BatchNormShape&);
#define AKIN_INSTANTIATE(T)                                                                                        \
  template void batchnorm_moments<ThisGpu, T>(const S&, const BatchNormShape&, const BatchNormForward<T>&, float*, \
                                              float*);                                                             \
  template void batchnorm_sums<ThisGpu, T>(const S&, const BatchNormShape&, const BatchNormBackward<T>&, float*,   \
                                           float*);                                                                \
  template void batchnorm_fwd<ThisGpu, T>(const S&, const BatchNormShape&, const BatchNormForward<T>&, float*);    \
  template void batchnorm_bwd<ThisGpu, T>(const S&, const BatchNormShape&, const BatchNormBackward<T>&, float*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
