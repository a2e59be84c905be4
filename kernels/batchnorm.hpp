// batchnorm: per channel, over M = N H W positions, with an optional residual add and ReLU or ReLU6 in the same pass.
//   training:  mean[c] = 1/M sum_m x[m,c];  var[c] = 1/M sum_m (x[m,c] - mean[c])^2;  invstd = 1/sqrt(var + eps)
//              running = (1 - momentum) running + momentum * (mean, var M/(M-1))
//   eval:      mean, var = running
//   u[m,c] = gamma (x - mean) invstd + beta (+ residual);  y = f(u), f none, relu or relu6 (kernels/activation.hpp)
//   backward:  du = f' dy, from y;  dresidual = du
//              dbeta = sum_m du;  dgamma = sum_m du xhat,  xhat = (x - mean) invstd
//              training: dx = gamma invstd (du - dbeta / M - xhat dgamma / M);  eval: dx = gamma invstd du
// Shapes: x, y, residual [M, C]; the rest [C]. FLOPs: about 8 M C forward, 12 M C backward. Bytes: forward reads x
// twice (statistics, then apply) and the residual, writes y; backward reads x and dy twice, writes dx; see below.
#pragma once

#include <cstdint>

#include "kernels/activation.hpp"
#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/moments.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

struct BatchNormShape {
  std::int64_t M, C;
  bool training;
  Activation act;  ///< none, relu or relu6: those whose gradient the output tells
  double eps;
  double momentum;
  std::int64_t all = 0;  ///< rows of all ranks, where the statistics are over those; 0: M, there are no others
  constexpr std::int64_t population() const { return all > 0 ? all : M; }
};

/// Elements moved: forward x twice (once in eval), y and the residual; backward x and dy twice and dx; where an
/// activation follows a residual, x, dy and y in a first pass that writes the residual's gradient, x, that and dx in a
/// second.
constexpr Work batchnorm_fwd_work(const BatchNormShape& s, bool residual, std::size_t size) {
  return elementwise_work(s.M * s.C, 8, (s.training ? 3 : 2) + (residual ? 1 : 0), size);
}
constexpr Work batchnorm_bwd_work(const BatchNormShape& s, bool residual, std::size_t size) {
  return elementwise_work(s.M * s.C, 12, residual && s.act != Activation::none ? 7 : 5, size);
}

template <class T>
struct BatchNormForward {
  const T* x = nullptr;
  const Full<T>*gamma = nullptr, *beta = nullptr;
  const T* residual = nullptr;                             ///< may be nullptr
  Full<T>*running_mean = nullptr, *running_var = nullptr;  ///< updated when training, read otherwise
  Full<T>*mean = nullptr, *invstd = nullptr;               ///< [C], written: what the backward needs
  Full<T>* scale = nullptr;  ///< [C], written by a CPU unless nullptr: gamma / std, rounded
  PartMoments moments{};     ///< of x by parts, from who wrote it, or of each rank's; x is not read for them then
  T* y = nullptr;
};

/// Each gradient may be nullptr: not wanted. A mode says whether to add to it.
template <class T>
struct BatchNormBackward {
  const T *x = nullptr, *y = nullptr, *dy = nullptr;  ///< y is read only with an activation
  const Full<T>*gamma = nullptr, *mean = nullptr, *invstd = nullptr;
  /// Given, with an activation and no residual: y is worked out of x again, unread; on a CPU where `scale` is given
  /// too.
  const Full<T>* beta = nullptr;
  const Full<T>* scale = nullptr;  ///< of the forward: y of it is y to the bit
  /// Of who wrote dy, which is du then; a device: the first pass is left out, and y, beta and dresidual are not looked
  /// at.
  const float* sums = nullptr;
  std::int64_t parts = 0;
  /// What batchnorm_sums() made of each rank's rows, sums [ranks][C] and dots [ranks][C]: they stand in for the first
  /// pass, which wrote dgamma, dbeta and dresidual; of those the last is read, where it was wanted.
  const float* of_ranks = nullptr;
  std::int64_t ranks = 0;  ///< 0: this call is all of the backward
  T* dx = nullptr;
  Accum dx_mode = Accum::overwrite;
  T* dresidual = nullptr;  ///< always overwritten, may be dy
  Full<T>* dgamma = nullptr;
  Accum dgamma_mode = Accum::overwrite;
  Full<T>* dbeta = nullptr;
  Accum dbeta_mode = Accum::overwrite;
};

/// CPU: the fast path (kernels/batchnorm_omp.cpp) takes one-pass statistics around the mean of a few rows. A device:
/// statistics in one pass over x, each thread's sums shifted by its first value and joined pairwise (Chan, Golub,
/// LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979), parts of the matrix
/// joined in double; the order depends on the shape, the alignment and the device alone. Three launches forward (one in
/// eval; two with moments of up to 640 parts, else three), three backward. Bytes: with a residual the first pass of the
/// backward writes dresidual and the second reads it in place of y and dy. `scratch`: batchnorm_scratch() floats; their
/// values need not be kept in between.
template <class Dev, class T>
void batchnorm_fwd(const Stream<Dev>& stream, const BatchNormShape& s, const BatchNormForward<T>& t, float* scratch);
template <class Dev, class T>
void batchnorm_bwd(const Stream<Dev>& stream, const BatchNormShape& s, const BatchNormBackward<T>& t, float* scratch);
/// The first half of each where the rows of other ranks count too. Statistics of this rank's: one part, to be put
/// beside the others' as t.moments of batchnorm_fwd(). `own`: PartMoments::floats(1, C).
template <class Dev, class T>
void batchnorm_moments(const Stream<Dev>& stream, const BatchNormShape& s, const BatchNormForward<T>& t, float* own,
                       float* scratch);
/// Writes dresidual and this rank's share of dgamma and dbeta, and to own [2][C] sum_m du and
/// invstd^2 sum_m du (x - mean), to be put beside the others' as t.of_ranks of batchnorm_bwd().
template <class Dev, class T>
void batchnorm_sums(const Stream<Dev>& stream, const BatchNormShape& s, const BatchNormBackward<T>& t, float* own,
                    float* scratch);
template <class Dev>
std::int64_t batchnorm_scratch(const Stream<Dev>& stream, const BatchNormShape& s);

}  // namespace akin
