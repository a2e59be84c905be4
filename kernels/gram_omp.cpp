// Fast Gram matrices on the CPU. Both operands are copied into panels (as double) so that the inner loop reads
// contiguous memory: 4 rows of one times 16 columns of the other, 64 sums in registers, 256 terms at a time.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin::fast {
namespace {

constexpr std::int64_t kRows = 4, kColumns = 16, kDepth = 256;
using Lanes = double __attribute__((vector_size(64)));  // the compiler splits it where registers are narrower
constexpr std::int64_t kWidth = sizeof(Lanes) / sizeof(double), kVectors = kColumns / kWidth;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// A matrix seen as `items` vectors of `depth` numbers: rows of a matrix or columns of one.
template <class T>
struct Operand {
  const T* data;
  std::int64_t items, item_stride, depth_stride;

  /// panel[p, r] = element depth0 + p of item item0 + r, p < count, r < width; zero beyond the last item.
  void pack(std::int64_t item0, std::int64_t width, std::int64_t depth0, std::int64_t count, double* panel) const {
    const std::int64_t have = std::min(width, items - item0);
    const T* from = data + item0 * item_stride + depth0 * depth_stride;
    if (have < width) std::fill(panel, panel + count * width, 0.0);
    for (std::int64_t r = 0; r < have; ++r) {
      for (std::int64_t p = 0; p < count; ++p) {
        panel[p * width + r] = double(from[r * item_stride + p * depth_stride]);
      }
    }
  }
};

/// tile[r, c] += sum_p a[p, r] b[p, c]. One chain of additions an element, in the order of p.
void multiply(const double* a, const double* b, std::int64_t count, double* tile) {
  Lanes sum[kRows][kVectors];
  std::memcpy(sum, tile, sizeof sum);
  for (std::int64_t p = 0; p < count; ++p) {
    Lanes columns[kVectors];
    std::memcpy(columns, b + p * kColumns, sizeof columns);
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) sum[r][v] += a[p * kRows + r] * columns[v];
    }
  }
  std::memcpy(tile, sum, sizeof sum);
}

/// G[i,j] = <item i of x, item j of y>; `upper` fills only tiles that touch i <= j.
template <class T>
void inner_products(Operand<T> x, Operand<T> y, std::int64_t depth, bool upper, double* g) {
  const std::int64_t n = x.items, m = y.items;
  if (n == 0 || m == 0) return;
  const std::int64_t row_tiles = ceil_div(n, kRows), column_tiles = ceil_div(m, kColumns);
  std::fill(g, g + n * m, 0.0);
  std::vector<double> a(static_cast<std::size_t>(row_tiles * kRows * std::min(kDepth, depth)));
  for (std::int64_t depth0 = 0; depth0 < depth; depth0 += kDepth) {
    const std::int64_t count = std::min(kDepth, depth - depth0);
    parallel_for(row_tiles, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        x.pack(i * kRows, kRows, depth0, count, &a[std::size_t(i * kRows * count)]);
    });
    parallel_for(column_tiles, 1, [&](std::int64_t begin, std::int64_t end) {
      alignas(64) double b[kDepth * kColumns];
      alignas(64) double tile[kRows * kColumns];
      for (std::int64_t t = begin; t < end; ++t) {
        // In a triangle the later columns have more rows: taken alternately from both ends, threads get equal work.
        const std::int64_t j0 = kColumns * (!upper ? t : t % 2 ? column_tiles - 1 - t / 2 : t / 2);
        const std::int64_t columns = std::min(kColumns, m - j0);
        y.pack(j0, kColumns, depth0, count, b);
        const std::int64_t last = upper ? std::min(row_tiles, ceil_div(j0 + columns, kRows)) : row_tiles;
        for (std::int64_t i = 0; i < last; ++i) {
          const std::int64_t i0 = i * kRows, rows = std::min(kRows, n - i0);
          for (std::int64_t r = 0; r < kRows; ++r) {
            for (std::int64_t c = 0; c < kColumns; ++c) {
              tile[r * kColumns + c] = r < rows && c < columns ? g[(i0 + r) * m + j0 + c] : 0.0;
            }
          }
          multiply(&a[static_cast<std::size_t>(i0 * count)], b, count, tile);
          for (std::int64_t r = 0; r < rows; ++r) {
            std::copy_n(tile + r * kColumns, columns, g + (i0 + r) * m + j0);
          }
        }
      }
    });
  }
}

}  // namespace

template <class T>
void gram_xyt(std::int64_t n, std::int64_t m, std::int64_t k, const T* x, const T* y, double* g) {
  inner_products<T>({x, n, k, 1}, {y, m, k, 1}, k, false, g);
}

template <class T>
void gram_xxt(std::int64_t n, std::int64_t k, const T* x, double* g) {
  inner_products<T>({x, n, k, 1}, {x, n, k, 1}, k, true, g);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < i; ++j) g[i * n + j] = g[j * n + i];
  }
}

template <class T>
void gram_xty(std::int64_t n, std::int64_t d, std::int64_t e, const T* x, const T* y, double* g) {
  inner_products<T>({x, d, 1, d}, {y, e, 1, e}, n, false, g);
}

#define AKIN_INSTANTIATE(T)                                                                      \
  template void gram_xyt(std::int64_t, std::int64_t, std::int64_t, const T*, const T*, double*); \
  template void gram_xxt(std::int64_t, std::int64_t, const T*, double*);                         \
  template void gram_xty(std::int64_t, std::int64_t, std::int64_t, const T*, const T*, double*);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace akin::fast
