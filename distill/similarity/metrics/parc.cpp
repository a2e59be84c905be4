#include "distill/similarity/metrics/parc.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>

#include "distill/similarity/metrics/gpu_rows.hpp"
#include "distill/similarity/metrics/pca.hpp"
#include "kernels/gram.hpp"
#include "kernels/rank.hpp"

namespace akin {
namespace {

constexpr std::int64_t kBins = kCorrelationBins;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Rows whose inner products are the correlations: here, or (ctx) on the GPU.
struct Rows {
  std::int64_t n, d;
  std::vector<double> z;
  GpuRows gpu = {};

  /// Inner products of rows i0 .. i0+height-1 with rows i0 .. n-1.
  std::vector<double> products(std::int64_t i0, std::int64_t height) const {
    if (gpu.ctx != nullptr) return gram_block(gpu, i0, height);
    std::vector<double> block(index(height * (n - i0)));
    const auto rest = std::span(z).subspan(index(i0 * d));
    gram_xyt<double>(kFast, height, n - i0, d, rest.first(index(height * d)), rest, block);
    return block;
  }
};

Rows standardised(const Probe& probe, const ParcOptions& options, std::vector<std::string>& warnings) {
  AKIN_CHECK(options.components >= 0, "PARC: {} principal components asked for; 0 means none", options.components);
  std::vector<double> x = matrix_of("PARC", "features", probe.features, probe.labels.size());
  std::int64_t n = probe.features.shape()[0], d = probe.features.shape()[1];
  if (options.components > 0 && d > 0) {
    std::int64_t kept = options.components;
    x = principal_components(x, n, d, kept, warnings);
    d = kept;
  } else if (const std::int64_t constant = constant_columns(x, n); constant > 0) {
    warnings.push_back(fmt::format(
        "{} of {} feature columns are the same for all images, and count in the correlations", constant, d));
  }
  Rows rows{n, d, {}};
  std::int64_t flat = 0;
  if (on_gpu(probe)) {
    rows.gpu = standardised_rows(*probe.ctx, x, n, d, flat);
  } else {
    rows.z.resize(x.size());
    zscore_columns<double>(kFast, n, d, x, rows.z);
    std::int32_t found = 0;
    standardise_rows(kFast, n, d, rows.z, rows.z, &found);
    flat = found;
  }
  AKIN_CHECK(flat < n,
             "PARC: the {} feature column(s) of every image are equal as far as 16 digits tell, so images cannot be "
             "correlated; "
             "give features of at least 2 columns that vary, or use the metric cka",
             d);
  if (flat > 0) {
    warnings.push_back(
        fmt::format("{} of {} images have features without variance; taken as unlike all others", flat, n));
  }
  if (d == 2) warnings.push_back("features have 2 columns, so every correlation is +1 or -1: a coarse ranking");
  return rows;
}

/// Refuses labels without a pair of equal or of different ones.
void check_pairs(const Probe& probe) {
  double same = 0;
  for (const double size : class_sizes(probe.labels, probe.classes)) same += size * (size - 1) / 2;
  AKIN_CHECK(same > 0,
             "PARC is undefined: no two of the {} probe images share a label. Give at least 2 labels a class, or use a "
             "metric that needs no such pair: leep or logme",
             probe.labels.size());
}

/// Calls visit(i, j, correlation) for every i < j. A block of rows at a time, so that N x N is never in memory.
template <class Visit>
void for_each_pair(const Rows& rows, Visit&& visit) {
  constexpr std::int64_t kBlock = 256;
  for (std::int64_t i0 = 0; i0 < rows.n; i0 += kBlock) {
    const std::int64_t height = std::min(kBlock, rows.n - i0), width = rows.n - i0;
    const std::vector<double> block = rows.products(i0, height);
    for (std::int64_t i = 0; i < height; ++i) {
      for (std::int64_t j = i + 1; j < width; ++j) {
        const double rounded = std::nearbyint(block[index(i * width + j)] * 0x1p40) * 0x1p-40;
        visit(i0 + i, i0 + j, std::clamp(rounded, -1.0, 1.0));
      }
    }
  }
}

bool same_label(const Probe& probe, std::int64_t i, std::int64_t j) {
  return probe.labels[index(i)] == probe.labels[index(j)];
}

double exact(const Probe& probe, const Rows& rows) {
  if (rows.gpu.ctx != nullptr) return spearman_of_pairs(rows.gpu, probe.labels);
  std::vector<double> same, different;
  double same_pairs = 0;
  for (const double size : class_sizes(probe.labels, probe.classes)) same_pairs += size * (size - 1) / 2;
  same.reserve(static_cast<std::size_t>(same_pairs));
  different.reserve(index(rows.n * (rows.n - 1) / 2) - same.capacity());
  for_each_pair(rows, [&](std::int64_t i, std::int64_t j, double correlation) {
    (same_label(probe, i, j) ? same : different).push_back(1 - correlation);
  });
  return spearman_two_valued(same, different);
}

/// What counting in bins may have changed: rho = gap / sd of the ranks. Each of the same[b] different[b] pairs of pairs
/// that share a bin moves the rank sum by at most 1/2; the sd lies between that of tied bins and that without ties.
double bound_of(const std::vector<std::int64_t>& same, const std::vector<std::int64_t>& different, double value) {
  double in_doubt = 0, m = 0, k = 0, ties = 0;
  for (std::size_t b = 0; b < same.size(); ++b) {
    const double a = double(same[b]), c = double(different[b]), t = a + c;
    in_doubt += 0.5 * a * c;
    m += a;
    k += c;
    ties += t * (t - 1) * (t + 1);
  }
  const double pairs = m + k, q = m / pairs;
  const double least = std::sqrt((pairs * (pairs - 1) * (pairs + 1) - ties) / (12 * pairs));
  const double most = std::sqrt((pairs - 1) * (pairs + 1) / 12);
  return in_doubt / m / (1 - q) * std::sqrt(q * (1 - q)) / least + std::abs(value) * (1 - least / most);
}

double binned(const Probe& probe, const Rows& rows, Similarity& result) {
  PairCounts counts{std::vector<std::int64_t>(index(kBins), 0), std::vector<std::int64_t>(index(kBins), 0)};
  if (rows.gpu.ctx != nullptr) {
    counts = count_pairs(rows.gpu, probe.labels);
  } else {
    for_each_pair(rows, [&](std::int64_t i, std::int64_t j, double correlation) {
      const auto bin = static_cast<std::int64_t>((1 - correlation) * 0.5 * double(kBins));
      ++(same_label(probe, i, j) ? counts.same : counts.different)[index(std::min(bin, kBins - 1))];
    });
  }
  const double value = spearman_two_valued_histogram(counts.same, counts.different);
  result.error_bound = bound_of(counts.same, counts.different, value);
  result.warnings.push_back(
      fmt::format("{} images: correlations counted in {} bins; the value is off by at most {:.1e}", rows.n, kBins,
                  result.error_bound));
  return value;
}

/// Every pair with its place in the order of A.
class RankedPairs {
 public:
  RankedPairs(const Probe& probe, const Rows& rows) : n_(rows.n), classes_(probe.classes) {
    struct Keyed {
      double key;
      std::uint32_t i, j;
    };
    std::vector<Keyed> keyed;
    keyed.reserve(index(n_ * (n_ - 1) / 2));
    for_each_pair(rows, [&](std::int64_t i, std::int64_t j, double correlation) {
      keyed.push_back({1 - correlation, static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(j)});
    });
    std::sort(keyed.begin(), keyed.end(), [](const Keyed& a, const Keyed& b) { return a.key < b.key; });
    rank_.resize(index(n_ * n_), 0.0);
    pairs_.reserve(keyed.size());
    for (std::size_t begin = 0; begin < keyed.size();) {
      std::size_t end = begin;
      while (end < keyed.size() && keyed[end].key == keyed[begin].key) ++end;
      const double ties = double(end - begin), rank = 0.5 * (double(begin + 1) + double(end));
      tie_sum_ += ties * (ties - 1) * (ties + 1);
      for (; begin < end; ++begin) {
        const auto [key, i, j] = keyed[begin];
        rank_[index(i * n_ + j)] = rank_[index(j * n_ + i)] = rank;
        pairs_.push_back({i, j, begin + 1 == end});
      }
    }
  }

