// The probe as weighted rows: what metrics of features are worked out from, for the probe itself and for bootstrap
// draws of it alike.
#pragma once

#include <string>
#include <vector>

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

/// Row i stands for weight[i] equal images. Metrics that are free of rotations may be given fewer columns than the
/// features had (see compact); `columns` remains their number.
struct Sample {
  std::int64_t rows = 0, k = 0;  ///< x is [rows, k]
  std::vector<double> x;
  std::vector<double> weight;  ///< > 0
  std::vector<int> labels;
  int classes = 0;
  std::int64_t columns = 0;  ///< D
  double images = 0;         ///< N, the sum of weights

  std::vector<double> class_weights() const;
  std::span<const double> row(std::int64_t i) const {
    return std::span(x).subspan(static_cast<std::size_t>(i * k), static_cast<std::size_t>(k));
  }
};

/// The probe's features and labels, each image once. Adds warnings (empty classes, constant columns). Error on unsound
/// labels or features, and where no column varies.
Sample sample_of(const std::string& metric, const Probe& probe, std::vector<std::string>& warnings);

/// The same inner products between rows in min(rows, k) columns.
Sample compact(Sample sample);

/// Takes the weighted mean of the rows from each.
void centre(Sample& sample);

/// A metric that turns one sample into one number; throws Error where undefined.
using SampleValue = std::function<double(const Sample&)>;

/// Draws rows from `sample` by counts, with the labels given.
Resampler resample(Sample sample, SampleValue value);

/// Rows' inner products weighted by the square roots of both weights: the smaller of X^T W X [k,k] and
/// W^1/2 X X^T W^1/2 [rows,rows].
struct WeightedGram {
  bool by_rows;
  std::int64_t size;
  std::vector<double> g;     ///< [size, size]
  std::vector<double> rows;  ///< W^1/2 X [rows, k]
};
WeightedGram weighted_gram(Sample sample);

}  // namespace akin
