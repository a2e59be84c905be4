// All pairs of images in the order of how far apart they are, on the CPU: Spearman's correlation of those distances
// with "labels differ", for the probe and for changed probes. Distances are 2^40 (1 - r) for correlations r rounded to
// multiples of 2^-40: whole numbers, sorted digit by digit, so that ranks, ties and sums are exact and depend on
// neither the order of the work nor the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "distill/similarity/metrics/gpu_rows.hpp"
#include "distill/similarity/metrics/metric.hpp"
#include "kernels/gram.hpp"

namespace akin {

/// Works out the correlations of images in blocks (kernels/gram.hpp, correlation_blocks).
using Correlations = std::function<void(const std::function<void(const GramBlock&)>&)>;

/// PARC's rho of n images. 4 bytes a pair (n (n-1) / 2 of them), and 64 KB a thread. Error where spearman_from_rank_sum
/// has one, and where a correlation is NaN.
double spearman_of_pairs(std::int64_t n, const Correlations& correlations, std::span<const int> labels);

/// Pairs counted by (1 - r) / 2 in kCorrelationBins bins (kernels/rank.hpp). 1 MiB a thread.
PairCounts bins_of_pairs(const Correlations& correlations, std::span<const int> labels);

/// Every pair in ascending order: 4 bytes a pair, and 16 more while they are sorted. n <= kMostImages.
class SortedPairs {
 public:
  static constexpr std::int64_t kMostImages = 8192;
  SortedPairs(std::int64_t n, const Correlations& correlations, std::span<const int> labels);

  /// rho where image i counts counts[i] times, with these labels; NaN where undefined. Pairs of an image with itself
  /// are left out. One pass over the pairs.
  double rho(std::span<const int> counts, std::span<const int> labels) const;
  /// The same for each draw. Bootstrap draws (the labels as given, no image more than 19 times) and shuffled labels
  /// (every image once, labels below 65536) are taken as many in a pass as a vector has lanes: 32 with AVX-512.
  void rho(std::span<const Redraw> draws, std::span<double> values) const;

 private:
  struct Ties {
    std::size_t begin, end;  // places of equally far pairs
  };
  /// Of one draw. Halves are avoided by taking ranks twice; all but the ties' sum are whole numbers.
  struct Sums {
    std::uint64_t twice_rank_sum = 0, same = 0, total = 0;
    double tie_sum = 0;
    double rho() const;
  };
  bool same(std::uint32_t pair, std::span<const int> labels) const {
    return labels[pair >> 16] == labels[pair >> 1 & 0x7fff];
  }
  /// Calls single(begin, end) for stretches without ties of at most `most` pairs, and tied(begin, end) for sets of
  /// ties, in ascending order.
  template <class Single, class Tied>
  void walk(std::size_t most, Single&& single, Tied&& tied) const {
    std::size_t at = 0;
    const auto singles = [&](std::size_t end) {
      for (; at < end; at = std::min(end, at + most)) single(at, std::min(end, at + most));
    };
    for (const Ties& ties : ties_) {
      singles(ties.begin);
      tied(ties.begin, ties.end);
      at = ties.end;
    }
    singles(pairs_.size());
  }
  void weighted_batch(std::span<const Redraw> draws, std::span<double> values) const;
  void shuffled_batch(std::span<const Redraw> draws, std::span<double> values) const;

  std::vector<int> labels_;
  std::vector<std::uint32_t> pairs_;  // i << 16 | j << 1 | same label
  std::vector<Ties> ties_;
};

}  // namespace akin