  double operator()(std::span<const int> counts, std::span<const int> labels) const {
    const bool once = std::all_of(counts.begin(), counts.end(), [](int c) { return c == 1; });
    const auto parts = once ? permuted(labels) : weighted(counts, labels);
    const double total = parts.same + parts.different;
    if (!(parts.same > 0) || !(parts.different > 0) || !(total * (total * total - 1) > parts.tie_sum)) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    return spearman_from_rank_sum(parts.rank_sum, parts.same, parts.different, parts.tie_sum);
  }

 private:
  struct Parts {
    double rank_sum = 0, same = 0, different = 0, tie_sum = 0;
  };
  struct Pair {
    std::uint32_t i : 31, j : 31;
    bool last_of_tie;
  };

  /// Every image once: ranks stay, only which pairs are of one class changes.
  Parts permuted(std::span<const int> labels) const {
    std::vector<std::vector<std::int64_t>> members(index(classes_));
    for (std::int64_t i = 0; i < n_; ++i) members[index(labels[index(i)])].push_back(i);
    Parts parts;
    for (const auto& images : members) {
      for (std::size_t a = 0; a < images.size(); ++a) {
        for (std::size_t b = a + 1; b < images.size(); ++b) parts.rank_sum += rank_[index(images[a] * n_ + images[b])];
      }
      parts.same += 0.5 * double(images.size()) * (double(images.size()) - 1);
    }
    parts.different = double(pairs_.size()) - parts.same;
    parts.tie_sum = tie_sum_;
    return parts;
  }

