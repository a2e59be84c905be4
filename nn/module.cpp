#include "nn/module.hpp"

#include <algorithm>
#include <cmath>

#include "engine/profile.hpp"
#include "kernels/common/rng.hpp"

namespace akin {

namespace {

Tensor trainable(Context& ctx, Shape shape) {
  Tensor t = Tensor::zeros(ctx, std::move(shape));
  t.set_requires_grad(true);
  return t;
}

}  // namespace

Conv2d::Conv2d(Context& ctx, const ConvShape& s)
    : shape_(s), weight_(trainable(ctx, {s.out, s.window, s.window, s.depthwise ? 1 : s.in})) {}

Tensor Conv2d::padded(Context& ctx, const Tensor& x, std::int64_t pad, std::int64_t pad_end,
                      ops::ChannelMoments* moments) const {
  return shape_.depthwise ? ops::depthwise_conv2d(ctx, x, weight_, shape_.stride, pad, pad_end, moments)
                          : ops::conv2d(ctx, x, weight_, shape_.stride, pad, pad_end, moments);
}

void Conv2d::collect(const std::string& prefix, ParameterList& list) const {
  list.push_back(
      {prefix + ".weight", weight_, shape_.depthwise ? ParameterKind::depthwise_weight : ParameterKind::conv_weight});
}

ConvBias::ConvBias(Context& ctx, const ConvShape& shape, Activation f)
    : conv_(ctx, shape), bias_(trainable(ctx, {shape.out})), activation_(f) {}

void ConvBias::collect(const std::string& prefix, ParameterList& list) const {
  conv_.collect(prefix, list);
  list.push_back({prefix + ".bias", bias_, ParameterKind::bias});
}

BatchNorm2d::BatchNorm2d(Context& ctx, std::int64_t channels, const NormOptions& options)
    : weight_(trainable(ctx, {channels})),
      bias_(trainable(ctx, {channels})),
      batches_(Tensor::on_host(ctx, Shape{}, DType::i64)) {
  batches_.set_zero();
  state_.running_mean = Tensor::zeros(ctx, {channels});
  state_.running_var = Tensor::zeros(ctx, {channels});
  state_.eps = options.eps;
  state_.momentum = options.momentum;
}

Tensor BatchNorm2d::operator()(Context& ctx, const Tensor& x, bool training, Activation f, const Tensor& residual,
                               const ops::ChannelMoments& moments) const {
  if (training) ++batches_.data<std::int64_t>()[0];
  const bool within = f == Activation::none || keeps_output(f);
  const Tensor y =
      ops::batchnorm(ctx, x, weight_, bias_, state_, training, within ? f : Activation::none, residual, moments);
  return within ? y : ops::activation(ctx, y, f);
}

Tensor BatchNorm2d::after(Context& ctx, const Conv2d& conv, const Tensor& x, bool training, Activation f,
                          const Tensor& residual, std::int64_t pad, std::int64_t pad_end) const {
  ops::ChannelMoments moments;
  const Tensor y = conv.padded(ctx, x, pad, pad_end, training ? &moments : nullptr);
  return (*this)(ctx, y, training, f, residual, moments);
}

void BatchNorm2d::collect(const std::string& prefix, ParameterList& list) const {
  list.push_back({prefix + ".weight", weight_, ParameterKind::norm});
  list.push_back({prefix + ".bias", bias_, ParameterKind::norm});
  list.push_back({prefix + ".running_mean", state_.running_mean, ParameterKind::buffer});
  list.push_back({prefix + ".running_var", state_.running_var, ParameterKind::buffer});
  list.push_back({prefix + ".num_batches_tracked", batches_, ParameterKind::counter});
}

Linear::Linear(Context& ctx, std::int64_t in, std::int64_t out, ParameterKind kind)
    : weight_(trainable(ctx, {out, in})), bias_(trainable(ctx, {out})), kind_(kind) {}

void Linear::collect(const std::string& prefix, ParameterList& list) const {
  list.push_back({prefix + ".weight", weight_, kind_});
  list.push_back({prefix + ".bias", bias_, ParameterKind::bias});
}

void initialize(const ParameterList& parameters, std::uint64_t seed) {
  float bound = 0;  // of the last linear weight: its bias follows it and draws from the same range
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = parameters[i];
    Rng rng(seed, static_cast<std::uint32_t>(i), 0x696e6974);  // "init"
    if (p.kind == ParameterKind::counter) {
      p.tensor.data<std::int64_t>()[0] = 0;
      continue;
    }
    Array values(DType::f32, p.tensor.shape());
    float* x = values.as<float>().data();
    const std::int64_t n = p.tensor.numel();
    const auto ends_with = [&](const char* suffix) { return p.name.ends_with(suffix); };
    switch (p.kind) {
      case ParameterKind::conv_weight:
      case ParameterKind::depthwise_weight: {
        const bool biased = i + 1 < parameters.size() && parameters[i + 1].kind == ParameterKind::bias;
        const std::int64_t window = p.tensor.dim(1) * p.tensor.dim(2);
        const std::int64_t fan =
            p.kind == ParameterKind::depthwise_weight ? window : window * p.tensor.dim(biased ? 3 : 0);
        const float std = std::sqrt(2.0f / static_cast<float>(fan));
        bound = 0;
        for (std::int64_t j = 0; j < n; ++j) x[j] = std * rng.normal();
        break;
      }
      case ParameterKind::linear_weight:
      case ParameterKind::pixel_weight:
      case ParameterKind::flat_weight:
        bound = 1.0f / std::sqrt(static_cast<float>(n / p.tensor.dim(0)));
        for (std::int64_t j = 0; j < n; ++j) x[j] = rng.uniform(-bound, bound);
        break;
      case ParameterKind::bias:
        for (std::int64_t j = 0; j < n; ++j) x[j] = rng.uniform(-bound, bound);
        break;
      case ParameterKind::norm:
        std::fill_n(x, n, ends_with(".weight") ? 1.0f : 0.0f);
        break;
      default:
        std::fill_n(x, n, ends_with("running_var") ? 1.0f : 0.0f);
    }
    p.tensor.copy_from(values.bytes());
  }
}

std::int64_t count_trainable(const ParameterList& parameters) {
  std::int64_t n = 0;
  for (const Parameter& p : parameters) n += p.trainable() ? p.tensor.numel() : 0;
  return n;
}

void tell_layers(Context& ctx, const ParameterList& parameters) {
  if (ctx.profiler == nullptr) return;
  for (const Parameter& p : parameters) ctx.profiler->know(p.tensor, p.name);
}

}  // namespace akin
