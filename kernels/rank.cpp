#include "kernels/rank.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/common/error.hpp"

namespace akin {
namespace {

void refuse_nan(const char* op, std::span<const double> keys) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    AKIN_CHECK(!std::isnan(keys[i]), "{}: key {} of {} is NaN, which has no rank", op, i, keys.size());
  }
}

/// Length of the run of equal keys that starts at `begin`.
std::size_t run_length(std::span<const double> sorted, std::size_t begin, double key) {
  std::size_t end = begin;
  while (end < sorted.size() && sorted[end] == key) ++end;
  return end - begin;
}

}  // namespace

void average_ranks(std::span<const double> keys, std::span<double> ranks) {
  AKIN_CHECK(keys.size() == ranks.size(), "average_ranks: {} keys but room for {} ranks", keys.size(), ranks.size());
  refuse_nan("average_ranks", keys);
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && keys[order[end]] == keys[order[begin]]) ++end;
    const double rank = 0.5 * (double(begin + 1) + double(end));
    for (; begin < end; ++begin) ranks[order[begin]] = rank;
  }
}

double spearman_from_rank_sum(double rank_sum_small, double small, double large, double tie_sum) {
  AKIN_CHECK(small > 0 && large > 0,
             "Spearman correlation with a two-valued B: {} keys of one value and {} of the other; "
             "both must occur",
             small, large);
  const double total = small + large, q = small / total;
  const double variance = (cube_minus_self(total) - tie_sum) / (12 * total);
  AKIN_CHECK(variance > 0, "Spearman correlation: all {} keys are equal, so their order says nothing", total);
  // (mean of large) - (mean of small), from the known sum of all ranks.
  const double mean_small = rank_sum_small / small;
  const double gap = (0.5 * (total + 1) - mean_small) / (1 - q);
  return std::clamp(gap * std::sqrt(q * (1 - q) / variance), -1.0, 1.0);
}

double spearman_two_valued(std::span<double> small, std::span<double> large) {
  refuse_nan("spearman_two_valued", small);
  refuse_nan("spearman_two_valued", large);
  std::sort(small.begin(), small.end());
  std::sort(large.begin(), large.end());
  double rank_sum = 0, tie_sum = 0;
  for (std::size_t i = 0, j = 0; i < small.size() || j < large.size();) {
    const bool from_small = j == large.size() || (i < small.size() && small[i] <= large[j]);
    const double key = from_small ? small[i] : large[j];
    const std::size_t a = run_length(small, i, key), b = run_length(large, j, key);
    rank_sum += double(a) * (double(i + j) + 0.5 * double(a + b + 1));
    if (a + b > 1) tie_sum += cube_minus_self(double(a + b));
    i += a;
    j += b;
  }
  return spearman_from_rank_sum(rank_sum, double(small.size()), double(large.size()), tie_sum);
}

double spearman_two_valued_histogram(std::span<const std::int64_t> small, std::span<const std::int64_t> large) {
  AKIN_CHECK(small.size() == large.size(), "spearman_two_valued_histogram: {} bins against {}", small.size(),
             large.size());
  double rank_sum = 0, tie_sum = 0, below = 0, count_small = 0, count_large = 0;
  for (std::size_t bin = 0; bin < small.size(); ++bin) {
    const double a = double(small[bin]), b = double(large[bin]);
    rank_sum += a * (below + 0.5 * (a + b + 1));
    tie_sum += cube_minus_self(a + b);
    below += a + b;
    count_small += a;
    count_large += b;
  }
  return spearman_from_rank_sum(rank_sum, count_small, count_large, tie_sum);
}

double spearman_from_sums(const RankSums& sums, std::int64_t n) {
  const auto keys = static_cast<unsigned long long>(n);
  AKIN_CHECK(sums.first_nan >= keys, "Spearman correlation: key {} of {} is NaN, which has no rank", sums.first_nan, n);
  const double small = static_cast<double>(sums.small);
  return spearman_from_rank_sum(0.5 * static_cast<double>(sums.twice_rank_sum), small, static_cast<double>(n) - small,
                                sums.tie_sum);
}

}  // namespace akin
