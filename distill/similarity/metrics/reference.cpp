#include "distill/similarity/metrics/reference.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "distill/report/figures.hpp"
#include "distill/similarity/metrics/cka.hpp"
#include "kernels/gram.hpp"
#include "kernels/rank.hpp"

namespace akin {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Side {
  std::int64_t n, d;
  std::vector<double> z;
};

/// Columns z-scored.
Side side_of(const char* metric, const char* what, const Probe& probe, const Array& values) {
  const std::vector<double> x = matrix_of(metric, what, values, probe.labels.size());
  Side side{static_cast<std::int64_t>(probe.labels.size()), values.shape()[1], std::vector<double>(x.size())};
  AKIN_CHECK(side.n >= 3, "{} needs at least 3 images, the probe has {}", metric, side.n);
  zscore_columns<double>(kFast, side.n, side.d, x, side.z);
  AKIN_CHECK(std::any_of(side.z.begin(), side.z.end(), [](double value) { return value != 0; }),
             "{} is undefined: {} are the same for all {} images", metric, what, side.n);
  return side;
}

const Array& reference_of(const char* metric, const Probe& probe) {
  AKIN_CHECK(probe.reference.numel() > 0,
             "{}: there is no reference. Give a model trained on the target, or a table of its features (--reference "
             "FILE), or use a metric that needs labels only: parc, cka, logme",
             metric);
  return probe.reference;
}

/// 1 - Pearson for every pair i < j, row by row.
std::vector<double> pearson_distances(const char* what, Side side, std::vector<std::string>& warnings) {
  AKIN_CHECK(side.n <= 8192, "RSA over {} images needs more memory than is sensible; take a probe of at most 8192",
             side.n);
  const std::int64_t n = side.n;
  if (const std::int64_t constant = constant_columns<double>(side.z, n); constant > 0)
    warnings.push_back(fmt::format("{} of {} columns of {} are the same for all images, and count in the correlations",
                                   constant, side.d, what));
  std::int32_t flat = 0;
  standardise_rows(kFast, n, side.d, side.z, side.z, &flat);
  AKIN_CHECK(flat < n,
             "RSA is undefined: the {} column(s) of {} are equal within every image, so images cannot be correlated; "
             "give at least 2 columns that vary, or use cka",
             side.d, what);
  if (flat > 0) warnings.push_back(fmt::format("{} of {} images have {} without variance", flat, n, what));
  std::vector<double> keys;
  keys.reserve(index(n * (n - 1) / 2));
  constexpr std::int64_t kBlock = 256;
  for (std::int64_t i0 = 0; i0 < n; i0 += kBlock) {
    const std::int64_t height = std::min(kBlock, n - i0), width = n - i0;
    std::vector<double> block(index(height * width));
    const auto rest = std::span<const double>(side.z).subspan(index(i0 * side.d));
    gram_xyt<double>(kFast, height, width, side.d, rest.first(index(height * side.d)), rest, block);
    for (std::int64_t i = 0; i < height; ++i)
      for (std::int64_t j = i + 1; j < width; ++j)
        keys.push_back(1 - std::nearbyint(block[index(i * width + j)] * 0x1p40) * 0x1p-40);
  }
  return keys;
}

struct TwoSides {
  std::int64_t n;
  std::vector<double> a, b;  ///< distances of the pairs i < j

  TwoSides(const Probe& probe, std::vector<std::string>& warnings) : n(static_cast<std::int64_t>(probe.labels.size())) {
    const Array& reference = reference_of("RSA", probe);
    a = pearson_distances("features", side_of("RSA", "features", probe, probe.features), warnings);
    b = pearson_distances("reference features", side_of("RSA", "reference features", probe, reference), warnings);
  }
};

/// Pearson's correlation of ranks; `pairs`: how many there are, so that the mean rank is known.
class RankCorrelation {
 public:
  explicit RankCorrelation(double pairs) : mean_(0.5 * (pairs + 1)) {}
  void add(double a, double b, double weight = 1) {
    aa_ += weight * (a - mean_) * (a - mean_);
    bb_ += weight * (b - mean_) * (b - mean_);
    ab_ += weight * (a - mean_) * (b - mean_);
  }
  /// NaN where one side's are all equal.
  double value() const {
    return aa_ > 0 && bb_ > 0 ? std::clamp(ab_ / std::sqrt(aa_) / std::sqrt(bb_), -1.0, 1.0) : not_measured;
  }

