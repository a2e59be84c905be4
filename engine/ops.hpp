// Every differentiable op. Each is defined in engine/ops/<stem>.cpp: checks, choice of the kernel, backward rule.
// Activations are [N, H, W, C]; convolution weights are [K, R, S, C] (OHWI in memory, OIHW in files).
#pragma once

#include <vector>

#include "engine/autograd.hpp"
#include "kernels/activation.hpp"

namespace akin::ops {

// elementwise
Tensor add(Context& ctx, const Tensor& a, const Tensor& b);
Tensor mul(Context& ctx, const Tensor& a, const Tensor& b);
Tensor scale(Context& ctx, const Tensor& x, double factor);
/// The same values in f32 or bf16, rounded to nearest.
Tensor convert(Context& ctx, const Tensor& x, DType to);
/// The same elements in another shape; shares memory.
Tensor reshape(Context& ctx, const Tensor& x, Shape shape);
/// Rows begin..end-1 of dimension 0; shares memory.
Tensor rows(Context& ctx, const Tensor& x, std::int64_t begin, std::int64_t end);

// activation
/// y = f(x): none, relu, relu6, hardswish or hardsigmoid (kernels/activation.hpp).
Tensor activation(Context& ctx, const Tensor& x, Activation kind);
Tensor relu(Context& ctx, const Tensor& x);

// channel_bias
/// y[..., c] = f(x[..., c] + bias[c]) in one pass. x of bf16: bias [C] stays f32.
Tensor channel_bias(Context& ctx, const Tensor& x, const Tensor& bias, Activation kind = Activation::none);

// channel_scale
/// y[n,h,w,c] = x[n,h,w,c] s[n,c]: the gate of squeeze-and-excitation. Both have one type.
Tensor channel_scale(Context& ctx, const Tensor& x, const Tensor& s);

// concat
/// Tensors [..., C_i] with the same leading dimensions and type: [..., sum of C_i].
Tensor concat_channels(Context& ctx, const std::vector<Tensor>& parts);

// reduce
/// Sum, mean over all elements: a scalar [1].
Tensor sum(Context& ctx, const Tensor& x);
Tensor mean(Context& ctx, const Tensor& x);

// gemm
/// y[B,K] = x[B,D] w[K,D]^T + bias[K] (bias may be undefined). x of bf16: w, bias and y stay f32.
Tensor linear(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& bias);

// conv2d
/// What conv2d and depthwise_conv2d leave for a batchnorm that follows, on a device: statistics of their result
/// (kernels/common/moments.hpp).
struct ChannelMoments {
  Tensor data;
  std::int64_t parts = 0;
};
/// y[N,P,Q,K] = x[N,H,W,C] * w[K,R,S,C]; P = (H + pad + pad_end - R) / stride + 1. x of bf16: y too; w stays
/// f32. `pad_end`: zeros after the last row and column; -1: as many as before the first (TensorFlow's SAME with stride
/// 2 on an even side and a 3x3 window: pad 0, pad_end 1). `moments`: filled where the device has them at little cost.
Tensor conv2d(Context& ctx, const Tensor& x, const Tensor& w, std::int64_t stride, std::int64_t pad,
              std::int64_t pad_end = -1, ChannelMoments* moments = nullptr);

// depthwise
/// Each channel by itself: y[N,P,Q,C] from x[N,H,W,C] and w[C,R,S,1]; strides, padding and types as in conv2d.
Tensor depthwise_conv2d(Context& ctx, const Tensor& x, const Tensor& w, std::int64_t stride, std::int64_t pad,
                        std::int64_t pad_end = -1, ChannelMoments* moments = nullptr);

// batchnorm
struct BatchNormState {
  Tensor running_mean,
      running_var;  ///< [C]; updated in training: r = (1 - momentum) r + momentum * batch (unbiased var)
  double momentum = 0.1;
  double eps = 1e-5;
};
/// y = f( gamma (x - mean) / sqrt(var + eps) + beta + residual? ), f none, relu or relu6; statistics over N, H, W: of
/// the batch when training, else the running ones. `residual` may be undefined. One pass over the activations instead
/// of three. `moments`: of x, from the convolution that made it. In training with ctx.shared_batch the statistics, and
/// the gradient through them, are over the batch of all ranks, which all call it and its backward rule; the gradients
/// of gamma and beta are this rank's share.
Tensor batchnorm(Context& ctx, const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormState& state,
                 bool training, Activation act = Activation::none, const Tensor& residual = {},
                 const ChannelMoments& moments = {});

// pool
/// Maximum over window x window; padding never wins. `ceil`: the number of windows is rounded up, so that the pixels
/// left over on the right and below get one, if it starts inside the image or the padding before it (PyTorch's
/// ceil_mode).
Tensor max_pool(Context& ctx, const Tensor& x, std::int64_t window, std::int64_t stride, std::int64_t pad,
                bool ceil = false);
/// Mean over windows; padding counts as zeros in the mean (torchvision's count_include_pad).
Tensor avg_pool(Context& ctx, const Tensor& x, std::int64_t window, std::int64_t stride, std::int64_t pad);
/// [N,H,W,C] -> [N,P,Q,C]: means over rows floor(p H / P) .. ceil((p + 1) H / P) - 1, columns likewise; any P and Q,
/// also above H and W (PyTorch's AdaptiveAvgPool2d).
Tensor adaptive_avg_pool(Context& ctx, const Tensor& x, std::int64_t P, std::int64_t Q);
/// [N,H,W,C] -> [N,C]
Tensor global_avg_pool(Context& ctx, const Tensor& x);

// shortcut
/// Option-A shortcut of CIFAR ResNets: every stride-th pixel, zero channels added on both sides up to `channels`.
Tensor shortcut_a(Context& ctx, const Tensor& x, std::int64_t stride, std::int64_t channels);

// softmax_ce
/// Loss of each row [B] for logits [B,C] and targets [B] (i64); `weight` [B] may be undefined.
Tensor softmax_ce(Context& ctx, const Tensor& logits, const Tensor& targets, const Tensor& weight = {});

/// FixMatch's labels for images that have none; see kernels/softmax_ce.hpp. Not differentiable. Adds to counted, i32
/// [2]: the confident rows, and the rows without probabilities (NaN), which the caller must refuse.
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

// mix_heads
/// log((1 - share) softmax(x) + share softmax(z)) of logits [B,C], share in 0..1. For predictions: the backward pass
/// throws.
Tensor mix_heads(Context& ctx, const Tensor& x, const Tensor& z, double share);

}  // namespace akin::ops
