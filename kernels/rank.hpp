// Ranks and rank correlation.
//
//   average_ranks    r[i] = 1 + #{j: key_j < key_i} + (#{j: key_j == key_i} - 1) / 2      keys [N] -> r [N]
//                    one sort: N log2 N comparisons; 16 N bytes beside input and output. Overwrites r.
//
//   spearman_two_valued   Spearman's rho between keys A and a B that takes two values only, given as two groups:
//                    the keys where B is small and the keys where B is large. With P keys in all, ranks with
//                    averaged ties and q = the share of the small group,
//                        rho = (mean rank of large - mean rank of small) * sqrt(q (1-q)) / sd(ranks),
//                    which is Pearson's formula on the ranks with B's own variance worked out by hand. What B's two
//                    values are does not matter. P log2 P comparisons, no memory beside the input, which is sorted.
//
//   spearman_two_valued_histogram   the same from counts of keys in ordered bins, keys of one bin taken as tied:
//                    for so many keys that they should not be stored.
//
// A NaN among the keys is an Error (its place is undefined), and so is an empty group or keys that are all equal:
// then rho is 0/0. -0 equals +0, infinities are ordered as usual.
#pragma once

#include <cstdint>
#include <span>

namespace akin::spec {

/// Ranks from 1 to N of `keys`, ties averaged.
void average_ranks(std::span<const double> keys, std::span<double> ranks);

/// Spearman's rho in [-1, 1]; sorts both groups in place. Exact sums up to 2^26 keys in all (67 million).
double spearman_two_valued(std::span<double> small, std::span<double> large);

/// The same for counts[b] of keys in bin b of ordered bins. Both spans have one entry a bin.
double spearman_two_valued_histogram(std::span<const std::int64_t> small, std::span<const std::int64_t> large);

/// rho from its parts: the rank sum of the small group, both sizes, and sum over tied sets of t^3 - t (t keys each).
/// Sizes and ranks may be weighted counts. Error if a group is empty or the ranks have no variance.
double spearman_from_rank_sum(double rank_sum_small, double small, double large, double tie_sum);

}  // namespace akin::spec
