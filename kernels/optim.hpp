// optim: one step of an optimiser over flat arenas of n elements: parameters p, gradients g, moments m (and v).
//   lr = the step's times the element's rate;  d  = grad_scale g + decay p
//   sgd    m = momentum m + d;  p -= lr (nesterov ? d + momentum m : m)
//          As torch.optim.SGD with dampening 0: its first step sets m = d, which is this formula for m = 0 at the
//          start. momentum = 0: p -= lr d, and m may be nullptr.
//   adamw  p -= lr decay p;  m = beta1 m + (1 - beta1) g';  v = beta2 v + (1 - beta2) g'^2  with g' = grad_scale g;
//          p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps),  t = 1 at the first step
//          Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019; as torch.optim.AdamW.
// `decay` and `rate` are piecewise constant: ranges in ascending order without overlap. What no range covers does not
// decay, so that batch-norm parameters and biases can be left out, and has rate 1.
// FLOPs: 6 n and 14 n. Bytes: sgd reads p, g, m and writes p, m once each; adamw v too. Every element is independent of
// the others, so the result does not depend on the thread count.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/common/bf16.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

/// Elements begin..end-1 of the arena decay by `decay`, and learn `rate` times as fast as the step says.
struct OptimRange {
  std::int64_t begin, end;
  double decay, rate = 1;
};

struct SgdStep {
  double lr;
  double momentum = 0.9;
  bool nesterov = false;
  double grad_scale = 1;  ///< clip_scale(), or 1 / loss scale
};

struct AdamWStep {
  double lr;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  std::int64_t t;  ///< 1 at the first step
  double grad_scale = 1;
};

/// `moment`: whether sgd keeps one.
constexpr Work sgd_work(std::int64_t n, bool moment) { return elementwise_work(n, 6, moment ? 5 : 3, sizeof(float)); }
constexpr Work adamw_work(std::int64_t n) { return elementwise_work(n, 14, 7, sizeof(float)); }

/// On the host: a step's numbers are arguments. Throws Error on ranges outside the arena or out of order, and on
/// Nesterov without momentum.
template <class T>
void sgd_step(std::int64_t n, const SgdStep& step, std::span<const OptimRange> ranges, T* p, const T* g, T* m);
template <class T>
void adamw_step(std::int64_t n, const AdamWStep& step, std::span<const OptimRange> ranges, T* p, const T* g, T* m,
                T* v);

/// ||g||_2, accumulated in double.
template <class T>
double grad_norm(std::int64_t n, const T* g);

/// Factor that brings a gradient of norm `norm` down to at most `max_norm`; 1 for a shorter one, NaN for a NaN norm.
double clip_scale(double norm, double max_norm);

/// What changes from step to step. It lies in device memory, so that a captured step can be repeated with new values.
struct OptimParams {
  double lr = 0;   ///< for the decay of adamw
  float rate = 0;  ///< sgd: lr; adamw: lr / (1 - beta1^t)
  float root = 1;  ///< adamw: 1 / sqrt(1 - beta2^t)
  float grad_scale = 1;
};
OptimParams optim_params(const SgdStep& step);
/// Throws Error for t < 1.
OptimParams optim_params(const AdamWStep& step);

/// Clipping without the host: the factor clip_scale(sqrt(*square_sum), max_norm) is worked out on the device.
struct GradClip {
  const double* square_sum = nullptr;  ///< on the device, of all gradients (see reduce.hpp); nullptr: no clipping
  double max_norm = 0;
};

/// *to = values, in the order of the stream; nobody waits.
template <class Gpu>
void set_params(const Stream<Gpu>& stream, const OptimParams& values, OptimParams* to);

/// The same steps on a device, in float; all pointers are on the device, `ranges` [R] as there. One launch.
/// `shadow` [n] gets the new parameters in bf16; it may be nullptr.
template <class Gpu>
void sgd_step(const Stream<Gpu>& stream, std::int64_t n, const OptimParams* params, double momentum, bool nesterov,
              const GradClip& clip, const OptimRange* ranges, std::int64_t R, float* p, const float* g, float* m,
              bf16* shadow);
template <class Gpu>
void adamw_step(const Stream<Gpu>& stream, std::int64_t n, const OptimParams* params, double beta1, double beta2,
                double eps, const GradClip& clip, const OptimRange* ranges, std::int64_t R, float* p, const float* g,
                float* m, float* v, bf16* shadow);

}  // namespace akin
