#include "distill/similarity/metrics/spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "distill/report/figures.hpp"
#include "distill/similarity/metrics/linalg.hpp"
#include "kernels/gram.hpp"

namespace akin {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

void finish(Spectrum& s) {
  const double largest = s.sigma.empty() ? 0 : s.sigma[0];
  const double floor = largest * std::numeric_limits<double>::epsilon() * std::max(s.images, double(s.columns));
  s.rank = static_cast<std::size_t>(
      std::count_if(s.sigma.begin(), s.sigma.end(), [&](double value) { return value > floor; }));
}

Spectrum start(const Sample& sample) {
  Spectrum s;
  s.class_images = sample.class_weights();
  s.images = sample.images;
  s.columns = sample.columns;
  constexpr std::int64_t kTogether = 8;  // rows: their sums do not wait for each other
  for (std::int64_t first = 0; first < sample.rows; first += kTogether) {
    const std::int64_t rows = std::min(kTogether, sample.rows - first);
    double square[kTogether] = {};
    const double* x[kTogether];
    for (std::int64_t r = 0; r < kTogether; ++r) x[r] = sample.row(first + std::min(r, rows - 1)).data();
    for (std::int64_t c = 0; c < sample.k; ++c)
      for (std::int64_t r = 0; r < kTogether; ++r) square[r] += x[r][c] * x[r][c];
    for (std::int64_t r = 0; r < rows; ++r) s.fourth += sample.weight[index(first + r)] * square[r] * square[r];
  }
  return s;
}

}  // namespace

Spectrum spectrum_of(Sample sample, bool centred) {
  if (centred) centre(sample);
  Spectrum s = start(sample);
  const std::int64_t classes = sample.classes, columns = sample.k;
  const std::vector<double> weight = sample.weight;
  const std::vector<int> labels = sample.labels;
  const WeightedGram gram = weighted_gram(std::move(sample));
  std::vector<double> b(index(gram.size * classes), 0.0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double root = std::sqrt(weight[i]);
    const std::size_t c = static_cast<std::size_t>(labels[i]), row = i * index(columns);
    if (gram.by_rows) {
      b[i * index(classes) + c] = root;
    } else {
      for (std::int64_t k = 0; k < columns; ++k) b[index(k * classes) + c] += root * gram.rows[row + index(k)];
    }
  }
  Eigen eigen = eigen_psd(gram.g, gram.size, b, classes);
  s.sigma = std::move(eigen.values);
  s.squares = std::move(eigen.vectors);
  for (std::size_t at = 0; at < s.squares.size(); ++at)
    s.squares[at] *= s.squares[at] * (gram.by_rows ? s.sigma[at / index(classes)] : 1.0);
  finish(s);
  return s;
}

Resampler spectrum_resampler(Sample sample, bool centred, std::function<double(const Spectrum&)> value) {
  struct Basis {
    Spectrum spectrum;           // of the whole probe
    std::vector<double> images;  // [K, N]: what each image adds to g
  };
  const auto whole = std::make_shared<Basis>();
  const Sample rows = compact(std::move(sample));
  {
    Sample moved = rows;
    if (centred) centre(moved);
    const WeightedGram gram = weighted_gram(moved);
    whole->spectrum = start(moved);
    Eigen eigen;
    if (gram.by_rows) {
      eigen = eigen_psd(gram.g, gram.size);
    } else {
      std::vector<double> transposed(moved.x.size());
      for (std::int64_t i = 0; i < moved.rows; ++i)
        for (std::int64_t k = 0; k < moved.k; ++k)
          transposed[index(k * moved.rows + i)] = moved.x[index(i * moved.k + k)];
      eigen = eigen_psd(gram.g, gram.size, transposed, moved.rows);
    }
    whole->spectrum.sigma = std::move(eigen.values);
    whole->images = std::move(eigen.vectors);
    for (std::size_t at = 0; gram.by_rows && at < whole->images.size(); ++at)
      whole->images[at] *= std::sqrt(whole->spectrum.sigma[at / index(moved.rows)]);
    finish(whole->spectrum);
  }
  const Resampler drawn =
      resample(rows, [centred, value](const Sample& part) { return value(spectrum_of(part, centred)); });
  const int classes = rows.classes;
  return [whole, drawn, value, classes](std::span<const int> counts, std::span<const int> labels) {
    if (std::any_of(counts.begin(), counts.end(), [](int count) { return count != 1; })) return drawn(counts, labels);
    Spectrum s = whole->spectrum;
    s.class_images = class_sizes(labels, classes);
    s.squares.assign(s.sigma.size() * index(classes), 0.0);
    for (std::size_t k = 0; k < s.sigma.size(); ++k) {
      double* g = &s.squares[k * index(classes)];
      for (std::size_t i = 0; i < labels.size(); ++i) g[labels[i]] += whole->images[k * labels.size() + i];
      for (int c = 0; c < classes; ++c) g[c] *= g[c];
    }
    try {
      return value(s);
    } catch (const Error&) {
      return not_measured;
    }
  };
}

}  // namespace akin
