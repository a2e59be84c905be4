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
// the result depends on nothing but the keys. Bytes: 24 n a digit; 8 digits for doubles.

/// Of a sort of n keys by `bits` bits, with what each carries.
constexpr Work sort_work(std::int64_t n, int bits) { return {0, 24.0 * static_cast<double>(n) * ((bits + 7) / 8)}; }

/// Bytes of scratch of the functions below, 16-byte aligned.
constexpr std::size_t rank_scratch_bytes(std::int64_t n) {
  const auto size = static_cast<std::size_t>(n);
  return 24 * size + (size / 2048 + 3) * 1024 + (1 << 16);
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

/// Sets sums->first_nan to "none".
template <class Gpu>
void clear_sums(const Stream<Gpu>& stream, RankSums* sums);
/// Keys and groups of the pairs (i, j), i0 <= i < i0 + rows, i < j < n, from rows of a correlation matrix: g [rows, n -
/// i0] holds c[i, j] for j >= i0. Pair (i, j) is number i n - i (i + 1) / 2 + j - i - 1; its key is (1 - c) 2^40,
/// rounded, its group 1 where labels agree. A NaN is noted in sums->first_nan.
template <class Gpu>
void pair_keys(const Stream<Gpu>& stream, const double* g, std::int64_t i0, std::int64_t rows, std::int64_t n,
               const std::int32_t* labels, std::uint64_t* keys, std::uint32_t* small, RankSums* sums);
/// Sorts such keys and sums over them; keys and small are changed.
template <class Gpu>
void spearman_of_pairs(const Stream<Gpu>& stream, std::int64_t pairs, std::uint64_t* keys, std::uint32_t* small,
                       void* scratch, RankSums* sums);
/// counts[same][bin] += pairs of those rows by (1 - c) / 2 in kCorrelationBins bins; same: 1 where labels agree.
template <class Gpu>
void pair_bins(const Stream<Gpu>& stream, const double* g, std::int64_t i0, std::int64_t rows, std::int64_t n,
               const std::int32_t* labels, unsigned long long* counts, RankSums* sums);

}  // namespace akin
