// Parameters, gradients and moments side by side in flat arenas: one kernel call updates the whole network.
#pragma once

#include "engine/io/safetensors.hpp"
#include "kernels/optim.hpp"
#include "nn/module.hpp"

namespace akin {

struct OptimizerOptions {
  std::string kind = "sgd";  ///< sgd or adamw
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 5e-4;
  bool decay_all = true;  ///< false: weight decay spares norms and biases
  double clip_norm = 0;   ///< gradients longer than this are shortened to it; 0 = off
  /// Throws UsageError.
  void check() const;
};

class Optimizer {
 public:
  /// Moves the trainable tensors of `parameters` into an arena (their handles stay valid) and gives each a slice of the
  /// gradient arena to be differentiated into.
  Optimizer(Context& ctx, ParameterList parameters, OptimizerOptions options);

  /// Forgets the gradients; nothing is filled, the next backward pass overwrites.
  void zero_grad();
  /// One update; a parameter that got no gradient counts as having gradient zero.
  void step(double lr);

  /// Moments and step count, as arrays named "optimizer.*".
  void save(SafeTensors& file) const;
  void load(const SafeTensors& file);

 private:
  OptimizerOptions options_;
  std::vector<Tensor> tensors_;
  std::vector<DecayRange> decay_;
  Tensor values_, gradients_, first_, second_;
  std::int64_t steps_ = 0;
};

}  // namespace akin
