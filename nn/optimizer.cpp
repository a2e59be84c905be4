#include "nn/optimizer.hpp"

#include <cmath>
#include <cstring>
#include <utility>

namespace akin {

void OptimizerOptions::check() const {
  if (kind != "sgd" && kind != "adamw") fail_usage("optimizer '{}': use sgd or adamw", kind);
  if (!(momentum >= 0 && momentum < 1)) fail_usage("momentum {}: must be in [0, 1)", momentum);
  if (nesterov && momentum == 0) fail_usage("Nesterov's update needs a momentum above 0");
  if (!(weight_decay >= 0) || !std::isfinite(weight_decay))
    fail_usage("weight decay {}: must not be negative", weight_decay);
  if (!(clip_norm >= 0)) fail_usage("gradient clipping at {}: must not be negative", clip_norm);
}

Optimizer::Optimizer(Context& ctx, ParameterList parameters, OptimizerOptions options) : options_(std::move(options)) {
  options_.check();
  constexpr std::int64_t kAlign = 16;  // elements: every tensor starts at a cache line
  std::vector<std::int64_t> first;
  std::int64_t size = 0;
  for (const Parameter& p : parameters) {
    if (!p.trainable()) continue;
    AKIN_CHECK(p.tensor.dtype() == DType::f32, "optimizer: parameter {} is {}, f32 is needed", p.name,
               name_of(p.tensor.dtype()));
    tensors_.push_back(p.tensor);
    first.push_back(size);
    const bool decays =
        options_.decay_all || p.kind == ParameterKind::conv_weight || p.kind == ParameterKind::linear_weight;
    if (decays && options_.weight_decay > 0) decay_.push_back({size, size + p.tensor.numel(), options_.weight_decay});
    size += (p.tensor.numel() + kAlign - 1) / kAlign * kAlign;
  }
  AKIN_CHECK(size > 0, "optimizer: no parameter to train");
  values_ = Tensor::zeros(ctx, {size});
  gradients_ = Tensor::zeros(ctx, {size});
  if (options_.kind == "adamw" || options_.momentum > 0) first_ = Tensor::zeros(ctx, {size});
  if (options_.kind == "adamw") second_ = Tensor::zeros(ctx, {size});
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    Tensor& t = tensors_[i];
    const Tensor slice = values_.view(t.shape(), first[i]);
    std::memcpy(slice.raw(), t.raw(), t.bytes());
    t.handle()->storage = slice.handle()->storage;
    t.handle()->offset = slice.handle()->offset;
    t.set_grad_buffer(gradients_.view(t.shape(), first[i]));
  }
}

void Optimizer::zero_grad() {
  for (Tensor& t : tensors_) t.zero_grad();
}

void Optimizer::step(double lr) {
  for (const Tensor& t : tensors_)
    if (!t.grad().defined()) std::memset(t.handle()->grad->storage->data() + t.handle()->grad->offset, 0, t.bytes());
  const std::int64_t n = values_.numel();
  const float* g = gradients_.data<float>();
  double scale = 1;
  if (options_.clip_norm > 0) scale = clip_scale(spec::grad_norm<float>(n, g), options_.clip_norm);
  ++steps_;
  if (options_.kind == "adamw") {
    const AdamWStep s{.lr = lr, .t = steps_, .grad_scale = scale};
    spec::adamw_step<float>(n, s, decay_, values_.data<float>(), g, first_.data<float>(), second_.data<float>());
  } else {
    const SgdStep s{.lr = lr, .momentum = options_.momentum, .nesterov = options_.nesterov, .grad_scale = scale};
    spec::sgd_step<float>(n, s, decay_, values_.data<float>(), g, first_.defined() ? first_.data<float>() : nullptr);
  }
}

void Optimizer::save(SafeTensors& file) const {
  file.add("optimizer.steps", Array::from(std::vector<std::int64_t>{steps_}, {1}));
  if (first_.defined()) file.add("optimizer.first", first_.to_array());
  if (second_.defined()) file.add("optimizer.second", second_.to_array());
}

void Optimizer::load(const SafeTensors& file) {
  const Array& steps = file.at("optimizer.steps");
  AKIN_CHECK(steps.dtype() == DType::i64 && steps.numel() == 1 && steps.as<std::int64_t>()[0] >= 0,
             "{}: optimizer.steps is not one count (damaged file)", file.source);
  const std::pair<const char*, const Tensor&> moments[] = {{"optimizer.first", first_}, {"optimizer.second", second_}};
  for (const auto& [name, to] : moments) {  // all are checked before anything changes
    if (!to.defined()) {
      AKIN_CHECK(file.find(name) == nullptr, "{}: holds {}, which this optimizer has not (another optimizer)",
                 file.source, name);
      continue;
    }
    const Array& a = file.at(name);
    AKIN_CHECK(a.shape() == to.shape() && a.dtype() == to.dtype(),
               "{}: {} is {} {}, expected {} {} (another network or optimizer)", file.source, name, name_of(a.dtype()),
               a.shape().str(), name_of(to.dtype()), to.shape().str());
  }
  steps_ = steps.as<std::int64_t>()[0];
  for (const auto& [name, to] : moments)
    if (to.defined()) std::memcpy(to.raw(), file.at(name).bytes(), to.bytes());
}

}  // namespace akin
