// Stage "Similarity" of the pipeline: how much does each source's task resemble the target's? This header lists the
// metrics; a new one is a file pair in distill/metrics and one entry in similarity.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "distill/confidence.hpp"
#include "distill/metrics/metric.hpp"

namespace akin {

/// All metrics: parc, cka, cka-debiased, leep, nce.
const std::vector<Metric>& metrics();

/// The metric called `name`, which may be `parc:K` for PARC after K principal components. UsageError lists the names.
Metric find_metric(std::string_view name);

/// find_metric(name).score(probe). Error where the metric is undefined, saying what to use instead.
Similarity similarity(std::string_view name, const Probe& probe);

/// A row of similarity.csv.
struct SimilarityRow {
  std::string source;
  Similarity similarity;
  Confidence confidence = {};  ///< left empty where not measured
  Chance chance = {};
  double best_share = not_measured;  ///< share of bootstrap draws in which this source is the most similar
};

/// Text of similarity.csv; a number that was not measured is an empty cell.
std::string similarity_csv(std::span<const SimilarityRow> rows);

}  // namespace akin
