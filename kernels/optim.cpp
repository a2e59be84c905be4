#include "kernels/optim.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/common/error.hpp"
#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/reduce.hpp"

namespace akin {

double clip_scale(double norm, double max_norm) {
  const double factor = max_norm / (norm + 1e-6);  // torch.nn.utils.clip_grad_norm_ guards a zero norm the same way
  return factor > 1 ? 1 : factor;
}

OptimParams optim_params(const SgdStep& step) {
  return {.lr = step.lr, .rate = static_cast<float>(step.lr), .grad_scale = static_cast<float>(step.grad_scale)};
}

OptimParams optim_params(const AdamWStep& step) {
  AKIN_CHECK(step.t >= 1, "adamw_step: step {} (the first one is 1)", step.t);
  const auto t = static_cast<double>(step.t);
  return {.lr = step.lr,
          .rate = static_cast<float>(step.lr / (1 - std::pow(step.beta1, t))),
          .root = static_cast<float>(1 / std::sqrt(1 - std::pow(step.beta2, t))),
          .grad_scale = static_cast<float>(step.grad_scale)};
}

namespace {

constexpr std::int64_t kGrain = 1 << 14;

void check_ranges(std::int64_t n, std::span<const OptimRange> ranges, const char* op) {
  std::int64_t before = 0;
  for (const OptimRange& r : ranges) {
    AKIN_CHECK(before <= r.begin && r.begin <= r.end && r.end <= n,
               "{}: range {}..{} does not follow {} inside an arena of {} elements", op, r.begin, r.end, before, n);
    before = r.end;
  }
}

/// body(begin, end, decay, rate) over [0, n): pieces of one decay and rate each, cut among the threads.
template <class Body>
void for_pieces(std::int64_t n, std::span<const OptimRange> ranges, Body&& body) {
  parallel_for(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t at = begin;
    for (const OptimRange& r : ranges) {
      const std::int64_t from = std::clamp(r.begin, at, end), to = std::clamp(r.end, at, end);
      if (at < from) body(at, from, 0.0, 1.0);
      if (from < to) body(from, to, r.decay, r.rate);
      at = std::max(at, to);
    }
    if (at < end) body(at, end, 0.0, 1.0);
  });
}

}  // namespace

template <class T>
void sgd_step(std::int64_t n, const SgdStep& step, std::span<const OptimRange> ranges, T* p, const T* g, T* m) {
  check_ranges(n, ranges, "sgd_step");
  AKIN_CHECK(!step.nesterov || step.momentum > 0, "sgd_step: Nesterov needs a momentum above 0, found {}",
             step.momentum);
  AKIN_CHECK(step.momentum == 0 || m != nullptr || n == 0, "sgd_step: momentum {} without a momentum arena",
             step.momentum);
  const T mu = static_cast<T>(step.momentum), scale = static_cast<T>(step.grad_scale);
  for_pieces(n, ranges, [=](std::int64_t begin, std::int64_t end, double decay, double rate) {
    const T wd = static_cast<T>(decay), lr = static_cast<T>(step.lr * rate);
    if (step.momentum == 0)
      for (std::int64_t i = begin; i < end; ++i) p[i] -= lr * (scale * g[i] + wd * p[i]);
    else if (step.nesterov)
      for (std::int64_t i = begin; i < end; ++i) {
        const T d = scale * g[i] + wd * p[i];
        m[i] = mu * m[i] + d;
        p[i] -= lr * (d + mu * m[i]);
      }
    else
      for (std::int64_t i = begin; i < end; ++i) {
        m[i] = mu * m[i] + (scale * g[i] + wd * p[i]);
        p[i] -= lr * m[i];
      }
  });
}

template <class T>
void adamw_step(std::int64_t n, const AdamWStep& step, std::span<const OptimRange> ranges, T* p, const T* g, T* m,
                T* v) {
  check_ranges(n, ranges, "adamw_step");
  AKIN_CHECK(step.t >= 1, "adamw_step: step {} (the first one is 1)", step.t);
  const double correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.t));
  const double correction2 = 1 - std::pow(step.beta2, static_cast<double>(step.t));
  const T b1 = static_cast<T>(step.beta1), c1 = static_cast<T>(1 - step.beta1);
  const T b2 = static_cast<T>(step.beta2), c2 = static_cast<T>(1 - step.beta2);
  const T root = static_cast<T>(1 / std::sqrt(correction2));
  const T eps = static_cast<T>(step.eps), scale = static_cast<T>(step.grad_scale);
  for_pieces(n, ranges, [=](std::int64_t begin, std::int64_t end, double decay, double rate) {
    const double lr = step.lr * rate;
    const T keep = static_cast<T>(1 - lr * decay), length = static_cast<T>(lr / correction1);
    for (std::int64_t i = begin; i < end; ++i) {
      const T d = scale * g[i];
      m[i] = b1 * m[i] + c1 * d;
      v[i] = b2 * v[i] + c2 * d * d;
      p[i] = keep * p[i] - length * m[i] / (std::sqrt(v[i]) * root + eps);
    }
  });
}

template <class T>
double grad_norm(std::int64_t n, const T* g) {
  double sum = 0;
  sum_squares(kSpec, n, 1.0, g, nullptr, &sum);
  return std::sqrt(sum);
}

#define AKIN_INSTANTIATE(T)                                                                                       \
  template void sgd_step<T>(std::int64_t, const SgdStep&, std::span<const OptimRange>, T*, const T*, T*);         \
  template void adamw_step<T>(std::int64_t, const AdamWStep&, std::span<const OptimRange>, T*, const T*, T*, T*); \
  template double grad_norm<T>(std::int64_t, const T*);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace akin
