// Stage "Similarity" of the pipeline: how much does each source's task resemble the target's? This header lists the
// metrics; a new one is a file pair in distill/similarity/metrics and one entry in metrics.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "distill/similarity/confidence.hpp"
#include "distill/similarity/metrics/metric.hpp"

namespace akin {

/// All metrics in their usual form: parc, cka, cka-debiased, rsa, dds, leep, nce, nleep, logme, hscore, hscore-reg,
/// transrate, gbc, knn, plasticity.
const std::vector<Metric>& metrics();

/// The metric called `name`, also with a parameter: parc:K (principal components), knn:K (neighbours), transrate:EPS,
/// gbc:full, gbc:diagonal, gbc:spherical, plasticity:METRIC. UsageError lists the names.
Metric find_metric(std::string_view name);

/// find_metric(name).score(probe). Error where the metric is undefined, saying what to use instead. A metric over the
/// bank needs all sources: measure() in distill/similarity/measure.hpp.
Similarity similarity(std::string_view name, const Probe& probe);

/// A row of similarity.csv.
struct SimilarityRow {
  std::string source;
  Similarity similarity;
  Confidence confidence = {};  ///< left empty where not measured
  Chance chance = {};
  double best_share = not_measured;  ///< share of bootstrap draws in which this source is the most similar
  double agreement = not_measured;   ///< of the rankings of two draws, see ranking_agreement; the same for all sources
  std::string undefined = {};        ///< why there is no value; empty where there is one
  std::string metric_why = {};       ///< why this metric; empty where it was asked for by name
};

/// The warnings of all rows, each told once: of many sources with their number. Those that differ in numbers only count
/// as one.
std::vector<std::string> shared_warnings(std::span<const SimilarityRow> rows);

/// disputed_lead of distill/similarity/confidence.hpp for measured rows.
std::string disputed_lead(std::span<const SimilarityRow> rows);

/// Text of similarity.csv; a number that was not measured is an empty cell.
std::string similarity_csv(std::span<const SimilarityRow> rows);

}  // namespace akin
