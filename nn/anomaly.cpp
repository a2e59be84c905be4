#include "nn/anomaly.hpp"

#include <cmath>
#include <optional>

#include "engine/autograd.hpp"

namespace akin {

namespace {

struct Broken {
  std::size_t element;
  double value;
};

/// The first element that is not finite; nothing for integers.
std::optional<Broken> broken(const Tensor& t) {
  if (t.dtype() != DType::f32 && t.dtype() != DType::f64 && t.dtype() != DType::bf16) return {};
  const Array values = t.to_array().cast(DType::f64);
  const auto v = values.as<double>();
  for (std::size_t i = 0; i < v.size(); ++i)
    if (!std::isfinite(v[i])) return Broken{i, v[i]};
  return {};
}

}  // namespace

std::string AnomalyWatch::place(const char* op, const std::vector<Tensor>& inputs) {
  for (const Tensor& t : inputs)
    for (const Parameter& p : parameters_)
      if (t.defined() && t.handle() == p.tensor.handle()) return last_layer_ = fmt::format("{} of {}", op, p.name);
  return last_layer_.empty() ? op : fmt::format("{}, after {}", op, last_layer_);
}

void AnomalyWatch::forward(const char* op, const std::vector<Tensor>& inputs, const Tensor& output) {
  const std::string where = place(op, inputs);
  if (const auto b = broken(output))
    fail("{} gives {} at element {} of {}", where, b->value, b->element, output.shape().str());
  // What it wrote besides: a variance that overflows leaves an output of zeros.
  for (const Tensor& t : inputs)
    for (const Parameter& p : parameters_)
      if (p.kind == ParameterKind::buffer && t.defined() && t.handle() == p.tensor.handle())
        if (const auto b = broken(t))
          fail("{} makes {} {} at element {} of {}", where, p.name, b->value, b->element, t.shape().str());
}

void AnomalyWatch::backward(const char* op, const std::vector<Tensor>& inputs) {
  for (const Tensor& t : inputs) {
    if (!t.defined() || !t.handle()->has_grad) continue;
    if (const auto b = broken(Tensor(t.handle()->grad))) {
      last_layer_.clear();  // in a backward pass the layer before is the one behind
      fail("the gradient of an input of {} is {} at element {} of {}", place(op, inputs), b->value, b->element,
           t.shape().str());
    }
  }
}

void AnomalyWatch::updated(const Optimizer& optimizer) const {
  for (const Parameter& p : parameters_)
    if (const auto b = broken(p.tensor))
      fail("the update makes {} {} at element {} of {}", p.name, b->value, b->element, p.tensor.shape().str());
  for (const auto& [name, moment] : optimizer.moments())
    if (const auto b = broken(moment))
      fail("the update makes {} {} at element {} of {}", name, b->value, b->element, moment.shape().str());
}

std::string first_broken_parameter(const ParameterList& parameters) {
  for (const Parameter& p : parameters)
    if (broken(p.tensor)) return p.name;
  return {};
}

std::string first_not_finite(Context& ctx, Objective& objective, const ParameterList& parameters) {
  if (const std::string name = first_broken_parameter(parameters); !name.empty())
    return fmt::format("{} is the first layer whose values are not finite", name);
  AnomalyWatch watch(parameters);
  const WatchScope scope(ctx, &watch);
  Tape tape;
  const TapeScope recorded(ctx, &tape);
  try {
    tape.backward(ctx, objective.forward());
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

}  // namespace akin
