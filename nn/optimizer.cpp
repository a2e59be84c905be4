#include "nn/optimizer.hpp"

#include <cmath>
#include <utility>

#include "engine/launch_on.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/reduce.hpp"

namespace akin {

namespace {

/// Plain structs on the GPU, as bytes.
template <class T>
Tensor bytes_of(Context& ctx, const T* values, std::size_t count) {
  const Tensor t = Tensor::empty(ctx, {static_cast<std::int64_t>(count * sizeof(T))}, DType::u8);
  t.copy_from(values);
  return t;
}
template <class T>
T* as(const Tensor& bytes) {
  return reinterpret_cast<T*>(bytes.raw());
}

float* floats_or_null(const Tensor& t) { return t.defined() ? t.data<float>() : nullptr; }

/// Ranges that only padding separates, as one: a kernel has less to look up, and padding is zero and stays so.
std::vector<OptimRange> merged(const std::vector<OptimRange>& ranges, std::int64_t align) {
  std::vector<OptimRange> out;
  for (const OptimRange& r : ranges) {
    if (!out.empty() && out.back().decay == r.decay && out.back().rate == r.rate &&
        (out.back().end + align - 1) / align * align == r.begin)
      out.back().end = r.end;
    else
      out.push_back(r);
  }
  return out;
}

constexpr std::int64_t kAlign = 16;  // elements: every tensor starts at a cache line

}  // namespace

void OptimizerOptions::check() const {
  if (kind != "sgd" && kind != "adamw") fail_usage("optimizer '{}': use sgd or adamw", kind);
  if (!(momentum >= 0 && momentum < 1)) fail_usage("momentum {}: must be in [0, 1)", momentum);
  if (nesterov && momentum == 0) fail_usage("Nesterov's update needs a momentum above 0");
  if (!(weight_decay >= 0) || !std::isfinite(weight_decay))
    fail_usage("weight decay {}: must not be negative", weight_decay);
  if (!(clip_norm >= 0)) fail_usage("gradient clipping at {}: must not be negative", clip_norm);
  for (const double rate : rates)
    if (!(rate > 0) || !std::isfinite(rate))
      fail_usage("factor {} on a parameter's learning rate: must be a number above 0", rate);
}

Optimizer::Optimizer(Context& ctx, ParameterList parameters, OptimizerOptions options)
    : ctx_(ctx), options_(std::move(options)) {
  options_.check();
  std::vector<bool> is_weight;
  std::int64_t size = 0;
  AKIN_CHECK(options_.rates.empty() || options_.rates.size() == parameters.size(),
             "optimizer: {} factors on the learning rates of {} parameters", options_.rates.size(), parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = parameters[i];
    if (!p.trainable()) continue;
    AKIN_CHECK(p.tensor.dtype() == DType::f32, "optimizer: parameter {} is {}, f32 is needed", p.name,
               name_of(p.tensor.dtype()));
    tensors_.push_back(p.tensor);
    names_.push_back(p.name);
    offsets_.push_back(size);
    is_weight.push_back(p.is_weight());
    const double decay = options_.decay_all || is_weight.back() ? options_.weight_decay : 0;
    const double rate = options_.rates.empty() ? 1 : options_.rates[i];
    if (decay > 0 || rate != 1) ranges_.push_back({size, size + p.tensor.numel(), decay, rate});
    size += (p.tensor.numel() + kAlign - 1) / kAlign * kAlign;
  }
  AKIN_CHECK(size > 0, "optimizer: no parameter to train");
  values_ = Tensor::zeros(ctx, {size});
  gradients_ = Tensor::zeros(ctx, {size});
  if (options_.kind == "adamw" || options_.momentum > 0) first_ = Tensor::zeros(ctx, {size});
  if (options_.kind == "adamw") second_ = Tensor::zeros(ctx, {size});
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    Tensor& t = tensors_[i];
    const Tensor slice = values_.view(t.shape(), offsets_[i]);
    slice.copy_from(t);
    t.handle()->storage = slice.handle()->storage;
    t.handle()->offset = slice.handle()->offset;
    t.set_grad_buffer(gradients_.view(t.shape(), offsets_[i]));
  }
  if (ctx.gpu != nullptr) make_device_state();
  if (ctx.activations != DType::bf16) return;
  shadow_ = Tensor::empty(ctx, {size}, DType::bf16);
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    if (is_weight[i]) tensors_[i].set_shadow(shadow_.view(tensors_[i].shape(), offsets_[i]));
  refresh();
}

Optimizer::~Optimizer() {
  for (Tensor& t : tensors_)  // who writes a parameter now will not know of its copy; a newer optimizer's copy stays
    if (const Tensor s = t.shadow(); s.defined() && s.handle()->storage == shadow_.handle()->storage) t.set_shadow({});
}

