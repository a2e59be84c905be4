// What a network is made of: named tensors and layers that own them. Names are torchvision's.
#pragma once

#include <string>
#include <vector>

#include "engine/ops.hpp"

namespace akin {

enum class ParameterKind {
  conv_weight,    ///< [K,R,S,C] in memory, [K,C,R,S] in files
  linear_weight,  ///< [K,D]
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
};

using ParameterList = std::vector<Parameter>;

class Conv2d {
 public:
  Conv2d() = default;
  /// `window` x `window`, no bias (a batch norm follows).
  Conv2d(Context& ctx, std::int64_t in, std::int64_t out, std::int64_t window, std::int64_t stride, std::int64_t pad);
  Tensor operator()(Context& ctx, const Tensor& x) const { return ops::conv2d(ctx, x, weight_, stride_, pad_); }
  void collect(const std::string& prefix, ParameterList& list) const;

 private:
  Tensor weight_;
  std::int64_t stride_ = 1, pad_ = 0;
};

class BatchNorm2d {
 public:
  BatchNorm2d() = default;
  BatchNorm2d(Context& ctx, std::int64_t channels);
  /// relu?(norm(x) + residual?)
  Tensor operator()(Context& ctx, const Tensor& x, bool training, bool relu, const Tensor& residual = {});
  void collect(const std::string& prefix, ParameterList& list) const;

 private:
  Tensor weight_, bias_, batches_;
  ops::BatchNormState state_;
};

class Linear {
 public:
  Linear() = default;
  Linear(Context& ctx, std::int64_t in, std::int64_t out);
  Tensor operator()(Context& ctx, const Tensor& x) const { return ops::linear(ctx, x, weight_, bias_); }
  void collect(const std::string& prefix, ParameterList& list) const;
  std::int64_t inputs() const { return weight_.dim(1); }
  std::int64_t outputs() const { return weight_.dim(0); }

 private:
  Tensor weight_, bias_;
};

/// Random start from `seed`; parameter i of the list draws from its own stream, so adding a layer does not change the
/// others. Convolutions: He et al. 2015, normal with variance 2 / (K R S) (fan-out). Linear: uniform in +-1/sqrt(D).
/// Norms: scale 1, shift 0; statistics: mean 0, variance 1.
void initialize(const ParameterList& parameters, std::uint64_t seed);

/// Number of trainable elements.
std::int64_t count_trainable(const ParameterList& parameters);

}  // namespace akin
