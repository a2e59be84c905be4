// Stages FeatureBank, Similarity and Weights for a whole bank.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "distill/events.hpp"
#include "distill/similarity/metric_choice.hpp"
#include "distill/similarity/metrics.hpp"
#include "distill/similarity/weights.hpp"
#include "distill/task/file_digests.hpp"
#include "distill/task/outputs.hpp"

namespace akin {

struct RankOptions {
  std::string metric = "parc";              ///< or auto: see choose_metric
  std::string mapping = {};                 ///< empty: the metric's own
  std::int64_t probe_limit = 500;           ///< labelled images that similarity is measured on
  int replicates = 200;                     ///< bootstrap draws and label shuffles; 0 = none
  std::filesystem::path reference = {};     ///< a model trained on the target or its table, for rsa and dds
  std::shared_ptr<FileDigests> files = {};  ///< of the run, which notices another reference; nullptr: nobody does
};

/// What each source says of the target and how similar its task is.
struct Ranking {
  std::vector<Outputs> outputs;     ///< a source each, for task.target
  std::vector<SimilarityRow> rows;  ///< in the order of the sources
  Mapping mapping;
  MetricChoice metric = {};  ///< what rows are measured by
};

/// Stage FeatureBank: features and logits of every source for task.target. `known`: those of the first sources.
std::vector<Outputs> bank_outputs(Context& ctx, const Task& task, const std::vector<Source>& sources,
                                  const OutputOptions& outputs, const Events& events = {},
                                  std::vector<Outputs> known = {});

/// The same for options.reference; nothing where it is empty.
std::optional<Outputs> reference_outputs(Context& ctx, const Task& task, const RankOptions& options,
                                         const OutputOptions& outputs);

/// Stages FeatureBank and Similarity for one task. Where the metric is undefined for a source, its row says why.
/// `known`: the outputs of an earlier ranking of the same sources for the same task, which are then not computed again.
/// With several ranks in the Context all of them call it and share images and sources.
Ranking rank_sources(Context& ctx, const Task& task, const std::vector<Source>& sources, const RankOptions& options,
                     const OutputOptions& outputs, std::uint64_t seed, const Events& events = {},
                     std::vector<Outputs> known = {});

/// The source with the largest similarity of those that `fits` (all, where it is empty); rows.size() where there is
/// none. Error where a similarity is not a number.
std::size_t most_similar(const Ranking& ranking, const std::function<bool(std::size_t)>& fits = {});

}  // namespace akin
