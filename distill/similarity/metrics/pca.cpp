#include "distill/similarity/metrics/pca.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "distill/similarity/metrics/linalg.hpp"
#include "kernels/common/error.hpp"
#include "kernels/gram.hpp"

namespace akin {
namespace {

struct Decomposition {
  std::int64_t n, d;
  bool by_rows;  // of X X^T, else of X^T X
  std::vector<double> centred;
  Eigen eigen;
  std::int64_t rank = 0;
};

Decomposition decompose(std::span<const double> x, std::int64_t n, std::int64_t d) {
  Decomposition result{n, d, n < d, std::vector<double>(x.size()), {}};
  centre_columns<double>(kFast, n, d, x, result.centred);
  const std::int64_t m = std::min(n, d);
  std::vector<double> gram(static_cast<std::size_t>(m * m));
  if (result.by_rows) {
    gram_xxt<double>(kFast, n, d, result.centred, gram);
  } else {
    gram_xty<double>(kFast, n, d, d, result.centred, result.centred, gram);
  }
  result.eigen = eigen_psd(gram, m);
  const std::vector<double>& values = result.eigen.values;
  const double floor = values[0] * std::numeric_limits<double>::epsilon() * double(std::max(n, d));
  while (result.rank < m && values[static_cast<std::size_t>(result.rank)] > floor) ++result.rank;
  AKIN_CHECK(result.rank > 0,
             "principal components are undefined: the features are the same for all {} images, as far as products of "
             "their numbers tell; scale all features alike, or use leep or nce, which look at class probabilities",
             n);
  return result;
}

std::vector<double> scores_of(const Decomposition& from, std::int64_t k) {
  const auto rows = static_cast<std::size_t>(from.n), kept = static_cast<std::size_t>(k);
  const std::size_t m = from.eigen.values.size();
  std::vector<double> scores(rows * kept);
  if (from.by_rows) {  // X X^T = U S^2 U^T, scores = U S
    for (std::size_t c = 0; c < kept; ++c) {
      for (std::size_t i = 0; i < rows; ++i)
        scores[i * kept + c] = from.eigen.vectors[c * m + i] * std::sqrt(from.eigen.values[c]);
    }
  } else {  // X^T X = V S^2 V^T, scores = X V
    gram_xyt<double>(kFast, from.n, k, from.d, from.centred, std::span(from.eigen.vectors).first(kept * m), scores);
  }
  for (std::size_t c = 0; c < kept; ++c) {
    double extreme = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      if (std::abs(scores[i * kept + c]) > std::abs(extreme)) extreme = scores[i * kept + c];
    }
    for (std::size_t i = 0; extreme < 0 && i < rows; ++i) scores[i * kept + c] = -scores[i * kept + c];
  }
  return scores;
}

}  // namespace

std::vector<double> principal_components(std::span<const double> x, std::int64_t n, std::int64_t d, std::int64_t& k,
                                         std::vector<std::string>& warnings) {
  AKIN_CHECK(k >= 1, "principal components: {} asked for, expected at least 1", k);
  const Decomposition all = decompose(x, n, d);
  if (all.rank < k) {
    warnings.push_back(
        fmt::format("{} principal components asked for, the {} x {} features have {}", k, n, d, all.rank));
    k = all.rank;
  }
  return scores_of(all, k);
}

std::vector<double> principal_components_of_share(std::span<const double> x, std::int64_t n, std::int64_t d,
                                                  double share, std::int64_t& k) {
  const Decomposition all = decompose(x, n, d);
  double total = 0, sum = 0;
  for (const double value : all.eigen.values) total += value;
  for (k = 0; k < all.rank && !(sum > share * total); ++k) sum += all.eigen.values[static_cast<std::size_t>(k)];
  return scores_of(all, k);
}

}  // namespace akin