 private:
  double mean_, aa_ = 0, bb_ = 0, ab_ = 0;
};

std::vector<double> ranks_of(const std::vector<double>& keys) {
  std::vector<double> ranks(keys.size());
  average_ranks(keys, ranks);
  return ranks;
}

/// Keys in ascending order, to be ranked again with other weights.
class WeightedRanks {
 public:
  explicit WeightedRanks(const std::vector<double>& keys) : order_(keys.size()), last_of_tie_(keys.size()) {
    std::iota(order_.begin(), order_.end(), 0u);
    std::sort(order_.begin(), order_.end(),
              [&](std::uint32_t x, std::uint32_t y) { return keys[x] != keys[y] ? keys[x] < keys[y] : x < y; });
    for (std::size_t i = 0; i < order_.size(); ++i)
      last_of_tie_[i] = i + 1 == order_.size() || keys[order_[i]] != keys[order_[i + 1]];
  }
  std::vector<double> of(const std::vector<double>& weights) const {
    std::vector<double> ranks(order_.size());
    double below = 0, ties = 0;
    for (std::size_t i = 0, begin = 0; i < order_.size(); ++i) {
      ties += weights[order_[i]];
      if (!last_of_tie_[i]) continue;
      for (; begin <= i; ++begin) ranks[order_[begin]] = below + 0.5 * (ties + 1);
      below += ties;
      ties = 0;
    }
    return ranks;
  }

 private:
  std::vector<std::uint32_t> order_;
  std::vector<bool> last_of_tie_;
};

/// Rows of norm 1; a row of zeros stays.
Side unit_rows(const char* what, const Probe& probe, const Array& values) {
  Side side = side_of("DDS", what, probe, values);
  for (std::int64_t i = 0; i < side.n; ++i) {
    double square = 0;
    for (std::int64_t c = 0; c < side.d; ++c) square += side.z[index(i * side.d + c)] * side.z[index(i * side.d + c)];
    for (std::int64_t c = 0; c < side.d && square > 0; ++c) side.z[index(i * side.d + c)] /= std::sqrt(square);
  }
  return side;
}

std::vector<double> cosines(const Side& side) {
  std::vector<double> g(index(side.n * side.n));
  gram_xxt<double>(kFast, side.n, side.d, side.z, g);
  return g;
}

/// Takes row and column means off a Gram matrix so that inner products of two such are unbiased (Szekely, Rizzo,
/// "Partial Distance Correlation with Methods for Dissimilarities", Annals of Statistics 2014); the diagonal is 0.
void centre_unbiased(std::vector<double>& g, std::size_t n) {
  std::vector<double> mean(n, 0.0);
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) {
    g[i * n + i] = 0;
    for (std::size_t j = 0; j < n; ++j) mean[i] += g[i * n + j] / double(n - 2);
    total += mean[i];
  }
  for (double& value : mean) value -= total / (2 * double(n - 1));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) g[i * n + j] = i == j ? 0 : g[i * n + j] - mean[i] - mean[j];
}

double cosine_of(const std::vector<double>& a, const std::vector<double>& b) {
  double aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) aa += a[i] * a[i], bb += b[i] * b[i], ab += a[i] * b[i];
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa) / std::sqrt(bb) : not_measured;
}

/// g[rows[i], rows[j]]
std::vector<double> gather(const std::vector<double>& g, std::size_t n, std::span<const std::size_t> rows) {
  std::vector<double> part(rows.size() * rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t j = 0; j < rows.size(); ++j) part[i * rows.size() + j] = g[rows[i] * n + rows[j]];
  return part;
}

struct Cosines {
  std::size_t n;
  std::vector<double> a, b;
};

Cosines cosines_of(const Probe& probe) {
  const Array& reference = reference_of("DDS", probe);
  AKIN_CHECK(probe.labels.size() >= 4, "DDS needs at least 4 images, the probe has {}", probe.labels.size());
  return {probe.labels.size(), cosines(unit_rows("features", probe, probe.features)),
          cosines(unit_rows("reference features", probe, reference))};
}

}  // namespace

