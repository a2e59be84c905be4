// One training step whose images are cut into slices, on one rank or several.
#pragma once

#include "engine/ordered_sum.hpp"
#include "nn/data/slices.hpp"
#include "nn/loss_log.hpp"
#include "nn/objective.hpp"
#include "nn/optimizer.hpp"

namespace akin {

/// Each slice goes forwards and backwards by itself, from the same parameters and running statistics; gradients,
/// weighted by their slices' shares of the images, are added up in the order of slices, and one update follows. Running
/// statistics become the mean of what the slices made of them. All of it has the same bits whoever computes which
/// slice. No step is captured as a graph. With shared statistics batch norms count the images of all ranks, which have
/// one slice each: then running statistics are the same everywhere, and the step is one of the whole batch.
class SlicedStep {
 public:
  /// The references must outlive it. `batch`: images of a step, of which slices.size() says the shares. Moves the
  /// running statistics into an array of their own; their handles stay valid.
  SlicedStep(Context& ctx, Objective& objective, Optimizer& optimizer, const ParameterList& parameters,
             const Slices& slices, std::int64_t batch, bool shared_statistics = false);

  struct Result {
    double loss;  ///< of all slices
    bool stop;    ///< whether any rank asks to stop
  };
  /// Throws LossNotFinite, before the update, on all ranks.
  Result run(std::int64_t step, double lr, bool stop);

 private:
  void run_slice(std::int64_t i, std::int64_t step, bool stop);

  Context& ctx_;
  Objective& objective_;
  Optimizer& optimizer_;
  Slices slices_;
  std::int64_t batch_;
  bool shared_statistics_;
  bool broken_ = false;  ///< a slice of this rank has a loss that is not finite
  std::vector<Tensor> counters_;
  Tensor statistics_, before_;  // running statistics of all norms; as the step found them
  OrderedSum sum_;              // of gradients, and of statistics behind them
};

/// Compares all parameters and moments over the ranks. Throws, on all of them, naming the first that differs and where.
void check_same_on_ranks(Ranks& ranks, const ParameterList& parameters, const Optimizer& optimizer, std::int64_t step);

}  // namespace akin
