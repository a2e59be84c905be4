// A row is held by a warp in registers (C <= 1024: 32 floats a lane, in 16-byte packs where rows allow, so up to 32
// loads under way), read once and written once; longer rows by a block that passes over them again in cache (rows.cuh).
// Nothing but shuffles joins the lanes of a warp; rows are dealt out with a grid stride, few of
// them to blocks of few warps.
#include "kernels/softmax_ce.hpp"

#include "kernels/common/gpu/rows.cuh"

namespace akin {

namespace {

constexpr std::int64_t kMaxLabels = 1 << 24;  // exact as float

__device__ __forceinline__ float not_a_number() { return __int_as_float(0x7fffffff); }

template <class Row>
__global__ void __launch_bounds__(kRowBlock)
    forward(std::int64_t B, int C, const float* x, const std::int64_t* t, const float* weight, float* y) {
  for_each_row<Row>(B, [&](std::int64_t b) {
    const float* px = x + b * C;
    Row row(px, C);
    const SoftmaxOfRow s = softmax_of(row, kLog2e);
    if (Row::leads()) {
      const std::int64_t target = t[b];
      const bool inside = target >= 0 && target < C;
      const float loss = inside ? s.top - px[target] + logf(s.sum) : not_a_number();
      y[b] = (weight != nullptr ? weight[b] : 1.0f) * loss;
    }
    Row::done();
  });
}

template <class Row>
__global__ void __launch_bounds__(kRowBlock) backward(std::int64_t B, int C, const float* x, const std::int64_t* t,
                                                      const float* weight, const float* dy, float* dx, Accum mode) {
  for_each_row<Row>(B, [&](std::int64_t b) {
    Row row(x + b * C, C);
    const SoftmaxOfRow s = softmax_of(row, kLog2e);
    const std::int64_t target = t[b];
    float scale = dy[b] * (weight != nullptr ? weight[b] : 1.0f);
    if (target < 0 || target >= C) scale = not_a_number();
    const float inverse = 1.0f / s.sum;
    row.each([&](int c, const auto& v) {
      auto* out = dx + b * C + c;
      Vec<float, Row::kWidth> g;
      if (mode == Accum::add) g = load_vec<Row::kWidth>(out);
#pragma unroll
      for (int k = 0; k < Row::kWidth; ++k) {
        const float p = shifted_exp(v.v[k], s.top, kLog2e) * inverse;
        put(g.v[k], scale * (p - (c + k == target ? 1.0f : 0.0f)), mode);
      }
      store_vec<Row::kWidth>(out, g);
    });
    Row::done();
  });
}

/// The confidence is that of the maximum: 1 / sum exp(x - max).
template <class Row>
__global__ void __launch_bounds__(kRowBlock)
    label(std::int64_t B, int C, double threshold, const float* x, std::int64_t* t, float* mask, int* counted) {
  for_each_row<Row>(B, [&](std::int64_t b) {
    Row row(x + b * C, C);
    const SoftmaxOfRow s = softmax_of(row, kLog2e);
    float best = static_cast<float>(-kMaxLabels);  // minus the first index, so that the maximum finds it
    row.each([&](int c, const auto& v) {
#pragma unroll
      for (int k = 0; k < Row::kWidth; ++k)
        if (v.v[k] == s.top) best = fmaxf(best, -static_cast<float>(c + k));
    });
    best = Row::max(best);
    if (Row::leads()) {
      const bool real = s.sum >= 1;  // false for NaN
      const bool confident = real && static_cast<double>(1.0f / s.sum) >= threshold;
      t[b] = real ? static_cast<std::int64_t>(-best) : 0;
      mask[b] = confident ? 1.0f : 0.0f;
      if (confident) atomicAdd(counted, 1);  // integers: any order gives the same sum
      if (!real) atomicAdd(counted + 1, 1);
    }
    Row::done();
  });
}

/// run(kernel of the right row, rows a block holds).
template <class Choose>
void with_row(std::int64_t C, bool packs, Choose&& run) {
  if (C > kWarpRow)
    run.template operator()<BlockRow>();
  else if (packs && C % 4 == 0)
    run.template operator()<WarpRow<4>>();
  else
    run.template operator()<WarpRow<1>>();
}

}  // namespace

template <class Gpu, class T>
void softmax_ce_fwd(const Stream<Gpu>& stream, std::int64_t B, std::int64_t C, const T* x, const std::int64_t* t,
                    const Full<T>* weight, T* y) {
  with_row(C, aligned16(x), [&]<class Row>() {
    launch("softmax_ce_fwd", forward<Row>, rows_shape<Row>(stream, B), stream, B, C, x, t, weight, y);
  });
}

template <class Gpu, class T>
void softmax_ce_bwd(const Stream<Gpu>& stream, std::int64_t B, std::int64_t C, const T* x, const std::int64_t* t,
                    const Full<T>* weight, const T* dy, T* dx, Accum mode) {
  with_row(C, aligned16(x, dx), [&]<class Row>() {
    launch("softmax_ce_bwd", backward<Row>, rows_shape<Row>(stream, B), stream, B, C, x, t, weight, dy, dx, mode);
  });
}

template <class Gpu, class T>
void pseudo_label(const Stream<Gpu>& stream, std::int64_t B, std::int64_t C, double threshold, const T* x,
                  std::int64_t* t, T* mask, std::int32_t* counted) {
  AKIN_CHECK(C <= kMaxLabels, "pseudo_label: {} classes, at most {} are offered", C, kMaxLabels);
  with_row(C, aligned16(x), [&]<class Row>() {
    launch("pseudo_label", label<Row>, rows_shape<Row>(stream, B), stream, B, C, threshold, x, t, mask, counted);
  });
}

using S = Stream<ThisGpu>;
template void softmax_ce_fwd<ThisGpu, float>(const S&, std::int64_t, std::int64_t, const float*, const std::int64_t*,
                                             const float*, float*);
template void softmax_ce_bwd<ThisGpu, float>(const S&, std::int64_t, std::int64_t, const float*, const std::int64_t*,
                                             const float*, const float*, float*, Accum);
template void pseudo_label<ThisGpu, float>(const S&, std::int64_t, std::int64_t, double, const float*, std::int64_t*,
                                           float*, std::int32_t*);

}  // namespace akin
