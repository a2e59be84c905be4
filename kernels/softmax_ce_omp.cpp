// The CPU fast path: vector loops over a row, threads over rows.
#include <algorithm>
#include <cmath>

#include "kernels/common/parallel.hpp"
#include "kernels/common/row_math.hpp"
#include "kernels/softmax_ce.hpp"

namespace akin::fast {
namespace {

/// log sum_c exp(scale x[c]), scale > 0, of a row whose maximum is `top`; an infinite or NaN maximum as it is, so that
/// it shows in the loss.
float logsumexp(std::int64_t C, const float* x, float top, float scale = 1) {
  if (!std::isfinite(top)) return top;
  return scale * top + std::log(row_sum(C, [=](std::int64_t c) { return exp_float(scale * (x[c] - top)); }));
}
float logsumexp(std::int64_t C, const float* x) { return logsumexp(C, x, row_max(C, x)); }

}  // namespace

void softmax_ce_fwd(std::int64_t B, std::int64_t C, std::int64_t grain, const float* x, const std::int64_t* t,
                    const float* weight, float* y) {
  parallel_for(B, grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b)
      y[b] = (weight ? weight[b] : 1.0f) * (logsumexp(C, x + b * C) - x[b * C + t[b]]);
  });
}

void softmax_ce_bwd(std::int64_t B, std::int64_t C, std::int64_t grain, const float* x, const std::int64_t* t,
                    const float* weight, const float* dy, float* dx, Accum mode) {
  parallel_for(B, grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const float* row = x + b * C;
      float* out = dx + b * C;
      const float lse = logsumexp(C, row), scale = dy[b] * (weight ? weight[b] : 1.0f), before = out[t[b]];
      if (mode == Accum::add) {
        for (std::int64_t c = 0; c < C; ++c) out[c] += scale * exp_float(row[c] - lse);
      } else {
        for (std::int64_t c = 0; c < C; ++c) out[c] = scale * exp_float(row[c] - lse);
      }
      store(out[t[b]] = before, scale * (exp_float(row[t[b]] - lse) - 1.0f), mode);
    }
  });
}

void pseudo_label(std::int64_t B, std::int64_t C, std::int64_t grain, double threshold, const float* x, std::int64_t* t,
                  float* mask, std::int32_t* counted) {
  constexpr std::int64_t kBroken = -1;
  parallel_for(B, grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const float *row = x + b * C, top = row_max(C, row), p = std::exp(top - logsumexp(C, row, top));
      t[b] = std::isnan(p) ? kBroken : std::find(row, row + C, top) - row;
      mask[b] = static_cast<double>(p) >= threshold ? 1.0f : 0.0f;
    }
  });
  for (std::int64_t b = 0; b < B; ++b) {
    counted[0] += mask[b] > 0;
    if (t[b] != kBroken) continue;
    ++counted[1];
    t[b] = 0;
  }
}

void softmax(std::int64_t B, std::int64_t C, std::int64_t grain, float temperature, const float* x, float* p) {
  const float scale = 1 / temperature;
  parallel_for(B, grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const float *row = x + b * C, top = row_max(C, row), lse = logsumexp(C, row, top, scale);
      for (std::int64_t c = 0; c < C; ++c) p[b * C + c] = exp_float(row[c] * scale - lse);
    }
  });
}

}  // namespace akin::fast