void Optimizer::make_device_state() {
  const OptimParams none;
  params_ = bytes_of(ctx_, &none, 1);
  const std::vector<OptimRange> ranges = merged(ranges_, kAlign);
  device_ranges_ = static_cast<std::int64_t>(ranges.size());
  range_table_ = bytes_of(ctx_, ranges.data(), ranges.size());
  if (options_.clip_norm > 0) {
    sum_scratch_ = Tensor::empty(ctx_, {kSumBlocks}, DType::f64);
    square_sum_ = Tensor::empty(ctx_, {1}, DType::f64);
  }
}

void Optimizer::refresh() {
  if (!shadow_.defined()) return;
  const PassScope pass(ctx_, Pass::update);
  launch_on(ctx_, {"convert", convert_work(values_.numel())},
            [&](const auto& stream) { convert(stream, values_.numel(), values_.data<float>(), shadow_.data<bf16>()); });
}

void Optimizer::zero_grad() {
  for (Tensor& t : tensors_) t.zero_grad();
}

void Optimizer::prepare(double lr) {
  ++steps_;
  lr_ = lr;
  if (ctx_.gpu == nullptr) return;
  const OptimParams now = options_.kind == "adamw" ? optim_params(AdamWStep{.lr = lr, .t = steps_})
                                                   : optim_params(SgdStep{.lr = lr, .momentum = options_.momentum});
  const PassScope pass(ctx_, Pass::update);
  on_gpu(ctx_, {"set_params", {}}, [&](const auto& stream) { set_params(stream, now, as<OptimParams>(params_)); });
}

template <class S>
void Optimizer::apply_on(const S& stream) {
  const std::int64_t n = values_.numel();
  const float* g = gradients_.data<float>();
  GradClip clip;
  if (options_.clip_norm > 0) {
    sum_squares(stream, n, 1.0, g, sum_scratch_.data<double>(), square_sum_.data<double>());
    clip = {square_sum_.data<double>(), options_.clip_norm};
  }
  const auto* params = as<OptimParams>(params_);
  const auto* ranges = as<OptimRange>(range_table_);
  bf16* shadow = shadow_.defined() ? shadow_.data<bf16>() : nullptr;
  if (options_.kind == "adamw") {
    const AdamWStep s{.lr = lr_, .t = steps_};
    adamw_step(stream, n, params, s.beta1, s.beta2, s.eps, clip, ranges, device_ranges_, values_.data<float>(), g,
               first_.data<float>(), second_.data<float>(), shadow);
  } else {
    sgd_step(stream, n, params, options_.momentum, options_.nesterov, clip, ranges, device_ranges_,
             values_.data<float>(), g, floats_or_null(first_), shadow);
  }
}

void Optimizer::complete_gradients() {
  for (const Tensor& t : tensors_) {
    if (t.grad().defined()) continue;
    Tensor(t.handle()->grad).set_zero();
    t.handle()->has_grad = true;
  }
}

void Optimizer::apply() {
  complete_gradients();
  const PassScope pass(ctx_, Pass::update);
  const bool adamw = options_.kind == "adamw";
  Work work = adamw ? adamw_work(values_.numel()) : sgd_work(values_.numel(), first_.defined());
  if (options_.clip_norm > 0) work += sum_work(values_.numel(), sizeof(float));
  const KernelCall call{adamw ? "adamw" : "sgd", work};
  if (on_gpu(ctx_, call, [&](const auto& stream) { apply_on(stream); })) return;
  {
    const LaunchScope told(ctx_, call);
    apply_on_host();
  }
  refresh();
}

void Optimizer::apply_on_host() {
  const std::int64_t n = values_.numel();
  const float* g = gradients_.data<float>();
  double scale = 1;
  if (options_.clip_norm > 0) scale = clip_scale(grad_norm(n, g), options_.clip_norm);
  if (options_.kind == "adamw") {
    const AdamWStep s{.lr = lr_, .t = steps_, .grad_scale = scale};
    adamw_step(n, s, ranges_, values_.data<float>(), g, first_.data<float>(), second_.data<float>());
  } else {
    const SgdStep s{.lr = lr_, .momentum = options_.momentum, .nesterov = options_.nesterov, .grad_scale = scale};
    sgd_step(n, s, ranges_, values_.data<float>(), g, floats_or_null(first_));
  }
}

std::vector<std::pair<std::string, Tensor>> Optimizer::moments() const {
  std::vector<std::pair<std::string, Tensor>> out;
  for (const auto& [which, arena] : {std::pair{"first", &first_}, {"second", &second_}})
    for (std::size_t i = 0; arena->defined() && i < tensors_.size(); ++i)
      out.emplace_back(fmt::format("the {} moment of {}", which, names_[i]),
                       arena->view(tensors_[i].shape(), offsets_[i]));
  return out;
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
    if (to.defined()) to.copy_from(file.at(name).bytes());
  refresh();
}

}  // namespace akin
