// Parameters, gradients and moments side by side in flat arenas: one kernel call updates the whole network. With bf16
// activations a further arena holds the parameters in bf16 (Tensor::shadow), written by the same call, or on the CPU by
// one after it.
#pragma once

#include <string>
#include <utility>
#include <vector>

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
  /// Factor on the learning rate of each parameter of the list; empty: 1 for all.
  std::vector<double> rates = {};
  /// Throws UsageError.
  void check() const;
};

class Optimizer {
 public:
  /// Moves the trainable tensors of `parameters` into an arena (their handles stay valid) and gives each a slice of the
  /// gradient arena to be differentiated into. `ctx` must outlive the optimizer.
  Optimizer(Context& ctx, ParameterList parameters, OptimizerOptions options);
  /// The parameters stay in the arena, without shadows.
  ~Optimizer();
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Forgets the gradients; nothing is filled, the next backward pass overwrites.
  void zero_grad();
  /// One update; a parameter that got no gradient counts as having gradient zero. The same as prepare() and apply().
  void step(double lr) {
    prepare(lr);
    apply();
  }
  /// Counts the step and hands over what is new in it. A GPU gets it in stream order; nobody waits.
  void prepare(double lr);
  /// The update. On a GPU it only queues kernels, so it can be captured in a graph: each replay after a prepare() is
  /// one step.
  void apply();
  /// A parameter that got no gradient in this backward pass has gradient zero from here on; apply() sees to that, too.
  void complete_gradients();
  /// All gradients side by side, [n] of f32, with zeros between them; their place for as long as the optimizer lives.
  const Tensor& gradients() const { return gradients_; }
  /// To be called after parameters were written from outside: brings their bf16 copies up to date.
  void refresh();

  /// "the first moment of conv1.weight", each of a trained parameter's shape; they share the optimizer's memory.
  std::vector<std::pair<std::string, Tensor>> moments() const;
  /// Moments and step count, as arrays named "optimizer.*".
  void save(SafeTensors& file) const;
  void load(const SafeTensors& file);

 private:
  void make_device_state();
  template <class S>
  void apply_on(const S& stream);
  void apply_on_host();

  Context& ctx_;
  OptimizerOptions options_;
  std::vector<Tensor> tensors_;
  std::vector<std::string> names_;
  std::vector<std::int64_t> offsets_;  // in the arenas
  std::vector<OptimRange> ranges_;
  Tensor values_, gradients_, first_, second_;
  Tensor shadow_;                    // bf16, as large as values_
  Tensor params_, range_table_;      // OptimParams and OptimRanges on the GPU, as bytes
  Tensor sum_scratch_, square_sum_;  // f64, for clipping on the GPU
  std::int64_t device_ranges_ = 0;
  std::int64_t steps_ = 0;
  double lr_ = 0;
};

}  // namespace akin
