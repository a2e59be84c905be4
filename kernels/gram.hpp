// Gram matrices: inner products of rows or of columns, and the centring and scaling that turn them into
// covariances and correlations. Feature similarity (PARC, CKA) and principal components are built from them.
//
//   gram_xyt   G[i,j] = sum_k X[i,k] Y[j,k]      X [N,K], Y [M,K] -> G [N,M]     2 N M K FLOPs
//   gram_xxt   G[i,j] = sum_k X[i,k] X[j,k]      X [N,K]          -> G [N,N]       N^2 K FLOPs (half, then mirrored)
//   gram_xty   G[d,e] = sum_i X[i,d] Y[i,e]      X [N,D], Y [N,E] -> G [D,E]     2 N D E FLOPs
//   bytes: each operand read once, G written once (8 bytes an element), if the operands fit the cache.
//
//   centre_columns     Z[i,d] = X[i,d] - mean_d                                  X [N,D] -> Z [N,D]
//   zscore_columns     Z[i,d] = (X[i,d] - mean_d) / std_d, population std (divided by N), std 0 taken as 1
//   standardise_rows   Z[i,:] = (X[i,:] - mean_i) / ||X[i,:] - mean_i||, so that Z Z^T holds Pearson correlations;
//                      a row whose values are all equal becomes zeros (it correlates with nothing)
//   a few reads of X and one write of Z, no more than 6 N D FLOPs each.
//
// Input float or double, sums and output double. Every function overwrites its output. Matrices are dense and
// row-major; sizes of 0 are allowed. A size that does not match its span is an Error.
//
// Order of summation: an element of G is summed over k = 0, 1, 2 ... in one chain whatever its place in the
// matrix, in the specification and in the fast path alike. So G is bitwise symmetric, equal rows give equal
// elements (ties stay ties when they are ranked), and the number of threads changes nothing. On a device a column's
// statistics are joined from parts of kPartRows rows, and a row's are a tree: both depend on the sizes alone.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

/// [n, k] times [k, m]; `size` bytes an element of the operands. `half`: of a symmetric result.
constexpr Work gram_work(std::int64_t n, std::int64_t m, std::int64_t k, bool half, std::size_t size) {
  const auto N = static_cast<double>(n), M = static_cast<double>(m), K = static_cast<double>(k);
  return {(half ? 1.0 : 2.0) * N * M * K, static_cast<double>(size) * (half ? N : N + M) * K + 8.0 * N * M};
}
/// Of the centring and scaling of n rows or columns of d, and of row_squares and dot (d = 1: two operands).
constexpr Work columns_work(std::int64_t n, std::int64_t d, std::size_t size) {
  return elementwise_work(n * d, 6, 2, size);
}

/// All spans in the memory of the stream's device. CPU: the fast path (kernels/gram_omp.cpp) packs operands into
/// panels, which takes as much memory again in double, and works out blocks of G in register tiles (8 x 24 with
/// AVX-512), half of them where G is symmetric: gram_xxt, and gram_xty of a matrix with itself. A device multiplies on
/// tensor cores in the specification's chains, so that its bits are those of a host with fused multiply-adds: certain
/// in the emulator, and on a card as far as the order within an instruction is what mma_m16n8k8_f64 says of it.
/// gram_xxt works out the tiles on and above the diagonal and writes each of them twice.
template <class T, class Dev>
void gram_xyt(const Stream<Dev>& stream, std::int64_t n, std::int64_t m, std::int64_t k, std::span<const T> x,
              std::span<const T> y, std::span<double> g);
template <class T, class Dev>
void gram_xxt(const Stream<Dev>& stream, std::int64_t n, std::int64_t k, std::span<const T> x, std::span<double> g);
template <class T, class Dev>
void gram_xty(const Stream<Dev>& stream, std::int64_t n, std::int64_t d, std::int64_t e, std::span<const T> x,
              std::span<const T> y, std::span<double> g);

/// Part of a Gram matrix: g[r * stride + c] = G[i0 + r, j0 + c].
struct GramBlock {
  std::int64_t i0, j0, rows, columns, stride;
  const double* g;
  int thread;  ///< below max_threads(): no other call of that number runs at the same time
};
/// On the CPU alone: Pearson's correlations between the rows of X, columns z-scored first, without a matrix of them or
/// of the z-scores in memory (8 n d bytes of panels and a block a thread). Blocks cover every i <= j once; where i > j
/// (within a block) a number means nothing. `visit` is called from several threads at once and must not throw; g lives
/// as long as its call. Returns the number of rows without variance. kSpec: zscore_columns, standardise_rows, gram_xxt.
template <class T>
std::int32_t correlation_blocks(const Stream<Cpu>& stream, std::int64_t n, std::int64_t d, std::span<const T> x,
                                const std::function<void(const GramBlock&)>& visit);

