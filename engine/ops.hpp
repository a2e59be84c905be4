// Every differentiable op. Each is defined in engine/ops/<stem>.cpp: checks, choice of the kernel, backward rule.
// Activations are [N, H, W, C]; convolution weights are [K, R, S, C] (OHWI in memory, OIHW in files).
#pragma once

#include <vector>

#include "engine/autograd.hpp"

namespace akin::ops {

// elementwise
Tensor add(Context& ctx, const Tensor& a, const Tensor& b);
Tensor mul(Context& ctx, const Tensor& a, const Tensor& b);
Tensor scale(Context& ctx, const Tensor& x, double factor);
Tensor relu(Context& ctx, const Tensor& x);
/// The same values in f32 or bf16, rounded to nearest.
Tensor convert(Context& ctx, const Tensor& x, DType to);
/// The same elements in another shape; shares memory.
Tensor reshape(Context& ctx, const Tensor& x, Shape shape);
/// Rows begin..end-1 of dimension 0; shares memory.
Tensor rows(Context& ctx, const Tensor& x, std::int64_t begin, std::int64_t end);

/// The columns of matrices [B, C_i] side by side: [B, sum of C_i]. Not differentiable: teachers' logits.
Tensor concat_columns(Context& ctx, const std::vector<Tensor>& parts);

// reduce
/// Sum, mean over all elements: a scalar [1].
Tensor sum(Context& ctx, const Tensor& x);
Tensor mean(Context& ctx, const Tensor& x);

// gemm
/// y[B,K] = x[B,D] w[K,D]^T + bias[K] (bias may be undefined). x of bf16 on a GPU: w, bias and y stay f32.
Tensor linear(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& bias);

// conv2d
/// y[N,P,Q,K] = x[N,H,W,C] * w[K,R,S,C]; P = (H + 2 pad - R) / stride + 1. x of bf16 on a GPU: y too; w stays f32.
Tensor conv2d(Context& ctx, const Tensor& x, const Tensor& w, std::int64_t stride, std::int64_t pad);

// batchnorm
struct BatchNormState {
  Tensor running_mean,
      running_var;  ///< [C]; updated in training: r = (1 - momentum) r + momentum * batch (unbiased var)
  double momentum = 0.1;
  double eps = 1e-5;
};
/// y = relu?( gamma (x - mean) / sqrt(var + eps) + beta + residual? ), statistics over N, H, W: of the batch when
/// training, else the running ones. `residual` may be undefined. One pass over the activations instead of three.
Tensor batchnorm(Context& ctx, const Tensor& x, const Tensor& gamma, const Tensor& beta, BatchNormState& state,
                 bool training, bool relu = false, const Tensor& residual = {});

// pool
/// Maximum over windows x window; padding never wins.
Tensor max_pool(Context& ctx, const Tensor& x, std::int64_t window, std::int64_t stride, std::int64_t pad);
/// Mean over windows; padding counts as zeros in the mean (torchvision's count_include_pad).
Tensor avg_pool(Context& ctx, const Tensor& x, std::int64_t window, std::int64_t stride, std::int64_t pad);
/// [N,H,W,C] -> [N,C]
Tensor global_avg_pool(Context& ctx, const Tensor& x);

// shortcut
/// Option-A shortcut of CIFAR ResNets: every stride-th pixel, zero channels added on both sides up to `channels`.
Tensor shortcut_a(Context& ctx, const Tensor& x, std::int64_t stride, std::int64_t channels);

// softmax_ce
/// Loss of each row [B] for logits [B,C] and targets [B] (i64); `weight` [B] may be undefined.
Tensor softmax_ce(Context& ctx, const Tensor& logits, const Tensor& targets, const Tensor& weight = {});

/// FixMatch's labels for images that have none; see kernels/softmax_ce.hpp. Not differentiable. Adds to counted, i32 [2]:
/// the confident rows, and the rows without probabilities (NaN), which the caller must refuse.
struct PseudoLabels {
  Tensor target;  ///< i64 [B]
  Tensor mask;    ///< [B]: 1 = confident
};
PseudoLabels pseudo_label(Context& ctx, const Tensor& logits, double threshold, const Tensor& counted);

// kd_multi
struct KdSources {
  std::vector<std::int64_t>
      offsets;                ///< S + 1 column offsets into the concatenated logits; offsets[s+1]-offsets[s] = C_s
  std::vector<double> alpha;  ///< S weights
  double temperature = 1.0;
};
/// sum_s alpha_s T^2 mean_b CE(softmax(teacher/T), softmax(student/T)): a scalar [1]. Both logits are [B, sum C_s].
Tensor kd_multi(Context& ctx, const Tensor& student, const Tensor& teacher, const KdSources& sources);

}  // namespace akin::ops
