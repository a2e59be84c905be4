// The one training loop: sources, students and baselines differ only in the objective they hand in.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nn/curve.hpp"
#include "nn/objective.hpp"
#include "nn/optimizer.hpp"
#include "nn/schedule.hpp"

namespace akin {

struct TrainOptions {
  Schedule schedule;
  OptimizerOptions optimizer;
  std::int64_t eval_every = 0;  ///< steps between curve points; 0 = a tenth of the run
  bool graph = true;            ///< a GPU captures a step and repeats it; see stepper.hpp
  // Several slices, or ranks (the Context's): see sliced_step.hpp.
  std::int64_t slices = 1;           ///< of a step; of count_slices()
  std::int64_t batch = 1;            ///< images of a step, of which slices are shares
  bool sync_batchnorm = false;       ///< batch norms count the images of all ranks, which have one slice each
  std::int64_t compare_every = 100;  ///< steps between comparisons of the parameters over the ranks; 0: never
};

/// Where a run keeps its state, and whether it goes on from there.
struct Place {
  std::filesystem::path checkpoint = {};  ///< empty: none is written; its folder is made where it is missing
  std::int64_t checkpoint_every = 0;      ///< steps; 0 = only when stopped
  bool resume = false;                    ///< go on from the checkpoint where there is one
  std::string fingerprint = {};           ///< of the configuration: a checkpoint of another one is refused
};

struct TrainHooks {
  /// Called once before the first step with its number: 0, or where a checkpoint left off.
  std::function<void(std::int64_t first)> begin = {};
  /// Accuracy on images that no one trains on; optional.
  std::function<double()> validate = {};
  std::function<void(std::int64_t done, double loss)> progress = {};
  /// True: write a checkpoint and return early; optional.
  std::function<bool()> stop = {};
};

struct TrainResult {
  std::int64_t steps = 0;
  bool finished = false;  ///< false: stopped early, the checkpoint holds the state
  std::vector<CurvePoint> curve;
  double best_validation = -1;  ///< -1: never measured
  std::int64_t best_step = 0;
  std::vector<Array> best;  ///< the parameters as they were then, in their order; empty where never measured
  double seconds = 0;       ///< in the loop, the parts before a resume included
};

/// With several ranks all of them call it, with the same arguments: the first writes and reads the checkpoint, which
/// goes on with any number of ranks, and one that is asked to stop stops all, after the step. Trains `parameters` in
/// place and leaves them as the last step left them. Deterministic: a run that was stopped and resumed gives the same
/// bits as one that was not, for the same seed and device. Throws when the loss is NaN or infinite, naming the step,
/// when a checkpoint does not fit, and before the first step where none can be written. A finished run leaves its last
/// checkpoint behind: whoever saves the result calls remove_checkpoint() after that, so that a crash in between costs
/// the steps since then and not the run.
TrainResult train(Context& ctx, const ParameterList& parameters, const TrainOptions& options, const Place& place,
                  Objective& objective, const TrainHooks& hooks);

/// Removes the checkpoint of a run that is finished, where there is one.
void remove_checkpoint(const std::filesystem::path& file);

/// Whether `file` is there and was written under this fingerprint. Throws, naming the file, where it is damaged.
bool is_checkpoint_of(const std::filesystem::path& file, const std::string& fingerprint);
/// The fingerprint it was written under; nothing where there is no such file. Errors likewise.
std::optional<std::string> checkpoint_fingerprint(const std::filesystem::path& file);

}  // namespace akin
