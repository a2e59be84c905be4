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
#include "kernels/common/bf16.hpp"
#include "kernels/common/gpu/stream.hpp"

namespace akin {

struct BatchNormShape {
  std::int64_t M, C;
  bool training;
  bool relu;
  double eps;
  double momentum;
};

/// P: type of the parameters and statistics; float on a device, whatever T is.
template <class T, class P = T>
struct BatchNormForward {
  const T* x;
  const P *gamma, *beta;
  const T* residual;              ///< may be nullptr
  P *running_mean, *running_var;  ///< updated when training, read otherwise
  P *mean, *invstd;               ///< [C], written: what the backward needs
  T* y;
};

template <class T, class P = T>
struct BatchNormBackward {
  const T *x, *y, *dy;  ///< y is read only with ReLU
  const P *gamma, *mean, *invstd;
  T* dx;              ///< nullptr: not wanted; the mode says whether to add
  T* dresidual;       ///< nullptr: not wanted; always overwritten, may be dy
  P *dgamma, *dbeta;  ///< overwritten
  Accum dx_mode;
  // The rest is for a device alone.
  const P* beta = nullptr;  ///< given, with ReLU and no residual: y is not read but computed again from x
  Accum dgamma_mode = Accum::overwrite, dbeta_mode = Accum::overwrite;  ///< dgamma, dbeta may be nullptr
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

/// T: float or bf16. Statistics in one pass over x, each thread's sums shifted by its first value and joined pairwise
/// (Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979), parts of
/// the matrix joined in double; the order depends on the shape, the alignment and the device alone. Three launches
/// forward (one in eval), three backward. Bytes: with a residual the first pass of the backward writes dresidual and
/// the second reads it in place of y and dy.
namespace gpu {

/// Floats of scratch that either function asks for; their values need not be kept in between.
template <class Gpu>
std::int64_t batchnorm_scratch(const Stream<Gpu>& stream, const BatchNormShape& s);
template <class Gpu, class T>
void batchnorm_fwd(const Stream<Gpu>& stream, const BatchNormShape& s, const BatchNormForward<T, float>& t,
                   float* scratch);
template <class Gpu, class T>
void batchnorm_bwd(const Stream<Gpu>& stream, const BatchNormShape& s, const BatchNormBackward<T, float>& t,
                   float* scratch);

}  // namespace gpu
}  // namespace akin
