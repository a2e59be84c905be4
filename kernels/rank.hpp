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

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

/// Ranks from 1 to N of `keys`, ties averaged.
void average_ranks(std::span<const double> keys, std::span<double> ranks);

/// Spearman's rho in [-1, 1]; sorts both groups in place. Exact sums up to 2^26 keys in all (67 million).
double spearman_two_valued(std::span<double> small, std::span<double> large);

/// The same for counts[b] of keys in bin b of ordered bins. Both spans have one entry a bin.
double spearman_two_valued_histogram(std::span<const std::int64_t> small, std::span<const std::int64_t> large);

/// rho from its parts: the rank sum of the small group, both sizes, and sum over tied sets of t^3 - t (t keys each).
/// Sizes and ranks may be weighted counts. Error if a group is empty or the ranks have no variance.
double spearman_from_rank_sum(double rank_sum_small, double small, double large, double tie_sum);

/// t^3 - t: what t tied keys take from the variance of the ranks, but for a factor.
inline double cube_minus_self(double t) { return t * (t - 1) * (t + 1); }

/// What the device leaves for the host, which then calls spearman_from_sums().
struct RankSums {
  unsigned long long first_nan;       ///< place of the first NaN among the keys; n or more: there is none
  unsigned long long twice_rank_sum;  ///< of the small group
  unsigned long long small;           ///< its size
  double tie_sum;                     ///< sum over tied sets of t^3 - t
};

/// rho of n keys. Error where one of them was NaN, and where spearman_from_rank_sum has one.
double spearman_from_sums(const RankSums& sums, std::int64_t n);

/// Bins of pair_bins().
constexpr std::int64_t kCorrelationBins = 65536;
/// Correlations are rounded to multiples of 2^-40 before they are ranked: a distance 1 - c is a whole number of them, 0
/// to 2^41.
constexpr int kPairKeyBits = 42;

// On a device: all pointers there; n below 2^32. Keys are sorted digit by digit (8 bits, the lowest first, stable), so
// the result depends on nothing but the keys. Bytes: 32 n a digit with values (8 digits for doubles), 24 n without.

/// Of a sort of n keys by `bits` bits; `carried`: bytes that go with each.
constexpr Work sort_work(std::int64_t n, int bits, int carried) {
  return {0, (24.0 + 2 * carried) * static_cast<double>(n) * ((bits + 7) / 8)};
}

/// Bytes of scratch of sort_pairs, average_ranks and spearman_two_valued, 16-byte aligned.
constexpr std::size_t rank_scratch_bytes(std::int64_t n) {
  const auto size = static_cast<std::size_t>(n);
  return 24 * size + (size / 2048 + 3) * 1024 + (1 << 16);
}
/// The same of spearman_of_pairs.
constexpr std::size_t pair_scratch_bytes(std::int64_t sources, std::int64_t pairs) {
  const auto size = static_cast<std::size_t>(pairs);
  return static_cast<std::size_t>(sources) * (8 * size + (size / 2048 + 3) * 1024 + (1 << 15));
}

/// Sorts keys [n] by their lower `bits` bits, and values [n] with them.
template <class Gpu>
void sort_pairs(const Stream<Gpu>& stream, std::int64_t n, int bits, std::uint64_t* keys, std::uint32_t* values,
                void* scratch);
/// The host's ranks. With a NaN among the keys the ranks mean nothing, and sums->first_nan says so.
template <class Gpu>
void average_ranks(const Stream<Gpu>& stream, std::int64_t n, const double* keys, double* ranks, void* scratch,
                   RankSums* sums);
/// Spearman's sums for keys [n] of which those with small[i] != 0 form the small group.
template <class Gpu>
void spearman_two_valued(const Stream<Gpu>& stream, std::int64_t n, const double* keys, const std::uint8_t* small,
                         void* scratch, RankSums* sums);

// Pairs of images, for `sources` matrices of correlations at once and in as many launches as for one.

/// Sets first_nan of sums [sources] to "none".
template <class Gpu>
void clear_sums(const Stream<Gpu>& stream, std::int64_t sources, RankSums* sums);
/// The bit of a pair's key that says that labels agree.
constexpr std::uint64_t kSameLabel = std::uint64_t{1} << 63;
/// Keys [sources, n (n - 1) / 2] of the pairs (i, j), i0 <= i < i0 + rows, i < j < n, from rows of correlation
/// matrices: g [sources, rows, n - i0] holds c[i, j] for j >= i0. Pair (i, j) is number i n - i (i + 1) / 2 + j - i -
/// 1; its key is (1 - c) 2^40, rounded, and kSameLabel where labels [n] agree. A NaN is noted in its source's
/// first_nan.
template <class Gpu>
void pair_keys(const Stream<Gpu>& stream, std::int64_t sources, const double* g, std::int64_t i0, std::int64_t rows,
               std::int64_t n, const std::int32_t* labels, std::uint64_t* keys, RankSums* sums);
/// Sorts such keys source by source and sums over them into sums [sources]; keys are changed.
template <class Gpu>
void spearman_of_pairs(const Stream<Gpu>& stream, std::int64_t sources, std::int64_t pairs, std::uint64_t* keys,
                       void* scratch, RankSums* sums);
/// counts[same][bin] += pairs of those rows by (1 - c) / 2 in kCorrelationBins bins; same: 1 where labels agree.
template <class Gpu>
void pair_bins(const Stream<Gpu>& stream, const double* g, std::int64_t i0, std::int64_t rows, std::int64_t n,
               const std::int32_t* labels, unsigned long long* counts, RankSums* sums);

}  // namespace akin