/// The same of rows whose columns are centred: kSpec is centre_columns and gram_xxt.
template <class T>
void centred_blocks(const Stream<Cpu>& stream, std::int64_t n, std::int64_t d, std::span<const T> x,
                    const std::function<void(const GramBlock&)>& visit);

/// Rows of which a device sums a column in one chain; such parts are then joined in their order.
constexpr std::int64_t kPartRows = 64;
/// `z` may be `x`. `scratch`: columns_scratch(n, d) doubles on a device, which takes three launches: parts of columns,
/// columns, all elements. Up to kPartRows rows a column is one chain, as in the specification.
template <class T, class Dev>
void centre_columns(const Stream<Dev>& stream, std::int64_t n, std::int64_t d, std::span<const T> x,
                    std::span<double> z, double* scratch = nullptr);
template <class T, class Dev>
void zscore_columns(const Stream<Dev>& stream, std::int64_t n, std::int64_t d, std::span<const T> x,
                    std::span<double> z, double* scratch = nullptr);
/// Adds the number of rows without variance to *flat. `z` may be `x`. A device takes a block a row and sums as a tree.
template <class Dev>
void standardise_rows(const Stream<Dev>& stream, std::int64_t n, std::int64_t d, std::span<const double> x,
                      std::span<double> z, std::int32_t* flat);

// On a device alone.

AKIN_HOST_DEVICE constexpr std::int64_t column_parts(std::int64_t n) { return (n + kPartRows - 1) / kPartRows; }
/// Doubles of scratch a column, and for d of them.
AKIN_HOST_DEVICE constexpr std::int64_t columns_scratch_rows(std::int64_t n) { return 3 + 2 * column_parts(n); }
constexpr std::int64_t columns_scratch(std::int64_t n, std::int64_t d) { return columns_scratch_rows(n) * d; }

/// Matrices of n rows that are worked on at once, one behind the other in memory: matrix s has columns first[s] ..
/// first[s + 1] - 1 of all, and starts at element n first[s].
struct MatrixBatch {
  static constexpr int kMost = 64;
  std::int64_t n = 0;
  int count = 0;
  std::int64_t first[kMost + 1] = {};
};
/// Error where there are more than kMost matrices or none, or one is empty.
MatrixBatch matrix_batch(std::int64_t n, std::span<const std::int64_t> columns);

/// zscore_columns and then standardise_rows of every matrix: x and z [n, all columns] as the batch says, flat[s] +=
/// rows of matrix s without variance, `scratch` columns_scratch(n, all columns) doubles. `z` must not be `x`. Three
/// launches.
template <class T, class Gpu>
void standardise_batch(const Stream<Gpu>& stream, const MatrixBatch& batch, std::span<const T> x, std::span<double> z,
                       double* scratch, std::int32_t* flat);
/// gram_xxt of every matrix, to the bit: g [count, n, n]. One launch.
template <class Gpu>
void gram_batch(const Stream<Gpu>& stream, const MatrixBatch& batch, std::span<const double> z, std::span<double> g);

/// y[i] = sum_c x[i,c]^2
template <class Gpu>
void row_squares(const Stream<Gpu>& stream, std::int64_t n, std::int64_t d, const double* x, double* y);
/// Doubles of scratch that dot() asks for.
constexpr std::int64_t kDotScratch = 1024;
/// y[0] = sum_i a[i] b[i]. Two launches.
template <class Gpu>
void dot(const Stream<Gpu>& stream, std::int64_t n, const double* a, const double* b, double* scratch, double* y);

/// Error where spans of these sizes are not n and m vectors of `depth` numbers, and their n m products.
void check_gram(const char* op, std::int64_t n, std::int64_t m, std::int64_t depth, std::size_t x, std::size_t y,
                std::size_t g);
/// Error where `x` and `z` are not the numbers of the batch.
void check_batch(const char* op, const MatrixBatch& batch, std::size_t x, std::size_t z);
/// Error where they are not two matrices [n, d].
void check_columns(const char* op, std::int64_t n, std::int64_t d, std::size_t x, std::size_t z);

}  // namespace akin
