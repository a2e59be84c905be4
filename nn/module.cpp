#include "nn/module.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/common/rng.hpp"

namespace akin {

namespace {

Tensor trainable(Context& ctx, Shape shape) {
  Tensor t = Tensor::zeros(ctx, std::move(shape));
  t.set_requires_grad(true);
  return t;
}

}  // namespace

Conv2d::Conv2d(Context& ctx, std::int64_t in, std::int64_t out, std::int64_t window, std::int64_t stride,
               std::int64_t pad)
    : weight_(trainable(ctx, {out, window, window, in})), stride_(stride), pad_(pad) {}

void Conv2d::collect(const std::string& prefix, ParameterList& list) const {
  list.push_back({prefix + ".weight", weight_, ParameterKind::conv_weight});
}

BatchNorm2d::BatchNorm2d(Context& ctx, std::int64_t channels)
    : weight_(trainable(ctx, {channels})),
      bias_(trainable(ctx, {channels})),
      batches_(Tensor::on_host(ctx, Shape{}, DType::i64)) {
  batches_.set_zero();
  state_.running_mean = Tensor::zeros(ctx, {channels});
  state_.running_var = Tensor::zeros(ctx, {channels});
}

Tensor BatchNorm2d::operator()(Context& ctx, const Tensor& x, bool training, bool relu, const Tensor& residual) {
  if (training) ++batches_.data<std::int64_t>()[0];
  return ops::batchnorm(ctx, x, weight_, bias_, state_, training, relu, residual);
}

void BatchNorm2d::collect(const std::string& prefix, ParameterList& list) const {
  list.push_back({prefix + ".weight", weight_, ParameterKind::norm});
  list.push_back({prefix + ".bias", bias_, ParameterKind::norm});
  list.push_back({prefix + ".running_mean", state_.running_mean, ParameterKind::buffer});
  list.push_back({prefix + ".running_var", state_.running_var, ParameterKind::buffer});
  list.push_back({prefix + ".num_batches_tracked", batches_, ParameterKind::counter});
}

Linear::Linear(Context& ctx, std::int64_t in, std::int64_t out)
    : weight_(trainable(ctx, {out, in})), bias_(trainable(ctx, {out})) {}

void Linear::collect(const std::string& prefix, ParameterList& list) const {
  list.push_back({prefix + ".weight", weight_, ParameterKind::linear_weight});
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
      case ParameterKind::conv_weight: {
        const float std = std::sqrt(2.0f / static_cast<float>(p.tensor.dim(0) * p.tensor.dim(1) * p.tensor.dim(2)));
        for (std::int64_t j = 0; j < n; ++j) x[j] = std * rng.normal();
        break;
      }
      case ParameterKind::linear_weight:
        bound = 1.0f / std::sqrt(static_cast<float>(p.tensor.dim(1)));
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

}  // namespace akin