  /// Pair (i, j) stands for counts[i] * counts[j] tied pairs.
  Parts weighted(std::span<const int> counts, std::span<const int> labels) const {
    Parts parts;
    double below = 0, same = 0, different = 0;
    for (const Pair& pair : pairs_) {
      const double weight = double(counts[pair.i]) * double(counts[pair.j]);
      (labels[pair.i] == labels[pair.j] ? same : different) += weight;
      if (!pair.last_of_tie) continue;
      const double ties = same + different;
      parts.rank_sum += same * (below + 0.5 * (ties + 1));
      parts.tie_sum += ties * (ties - 1) * (ties + 1);
      parts.same += same;
      parts.different += different;
      below += ties;
      same = different = 0;
    }
    return parts;
  }

  std::int64_t n_;
  int classes_;
  double tie_sum_ = 0;
  std::vector<Pair> pairs_;
  std::vector<double> rank_;
};

}  // namespace

Similarity parc(const Probe& probe, const ParcOptions& options) {
  Similarity result{options.components > 0 ? fmt::format("parc:{}", options.components) : "parc", 0,
                    check_labels("PARC", probe)};
  check_pairs(probe);
  const Rows rows = standardised(probe, options, result.warnings);
  result.value = rows.n < options.histogram_from ? exact(probe, rows) : binned(probe, rows, result);
  return result;
}

Resampler parc_resampler(const Probe& probe, const ParcOptions& options) {
  check_labels("PARC", probe);
  check_pairs(probe);
  AKIN_CHECK(probe.labels.size() <= 8192,
             "PARC: an interval over {} images needs more memory than is sensible; take a probe of at most 8192",
             probe.labels.size());
  std::vector<std::string> warnings;
  const auto ranked = std::make_shared<const RankedPairs>(probe, standardised(probe, options, warnings));
  return [ranked](std::span<const int> counts, std::span<const int> labels) { return (*ranked)(counts, labels); };
}

}  // namespace akin
