// Stage "Similarity" for a whole bank: every source by one metric, with interval, level of chance and how stable the
// ranking is. A metric that is undefined for a source says so in its row and stops nothing.
#pragma once

#include <string>
#include <vector>

#include "distill/similarity/metrics.hpp"
#include "distill/task/source.hpp"

namespace akin {

inline constexpr int kMostLayers = 10000;  ///< of a model

/// A source as metrics see it. All candidates of a bank have the same labels.
struct Candidate {
  std::string name;
  Probe probe;
  int layers = 0;  ///< weight layers, up to kMostLayers, for plasticity; 0: unknown
};

/// One metric over the bank.
struct Measurement {
  Metric metric;
  std::vector<SimilarityRow> rows;  ///< in the order of the bank
  double agreement = not_measured;  ///< of the rankings of two bootstrap draws, see ranking_agreement

  /// The first reason why a source has no value, with its name; empty where all have one.
  std::string first_undefined() const;
  /// The values; NaN where undefined.
  std::vector<double> values() const;
};

/// replicates = 0: values only. `ranks`: all of them call it with the same bank, each measures some of the sources, and
/// all get the same bits as one that is alone; nullptr: it is.
Measurement measure(const Metric& metric, std::span<const Candidate> bank, const ConfidenceOptions& options = {},
                    Ranks* ranks = nullptr);

/// Rows of `outputs` (made for task.target) for the pool positions `probe`, with their labels: what metrics work on.
Probe make_probe(const Outputs& outputs, const Task& task, const Indices& probe);

/// What the sources say of the pool positions `probe`: outputs[s] is that of sources[s] for task.target. `reference`:
/// outputs of a model trained on the target, or nullptr. Metrics may use `ctx`'s GPU.
std::vector<Candidate> candidates_of(Context& ctx, const std::vector<Source>& sources,
                                     const std::vector<Outputs>& outputs, const Task& task, const Indices& probe,
                                     const Outputs* reference = nullptr);

/// Convolutions and linear layers of a model, parallel branches and squeeze-excite layers included, shortcuts' 1x1
/// convolutions left out: 50 for ResNet-50. 0 for a table.
int weight_layers(const Source& source);

}  // namespace akin
