#include "kernels/softmax_ce.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/common/error.hpp"
#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace fast {

// kernels/softmax_ce_omp.cpp
void softmax_ce_fwd(std::int64_t B, std::int64_t C, std::int64_t grain, const float* x, const std::int64_t* t,
                    const float* weight, float* y);
void softmax_ce_bwd(std::int64_t B, std::int64_t C, std::int64_t grain, const float* x, const std::int64_t* t,
                    const float* weight, const float* dy, float* dx, Accum mode);
void pseudo_label(std::int64_t B, std::int64_t C, std::int64_t grain, double threshold, const float* x, std::int64_t* t,
                  float* mask, std::int32_t* counted);
void softmax(std::int64_t B, std::int64_t C, std::int64_t grain, float temperature, const float* x, float* p);

}  // namespace fast

namespace {

constexpr std::int64_t kGrainElements = 1 << 12;

std::int64_t row_grain(std::int64_t C) {
  return std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(C, 1));
}

/// log sum_c exp(x[c] / temperature)
template <class T>
T logsumexp(std::int64_t C, const T* x, T temperature = 1) {
  const T top = *std::max_element(x, x + C);
  if (!std::isfinite(top)) return top;  // an infinite or NaN logit must show in the loss
  T sum = 0;
  for (std::int64_t c = 0; c < C; ++c) sum += std::exp((x[c] - top) / temperature);
  return top / temperature + std::log(sum);
}

}  // namespace

template <class Dev, class T>
void softmax_ce_fwd(const Stream<Dev>& stream, std::int64_t B, std::int64_t C, const T* x, const std::int64_t* t,
                    const Full<T>* weight, T* y) {
  for (std::int64_t b = 0; b < B; ++b)
    AKIN_CHECK(t[b] >= 0 && t[b] < C, "softmax_ce: target {} in row {} is outside 0..{} (labels of another data set?)",
               t[b], b, C - 1);
  if constexpr (std::is_same_v<T, float>)
    if (stream.fast) return fast::softmax_ce_fwd(B, C, row_grain(C), x, t, weight, y);
  parallel_for(B, row_grain(C), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b)
      y[b] = (weight ? weight[b] : T(1)) * (logsumexp(C, x + b * C) - x[b * C + t[b]]);
  });
}

template <class Dev, class T>
void softmax_ce_bwd(const Stream<Dev>& stream, std::int64_t B, std::int64_t C, const T* x, const std::int64_t* t,
                    const Full<T>* weight, const T* dy, T* dx, Accum mode) {
  if constexpr (std::is_same_v<T, float>)
    if (stream.fast) return fast::softmax_ce_bwd(B, C, row_grain(C), x, t, weight, dy, dx, mode);
  parallel_for(B, row_grain(C), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const T* row = x + b * C;
      const T lse = logsumexp(C, row), scale = dy[b] * (weight ? weight[b] : T(1));
      for (std::int64_t c = 0; c < C; ++c)
        store(dx[b * C + c], scale * (std::exp(row[c] - lse) - (c == t[b] ? T(1) : T(0))), mode);
    }
  });
}

template <class T>
void softmax(std::int64_t B, std::int64_t C, T temperature, const T* x, T* p) {
  if constexpr (std::is_same_v<T, float>) return fast::softmax(B, C, row_grain(C), temperature, x, p);
  parallel_for(B, row_grain(C), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const T lse = logsumexp(C, x + b * C, temperature);
      for (std::int64_t c = 0; c < C; ++c) p[b * C + c] = std::exp(x[b * C + c] / temperature - lse);
    }
  });
}

template <class Dev, class T>
void pseudo_label(const Stream<Dev>& stream, std::int64_t B, std::int64_t C, double threshold, const T* x,
                  std::int64_t* t, T* mask, std::int32_t* counted) {
  if constexpr (std::is_same_v<T, float>)
    if (stream.fast) return fast::pseudo_label(B, C, row_grain(C), threshold, x, t, mask, counted);
  for (std::int64_t b = 0; b < B; ++b) {
    const T* row = x + b * C;
    const T* best = std::max_element(row, row + C);
    const T p = std::exp(*best - logsumexp(C, row));
    const bool real = !std::isnan(p), confident = real && static_cast<double>(p) >= threshold;
    t[b] = real ? best - row : 0;
    mask[b] = confident ? T(1) : T(0);
    counted[0] += confident;
    counted[1] += !real;
  }
}

#define AKIN_INSTANTIATE(T)                                                                                       \
  template void softmax_ce_fwd(const Stream<Cpu>&, std::int64_t, std::int64_t, const T*, const std::int64_t*,     \
                               const T*, T*);                                                                     \
  template void softmax_ce_bwd(const Stream<Cpu>&, std::int64_t, std::int64_t, const T*, const std::int64_t*,     \
                               const T*, const T*, T*, Accum);                                                    \
  template void pseudo_label(const Stream<Cpu>&, std::int64_t, std::int64_t, double, const T*, std::int64_t*, T*, \
                             std::int32_t*);                                                                      \
  template void softmax(std::int64_t, std::int64_t, T, const T*, T*);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace akin
