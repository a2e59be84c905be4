// The CPU fast path: vector loops over a row, threads over rows.
#include <cmath>

#include "kernels/common/parallel.hpp"
#include "kernels/common/row_math.hpp"
#include "kernels/softmax_ce.hpp"

namespace akin::fast {
namespace {

/// log sum_c exp(x[c]); an infinite or NaN maximum as it is, so that it shows in the loss.
float logsumexp(std::int64_t C, const float* x) {
  const float top = row_max(C, x);
  if (!std::isfinite(top)) return top;
  return top + std::log(row_sum(C, [=](std::int64_t c) { return exp_float(x[c] - top); }));
}

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

}  // namespace akin::fast
