// optim: one step of an optimiser over flat arenas of n elements: parameters p, gradients g, moments m (and v).
//   d  = grad_scale g + decay p
//   sgd    m = momentum m + d;  p -= lr (nesterov ? d + momentum m : m)
//          As torch.optim.SGD with dampening 0: its first step sets m = d, which is this formula for m = 0 at the
//          start. momentum = 0: p -= lr d, and m may be nullptr.
//   adamw  p -= lr decay p;  m = beta1 m + (1 - beta1) g';  v = beta2 v + (1 - beta2) g'^2  with g' = grad_scale g;
//          p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps),  t = 1 at the first step
//          Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019; as torch.optim.AdamW.
// `decay` is piecewise constant: ranges in ascending order without overlap; what no range covers does not decay, so
// that batch-norm parameters and biases can be left out.
// FLOPs: 6 n and 14 n. Bytes: sgd reads p, g, m and writes p, m once each; adamw v too. Every element is independent of
// the others, so the result does not depend on the thread count.
#pragma once

#include <cstdint>
#include <span>

namespace akin {

/// Elements begin..end-1 of the arena decay by `decay`.
struct DecayRange {
  std::int64_t begin, end;
  double decay;
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

namespace spec {

/// Throws Error on ranges outside the arena or out of order, and on Nesterov without momentum.
template <class T>
void sgd_step(std::int64_t n, const SgdStep& step, std::span<const DecayRange> decay, T* p, const T* g, T* m);
template <class T>
void adamw_step(std::int64_t n, const AdamWStep& step, std::span<const DecayRange> decay, T* p, const T* g, T* m, T* v);

/// ||g||_2, accumulated in double.
template <class T>
double grad_norm(std::int64_t n, const T* g);

}  // namespace spec

/// Factor that brings a gradient of norm `norm` down to at most `max_norm`; 1 for a shorter one, NaN for a NaN norm.
double clip_scale(double norm, double max_norm);

}  // namespace akin
