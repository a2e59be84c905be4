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
// elements (ties stay ties when they are ranked), and the number of threads changes nothing.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/common/gpu/stream.hpp"

namespace akin {

namespace spec {
template <class T>
void gram_xyt(std::span<const T> x, std::span<const T> y, std::int64_t n, std::int64_t m, std::int64_t k,
              std::span<double> g);
template <class T>
void gram_xxt(std::span<const T> x, std::int64_t n, std::int64_t k, std::span<double> g);
template <class T>
void gram_xty(std::span<const T> x, std::span<const T> y, std::int64_t n, std::int64_t d, std::int64_t e,
              std::span<double> g);
template <class T>
void centre_columns(std::span<const T> x, std::int64_t n, std::int64_t d, std::span<double> z);
template <class T>
void zscore_columns(std::span<const T> x, std::int64_t n, std::int64_t d, std::span<double> z);
/// Returns how many rows had no variance. `z` may be `x`.
std::int64_t standardise_rows(std::span<const double> x, std::int64_t n, std::int64_t d, std::span<double> z);
}  // namespace spec

/// Packed panels, a register tile of 4 x 16, and threads over the columns of G: 10 to 30 times the plain loops.
namespace fast {
template <class T>
void gram_xyt(std::span<const T> x, std::span<const T> y, std::int64_t n, std::int64_t m, std::int64_t k,
              std::span<double> g);
template <class T>
void gram_xxt(std::span<const T> x, std::int64_t n, std::int64_t k, std::span<double> g);
template <class T>
void gram_xty(std::span<const T> x, std::span<const T> y, std::int64_t n, std::int64_t d, std::int64_t e,
              std::span<double> g);
}  // namespace fast

/// All pointers on the device, T float or double. The chains of the Gram matrices and of the columns are the
/// specification's, so the bits are those of a host with fused multiply-adds; rows are summed as a tree.
namespace gpu {

template <class Gpu, class T>
void gram_xyt(const Stream<Gpu>& stream, const T* x, const T* y, std::int64_t n, std::int64_t m, std::int64_t k,
              double* g);
/// Works out the tiles on and above the diagonal and writes each of them twice.
template <class Gpu, class T>
void gram_xxt(const Stream<Gpu>& stream, const T* x, std::int64_t n, std::int64_t k, double* g);
template <class Gpu, class T>
void gram_xty(const Stream<Gpu>& stream, const T* x, const T* y, std::int64_t n, std::int64_t d, std::int64_t e,
              double* g);

/// Scratch: 3 d doubles. Two launches: a thread a column, then all elements. `z` may be `x`.
template <class Gpu, class T>
void centre_columns(const Stream<Gpu>& stream, const T* x, std::int64_t n, std::int64_t d, double* scratch, double* z);
template <class Gpu, class T>
void zscore_columns(const Stream<Gpu>& stream, const T* x, std::int64_t n, std::int64_t d, double* scratch, double* z);
/// Adds the number of rows without variance to *flat. A block a row; `z` may be `x`.
template <class Gpu>
void standardise_rows(const Stream<Gpu>& stream, const double* x, std::int64_t n, std::int64_t d, double* z, int* flat);

/// y[i] = sum_c x[i,c]^2
template <class Gpu>
void row_squares(const Stream<Gpu>& stream, const double* x, std::int64_t n, std::int64_t d, double* y);
/// Doubles of scratch that dot() asks for.
constexpr std::int64_t kDotScratch = 1024;
/// y[0] = sum_i a[i] b[i]. Two launches.
template <class Gpu>
void dot(const Stream<Gpu>& stream, std::int64_t n, const double* a, const double* b, double* scratch, double* y);

}  // namespace gpu

}  // namespace akin
