// Where a diverging run breaks: the first value that is not finite, with the op and the layer that made it.
#pragma once

#include <string>

#include "engine/trace.hpp"
#include "nn/module.hpp"
#include "nn/objective.hpp"
#include "nn/optimizer.hpp"

namespace akin {

/// Looks at what every op makes, forwards and backwards, running statistics included; throws Error naming op, layer,
/// value and element at the first NaN or infinity. It waits for the device at every op, and so is for looking, not for
/// training fast.
class AnomalyWatch final : public OpWatch {
 public:
  explicit AnomalyWatch(const ParameterList& parameters) : parameters_(parameters) {}
  void forward(const char* op, const std::vector<Tensor>& inputs, const Tensor& output) override;
  void backward(const char* op, const std::vector<Tensor>& inputs) override;
  /// After an update: the parameters, and the moments that later updates go on from.
  void updated(const Optimizer& optimizer) const;

 private:
  /// "conv2d of layer1.0.conv1.weight", or "activation, after conv2d of ...".
  std::string place(const char* op, const std::vector<Tensor>& inputs);
  const ParameterList& parameters_;
  std::string last_layer_;
};

/// A line about the first value that is not finite, looked for in the parameters, then in the ops of one more forward
/// and backward pass of the batch at hand; "" where all of that is finite. Changes no parameter, but their gradients
/// and running statistics: for a run that ends here.
std::string first_not_finite(Context& ctx, Objective& objective, const ParameterList& parameters);

/// The name of the first parameter that holds a NaN or an infinity; "" where none does.
std::string first_broken_parameter(const ParameterList& parameters);

}  // namespace akin
