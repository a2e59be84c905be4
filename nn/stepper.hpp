// One training step: forward, backward, update; on a GPU captured once as a graph and repeated.
#pragma once

#include <memory>
#include <optional>

#include "nn/loss_log.hpp"
#include "nn/objective.hpp"
#include "nn/optimizer.hpp"

namespace akin {

/// With a graph, the first steps run as usual and fill a memory pool of their own; then the kernels of one step are
/// captured, with the addresses they used, and every later step starts them at once. Host code of the loss runs no
/// more: what changes from step to step lies on the device (the batch, the learning rate). The results are the same
/// bits.
class Stepper {
 public:
  /// The references must outlive it. `graph` counts on a GPU only.
  Stepper(Context& ctx, Objective& objective, Optimizer& optimizer, const ParameterList& parameters, bool graph);

  /// Step `step` on its batch; its loss goes to losses(). On the CPU a loss that is not finite throws before the
  /// update.
  void run(std::int64_t step, double lr);
  LossLog& losses() { return losses_; }
  /// Kernels and copies of the captured step; 0 when there is none (yet).
  std::size_t graph_nodes() const { return graph_ == nullptr ? 0 : graph_->nodes(); }

 private:
  /// `step`: its loss goes to losses() at once; none while a graph is captured, where nothing may be read.
  Tensor queue_step(std::optional<std::int64_t> step);
  void capture();

  Context& ctx_;
  Objective& objective_;
  Optimizer& optimizer_;
  LossLog losses_;
  bool use_graph_;
  std::vector<Tensor> counters_;     // num_batches_tracked: what the loss's host code would have counted
  std::shared_ptr<Allocator> pool_;  // of the captured step alone: nobody else writes between its replays
  Tensor loss_;                      // where the graph leaves the loss
  std::unique_ptr<GpuGraph> graph_;
  int warm_steps_ = 0;
};

}  // namespace akin
