// Rows of features on a GPU, for metrics built on their inner products. Sums are in double in the order of the CPU, or
// as trees; results agree with the CPU's to rounding.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/tensor.hpp"
#include "kernels/rank.hpp"

namespace akin {

/// Rows [n,d] in double in the memory of a GPU.
struct GpuRows {
  Context* ctx = nullptr;
  std::int64_t n = 0, d = 0;
  Tensor z;
};

/// Columns minus their means.
GpuRows centred_rows(Context& ctx, std::span<const double> x, std::int64_t n, std::int64_t d);
/// Columns z-scored, then rows brought to mean 0 and norm 1; `flat` of them had no variance and are zero.
/// T: float or double.
template <class T>
GpuRows standardised_rows(Context& ctx, std::span<const T> x, std::int64_t n, std::int64_t d, std::int64_t& flat);

/// Squared norm of each row.
std::vector<double> squared_norms(const GpuRows& rows);
/// Inner products of all rows [n,n].
Tensor gram_of(const GpuRows& rows);
/// Inner products of rows i0 .. i0+height-1 with rows i0 .. n-1, in host memory: [height, n - i0].
std::vector<double> gram_block(const GpuRows& rows, std::int64_t i0, std::int64_t height);
/// sum over the inner products of columns, squared: ||A^T B||_F^2, A and B of equally many rows.
double squared_column_products(const GpuRows& a, const GpuRows& b);
/// sum over all elements of a b, two Grams of one size.
double sum_of_products(Context& ctx, const Tensor& a, const Tensor& b);

/// Spearman's rho between 1 - <row i, row j>, rounded to multiples of 2^-40, and "labels differ", over all i < j. Takes
/// about 16 bytes a pair, and the products by blocks of rows.
double spearman_of_pairs(const GpuRows& rows, std::span<const int> labels);
/// Its sums for one source, and the rows that standardised_rows found flat.
struct RankedPairs {
  RankSums sums;
  std::int64_t flat;
};
/// Rows of which rank_sources can take the products as one matrix (256 MiB).
constexpr std::int64_t kMostBatchRows = 5792;
/// standardised_rows and spearman_of_pairs of sources with the same labels: x[s] is [n, columns of s]. As many at once
/// as take `budget` bytes of device memory, or one; a batch of them takes 26 launches, however many they are. Features
/// are copied once, as they are, by way of pinned memory. T: float or double.
template <class T>
std::vector<RankedPairs> rank_sources(Context& ctx, std::span<const std::span<const T>> x, std::int64_t n,
                                      std::span<const int> labels, std::size_t budget = std::size_t{1} << 30);
/// The same distances counted in kCorrelationBins bins (see kernels/rank.hpp), for different labels and for equal ones.
struct PairCounts {
  std::vector<std::int64_t> different, same;
};
PairCounts count_pairs(const GpuRows& rows, std::span<const int> labels);

}  // namespace akin
