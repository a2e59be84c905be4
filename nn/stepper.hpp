// One training step: forward, backward, update; on a GPU captured once as a graph and repeated.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "nn/loss_log.hpp"
#include "nn/objective.hpp"
#include "nn/optimizer.hpp"

namespace akin {

/// With a graph, the first steps run as usual and fill a memory pool of their own; then the kernels of one step are
/// captured, with the addresses they used, and every later step starts them at once. Host code of the loss runs no
/// more: what changes from step to step lies on the device (the batch, the learning rate). The results are the same
/// bits. A batch is read where it lies: batches take turns in a few places (a Feed has two slots), and each place gets
/// a graph of its own; where there are more places than graphs, further batches are copied to one place.
class Stepper {
 public:
  /// The references must outlive it. `graph` counts on a GPU only.
  Stepper(Context& ctx, Objective& objective, Optimizer& optimizer, const ParameterList& parameters, bool graph);

  /// Step `step` on its batch; its loss goes to losses(). On the CPU a loss that is not finite throws before the
  /// update.
  void run(std::int64_t step, double lr);
  LossLog& losses() { return losses_; }
  /// Kernels and copies of a captured step; 0 when there is none (yet).
  std::size_t graph_nodes() const { return graphs_.empty() ? 0 : graphs_.front().graph->nodes(); }
  /// Graphs that there are, each for batches in another place.
  std::size_t graphs() const { return graphs_.size(); }

 private:
  /// `step`: its loss goes to losses() at once; none while a graph is captured, where nothing may be read.
  Tensor queue_step(std::optional<std::int64_t> step);
  /// A step that reads its batch from `places`.
  struct Captured {
    std::vector<const void*> places;
    Tensor loss;  // where the graph leaves it
    std::unique_ptr<GpuGraph> graph;
  };
  Captured* find(const std::vector<const void*>& places);
  Captured& capture(std::vector<const void*> places);

  Context& ctx_;
  Objective& objective_;
  Optimizer& optimizer_;
  LossLog losses_;
  bool use_graph_;
  std::vector<Tensor> counters_;     // num_batches_tracked: what the loss's host code would have counted
  std::shared_ptr<Allocator> pool_;  // of the captured steps alone: nobody else writes between their replays
  std::vector<Tensor> spare_;        // a capture gets no new memory: room for the loss that each of them holds on to
  std::vector<Captured> graphs_;
  int warm_steps_ = 0;
};

}  // namespace akin