Similarity rsa(const Probe& probe) {
  Similarity result{"rsa", 0};
  const TwoSides sides(probe, result.warnings);
  const std::vector<double> a = ranks_of(sides.a), b = ranks_of(sides.b);
  RankCorrelation sum(double(a.size()));
  for (std::size_t i = 0; i < a.size(); ++i) sum.add(a[i], b[i]);
  result.value = sum.value();
  AKIN_CHECK(!std::isnan(result.value), "RSA is undefined: all images are equally far from each other on one side");
  return result;
}

Resampler rsa_resampler(const Probe& probe) {
  struct State {
    std::size_t n;
    WeightedRanks a, b;
  };
  std::vector<std::string> warnings;
  const TwoSides sides(probe, warnings);
  const auto state =
      std::make_shared<const State>(State{index(sides.n), WeightedRanks(sides.a), WeightedRanks(sides.b)});
  return [state](std::span<const int> counts, std::span<const int>) {
    std::vector<double> weights;
    double pairs = 0;
    for (std::size_t i = 0; i < state->n; ++i)
      for (std::size_t j = i + 1; j < state->n; ++j) weights.push_back(double(counts[i]) * double(counts[j]));
    for (const double weight : weights) pairs += weight;
    const std::vector<double> a = state->a.of(weights), b = state->b.of(weights);
    RankCorrelation sum(pairs);
    for (std::size_t i = 0; i < a.size(); ++i) sum.add(a[i], b[i], weights[i]);
    return sum.value();
  };
}

ReferenceShuffler rsa_shuffler(const Probe& probe) {
  struct State {
    std::size_t n;
    std::vector<double> a, b;  // ranks of pairs; of b as a matrix
  };
  std::vector<std::string> warnings;
  const TwoSides sides(probe, warnings);
  State state{index(sides.n), ranks_of(sides.a), std::vector<double>(index(sides.n * sides.n))};
  const std::vector<double> b = ranks_of(sides.b);
  for (std::size_t i = 0, at = 0; i < state.n; ++i)
    for (std::size_t j = i + 1; j < state.n; ++j, ++at) state.b[i * state.n + j] = state.b[j * state.n + i] = b[at];
  return [shared = std::make_shared<const State>(std::move(state))](std::span<const std::size_t> order) {
    const auto& [n, a, ranks] = *shared;
    RankCorrelation sum(double(a.size()));
    for (std::size_t i = 0, at = 0; i < n; ++i)
      for (std::size_t j = i + 1; j < n; ++j, ++at) sum.add(a[at], ranks[order[i] * n + order[j]]);
    return sum.value();
  };
}

Similarity dds(const Probe& probe) {
  const Array& reference = reference_of("DDS", probe);
  AKIN_CHECK(probe.labels.size() >= 4, "DDS needs at least 4 images, the probe has {}", probe.labels.size());
  const Side a = unit_rows("features", probe, probe.features);
  const Side b = unit_rows("reference features", probe, reference);
  return {"dds", cka(Array::from(a.z, {a.n, a.d}), Array::from(b.z, {b.n, b.d}), CkaForm::debiased).value};
}

Resampler dds_resampler(const Probe& probe) {
  return
      [state = std::make_shared<const Cosines>(cosines_of(probe))](std::span<const int> counts, std::span<const int>) {
        std::vector<std::size_t> rows;
        for (std::size_t i = 0; i < state->n; ++i) rows.insert(rows.end(), static_cast<std::size_t>(counts[i]), i);
        if (rows.size() < 4) return not_measured;
        std::vector<double> a = gather(state->a, state->n, rows), b = gather(state->b, state->n, rows);
        centre_unbiased(a, rows.size());
        centre_unbiased(b, rows.size());
        return cosine_of(a, b);
      };
}

ReferenceShuffler dds_shuffler(const Probe& probe) {
  auto state = std::make_shared<Cosines>(cosines_of(probe));
  centre_unbiased(state->a, state->n);
  centre_unbiased(state->b, state->n);
  return [state](std::span<const std::size_t> order) { return cosine_of(state->a, gather(state->b, state->n, order)); };
}

}  // namespace akin
