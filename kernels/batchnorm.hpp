// batchnorm: per channel, over M = N H W positions, with an optional residual add and ReLU in the same pass.
//   training:  mean[c] = 1/M sum_m x[m,c];  var[c] = 1/M sum_m (x[m,c] - mean[c])^2;  invstd = 1/sqrt(var + eps)
//              running = (1 - momentum) running + momentum * (mean, var M/(M-1))
//   eval:      mean, var = running
//   u[m,c] = gamma (x - mean) invstd + beta (+ residual);  y = relu ? max(u, 0) : u
//   backward:  du = relu ? (y > 0 ? dy : 0) : dy;  dresidual = du
//              dbeta = sum_m du;  dgamma = sum_m du xhat,  xhat = (x - mean) invstd
//              training: dx = gamma invstd (du - dbeta / M - xhat dgamma / M);  eval: dx = gamma invstd du
// Shapes: x, y, residual [M, C]; the rest [C]. FLOPs: about 8 M C forward, 12 M C backward. Bytes: forward reads x
// twice (statistics, then apply) and the residual, writes y; backward reads x, dy, y twice, writes dx (and dresidual).
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"

namespace akin {

struct BatchNormShape {
  std::int64_t M, C;
  bool training;
  bool relu;
  double eps;
  double momentum;
};

template <class T>
struct BatchNormForward {
  const T *x, *gamma, *beta, *residual;  ///< residual may be nullptr
  T *running_mean, *running_var;         ///< updated when training, read otherwise
  T *mean, *invstd;                      ///< [C], written: what the backward needs
  T* y;
};

template <class T>
struct BatchNormBackward {
  const T *x, *y, *dy, *gamma, *mean, *invstd;  ///< y is read only with ReLU
  T* dx;                                        ///< nullptr: not wanted; the mode says whether to add
  T* dresidual;                                 ///< nullptr: not wanted; always overwritten, may be dy
  T *dgamma, *dbeta;                            ///< overwritten
  Accum dx_mode;
};

namespace spec {

template <class T>
void batchnorm_fwd(const BatchNormShape& s, const BatchNormForward<T>& t);
template <class T>
void batchnorm_bwd(const BatchNormShape& s, const BatchNormBackward<T>& t);

}  // namespace spec

namespace fast {

/// The same in float on vectors and threads; one-pass statistics around the mean of a few rows.
void batchnorm_fwd(const BatchNormShape& s, const BatchNormForward<float>& t);
void batchnorm_bwd(const BatchNormShape& s, const BatchNormBackward<float>& t);

}  // namespace fast
}  // namespace akin
