// What a network is made of: named tensors and layers that own them. Names are torchvision's.
#pragma once

#include <string>
#include <vector>

#include "engine/ops.hpp"

namespace akin {

enum class ParameterKind {
  conv_weight,       ///< [K,R,S,C] in memory, [K,C,R,S] in files
  depthwise_weight,  ///< [C,R,S,1] in memory, [C,1,R,S] in files
  linear_weight,     ///< [K,D]
  pixel_weight,      ///< [K,D] in memory, [K,D,1,1] in files: a 1x1 convolution that is computed as a linear layer
  flat_weight,       ///< [K,h,w,C] in memory, [K,C h w] in files: a linear layer on a flattened map
  bias,
  norm,    ///< scale and shift of a batch norm
  buffer,  ///< running statistics: saved, not trained
  counter  ///< i64 of rank 0: saved, not trained
};

struct Parameter {
  std::string name;
  Tensor tensor;
  ParameterKind kind;
  bool trainable() const { return kind != ParameterKind::buffer && kind != ParameterKind::counter; }
  /// Of a convolution or a linear layer, not a bias or norm.
  bool is_weight() const { return kind <= ParameterKind::flat_weight; }
};

using ParameterList = std::vector<Parameter>;

struct ConvShape {
  std::int64_t in, out, window, stride, pad;
  bool depthwise = false;  ///< each channel by itself: in = out
};

/// A convolution, plain or depthwise, without a bias.
class Conv2d {
 public:
  Conv2d() = default;
  Conv2d(Context& ctx, const ConvShape& shape);
  Tensor operator()(Context& ctx, const Tensor& x) const { return padded(ctx, x, shape_.pad, shape_.pad); }
  /// With another padding at the beginning and end of each side than the layer's own.
  Tensor padded(Context& ctx, const Tensor& x, std::int64_t pad, std::int64_t pad_end,
                ops::ChannelMoments* moments = nullptr) const;
  const ConvShape& shape() const { return shape_; }
  void collect(const std::string& prefix, ParameterList& list) const;

 private:
  ConvShape shape_{};
  Tensor weight_;
};

struct NormOptions {
  double eps = 1e-5, momentum = 0.1;
};

class BatchNorm2d {
 public:
  BatchNorm2d() = default;
  BatchNorm2d(Context& ctx, std::int64_t channels, const NormOptions& options = {});
  /// f(norm(x) + residual?); `residual` goes with none, relu and relu6 only.
  Tensor operator()(Context& ctx, const Tensor& x, bool training, Activation f, const Tensor& residual = {},
                    const ops::ChannelMoments& moments = {}) const;
  /// f(norm(conv(x)) + residual?); in training the convolution counts for the norm where it can.
  Tensor after(Context& ctx, const Conv2d& conv, const Tensor& x, bool training, Activation f,
               const Tensor& residual = {}) const {
    return after(ctx, conv, x, training, f, residual, conv.shape().pad, conv.shape().pad);
  }
  Tensor after(Context& ctx, const Conv2d& conv, const Tensor& x, bool training, Activation f, const Tensor& residual,
               std::int64_t pad, std::int64_t pad_end) const;
  void collect(const std::string& prefix, ParameterList& list) const;

 private:
  Tensor weight_, bias_, batches_;
  ops::BatchNormState state_;
};

/// Convolution, batch norm, activation. In files `<prefix><conv>` and `<prefix><norm>`.
class ConvNorm {
 public:
  ConvNorm() = default;
  ConvNorm(Context& ctx, const ConvShape& shape, Activation f, const NormOptions& options = {})
      : conv_(ctx, shape), norm_(ctx, shape.out, options), activation_(f) {}
  Tensor operator()(Context& ctx, const Tensor& x, bool training, const Tensor& residual = {}) const {
    return norm_.after(ctx, conv_, x, training, activation_, residual);
  }
  Tensor padded(Context& ctx, const Tensor& x, bool training, std::int64_t pad, std::int64_t pad_end) const {
    return norm_.after(ctx, conv_, x, training, activation_, {}, pad, pad_end);
  }
  const ConvShape& shape() const { return conv_.shape(); }
  void collect(const std::string& conv, const std::string& norm, ParameterList& list) const {
    conv_.collect(conv, list);
    norm_.collect(norm, list);
  }

 private:
  Conv2d conv_;
  BatchNorm2d norm_;
  Activation activation_ = Activation::none;
};

/// Convolution, bias, activation: where no norm follows.
class ConvBias {
 public:
  ConvBias() = default;
  ConvBias(Context& ctx, const ConvShape& shape, Activation f);
  Tensor operator()(Context& ctx, const Tensor& x) const {
    return padded(ctx, x, conv_.shape().pad, conv_.shape().pad);
  }
  Tensor padded(Context& ctx, const Tensor& x, std::int64_t pad, std::int64_t pad_end) const {
    return ops::channel_bias(ctx, conv_.padded(ctx, x, pad, pad_end), bias_, activation_);
  }
  const ConvShape& shape() const { return conv_.shape(); }
  const Conv2d& conv() const { return conv_; }  ///< without the bias
  void collect(const std::string& prefix, ParameterList& list) const;

 private:
  Conv2d conv_;
  Tensor bias_;
  Activation activation_ = Activation::none;
};

class Linear {
 public:
  Linear() = default;
  /// `kind`: how its weight lies in files, linear_weight or pixel_weight.
  Linear(Context& ctx, std::int64_t in, std::int64_t out, ParameterKind kind = ParameterKind::linear_weight);
  Tensor operator()(Context& ctx, const Tensor& x) const { return ops::linear(ctx, x, weight_, bias_); }
  void collect(const std::string& prefix, ParameterList& list) const;
  std::int64_t inputs() const { return weight_.dim(1); }
  std::int64_t outputs() const { return weight_.dim(0); }

 private:
  Tensor weight_, bias_;
  ParameterKind kind_ = ParameterKind::linear_weight;
};

/// Random start from `seed`; parameter i of the list draws from its own stream, so adding a layer does not change the
/// others. Convolutions: He et al. 2015, normal with variance 2 / (K R S) (fan-out), depthwise 2 / (R S); those with a
/// bias, which no norm follows, 2 / (R S C) (fan-in) and the bias 0. Linear: uniform in +-1/sqrt(D).
/// Norms: scale 1, shift 0; statistics: mean 0, variance 1.
void initialize(const ParameterList& parameters, std::uint64_t seed);
/// Names the layers for the profiler, if there is one.
void tell_layers(Context& ctx, const ParameterList& parameters);

/// Number of trainable elements.
std::int64_t count_trainable(const ParameterList& parameters);

}  // namespace akin
