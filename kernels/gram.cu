// gram: G[i,j] = sum over depth, in double, on tensor cores. A block of four warps makes a tile of 64 x 64 or, where
// those tiles would leave multiprocessors idle, of 32 x 32; a warp holds a quarter of it as sums of 16 x 8. 16 terms of
// both operands at a time go to shared memory as double; the next 16 are loaded into registers meanwhile. A tile on the
// diagonal of a symmetric product loads its operand once. One chain of fused multiply-adds an element, k ascending: the
// order of the CPU. An item is a row (its terms are neighbours in memory) or a column (its neighbours are other items);
// threads take the direction that is contiguous, in memory and in shared memory.
#include "kernels/gram.hpp"

#include "kernels/common/gpu/kernel.cuh"

namespace akin {

namespace {

constexpr int kDepth = 16, kThreads = 128;

/// `items` vectors of `depth` numbers: rows of a matrix, or columns of one.
template <class T>
struct Operand {
  const T* data;
  std::int64_t items, item_stride, depth_stride;
};

/// Tile items of kDepth terms in shared memory. Lines are 4 longer than a multiple of 16: the 16 lanes that read at
/// once want 4 items of 4 terms, which then lie in different banks.
template <int Tile, bool Columns>
struct Panel {
  static constexpr int kItem = Columns ? 1 : kDepth + 4, kTerm = Columns ? Tile + 4 : 1;
  static constexpr int kSize = Columns ? kDepth * (Tile + 4) : Tile * (kDepth + 4);
  static __device__ __forceinline__ int at(int item, int term) { return item * kItem + term * kTerm; }
};

/// This thread's part of Tile items x kDepth terms; zero outside. Loads are kStep items (of columns: terms) apart.
template <class T, int Tile, bool Columns>
class Loader {
 public:
  __device__ __forceinline__ Loader(const Operand<T>& x, std::int64_t item0)
      : item_(Columns ? thread() % Tile : thread() / kDepth),
        term_(Columns ? thread() / Tile : thread() % kDepth),
        items_left_(x.items - item0 < Tile ? static_cast<int>(x.items - item0) - item_ : Tile),
        at_(x.data + (item0 + item_) * x.item_stride + term_ * x.depth_stride),
        step_(kStep * (Columns ? x.depth_stride : x.item_stride)),
        panel_step_(kDepth * x.depth_stride) {}
  /// Of the panel that follows the last one fetched, with `terms` terms.
  __device__ __forceinline__ void fetch(std::int64_t terms) {
    const int terms_left = terms < kDepth ? static_cast<int>(terms) - term_ : kDepth;
    const bool real = Columns ? items_left_ > 0 : terms_left > 0;
#pragma unroll
    for (int l = 0; l < kLoads; ++l)
      held_[l] = real && l * kStep < (Columns ? terms_left : items_left_) ? at_[l * step_] : T(0);
    at_ += panel_step_;
  }
  __device__ __forceinline__ void put_down(double* panel) const {
    double* const to = panel + Panel<Tile, Columns>::at(item_, term_);
#pragma unroll
    for (int l = 0; l < kLoads; ++l)
      to[l * kStep * (Columns ? Panel<Tile, Columns>::kTerm : Panel<Tile, Columns>::kItem)] =
          static_cast<double>(held_[l]);
  }

 private:
  static constexpr int kLoads = Tile * kDepth / kThreads, kStep = kThreads / (Columns ? Tile : kDepth);
  static __device__ __forceinline__ int thread() { return static_cast<int>(threadIdx.x); }
  int item_, term_, items_left_;
  const T* at_;
  std::int64_t step_, panel_step_;
  T held_[kLoads];
};

/// The product that blocks of one blockIdx.y make.
template <class T>
struct Product {
  Operand<T> x, y;
  std::int64_t depth;
  double* g;
};
template <class T>
struct OneProduct {
  using Element = T;
  Product<T> product;
  __device__ __forceinline__ const Product<T>& of(unsigned) const { return product; }
};
/// Every matrix of a batch with itself.
struct BatchProducts {
  using Element = double;
  MatrixBatch batch;
  const double* z;
  double* g;
  __device__ __forceinline__ Product<double> of(unsigned s) const {
    const std::int64_t d = batch.first[s + 1] - batch.first[s];
    const Operand<double> x{z + batch.n * batch.first[s], batch.n, d, 1};
    return {x, x, d, g + s * batch.n * batch.n};
  }
};

/// Upper: x = y, a square of tiles of which only those on and above the diagonal are started, numbered row by row.
template <class Products, int Tile, bool Columns, bool Upper>
__global__ void __launch_bounds__(kThreads, Tile == 64 ? 3 : 5) gram_kernel(Products products) {
  using T = typename Products::Element;
  using At = Panel<Tile, Columns>;
  AKIN_SHARED(double, a, [At::kSize]);
  AKIN_SHARED(double, b, [At::kSize]);
  const auto product = products.of(blockIdx.y);
  const std::int64_t column_tiles = (product.y.items + Tile - 1) / Tile;
  std::int64_t row_tile = 0, column_tile = 0;
  if constexpr (Upper) {
    // Tiles before row t: t column_tiles - t (t - 1) / 2. Start from the root of that and correct its rounding.
    const std::int64_t index = blockIdx.x;
    const double w = static_cast<double>(column_tiles) + 0.5;
    row_tile = static_cast<std::int64_t>(w - sqrt(fmax(w * w - 2.0 * static_cast<double>(index), 0.0)));
    const auto before = [&](std::int64_t t) { return t * column_tiles - t * (t - 1) / 2; };
    while (row_tile > 0 && before(row_tile) > index) --row_tile;
    while (before(row_tile + 1) <= index) ++row_tile;
    column_tile = row_tile + index - before(row_tile);
  } else {
    row_tile = blockIdx.x / column_tiles;
    column_tile = blockIdx.x % column_tiles;
  }
  const bool diagonal = Upper && row_tile == column_tile;
  const std::int64_t i0 = row_tile * Tile, j0 = column_tile * Tile;
  // Four warps in a square. Of a 16 x 8 product a lane brings and gets what PTX says for m16n8k8.
  constexpr int kRows = Tile / 32, kColumns = Tile / 16;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int group = lane / 4, within = lane % 4, wi = warp / 2 * (Tile / 2), wj = warp % 2 * (Tile / 2);
  double sum[kRows][kColumns][4] = {};
  Loader<T, Tile, Columns> from_x(product.x, i0), from_y(product.y, j0);
  from_x.fetch(product.depth);
  if (!diagonal) from_y.fetch(product.depth);
  const double* const other = diagonal ? a : b;
  for (std::int64_t left = product.depth; left > 0; left -= kDepth) {
    __syncthreads();  // everyone is done with the last panels
    from_x.put_down(a);
    if (!diagonal) from_y.put_down(b);
    __syncthreads();
    if (left > kDepth) {
      from_x.fetch(left - kDepth);
      if (!diagonal) from_y.fetch(left - kDepth);
    }
#pragma unroll
    for (int p = 0; p < kDepth; p += 8) {
      double ra[kRows][4], rb[kColumns][2];
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int k = 0; k < 4; ++k) ra[r][k] = a[At::at(wi + r * 16 + group + k % 2 * 8, p + within + k / 2 * 4)];
#pragma unroll
      for (int c = 0; c < kColumns; ++c)
#pragma unroll
        for (int k = 0; k < 2; ++k) rb[c][k] = other[At::at(wj + c * 8 + group, p + within + k * 4)];
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int c = 0; c < kColumns; ++c) mma_m16n8k8_f64(sum[r][c], ra[r], rb[c], sum[r][c]);
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r)
#pragma unroll
    for (int c = 0; c < kColumns; ++c)
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const std::int64_t i = i0 + wi + r * 16 + group + k / 2 * 8, j = j0 + wj + c * 8 + within * 2 + k % 2;
        if (i >= product.x.items || j >= product.y.items) continue;
        product.g[i * product.y.items + j] = sum[r][c][k];
        if (Upper && !diagonal) product.g[j * product.y.items + i] = sum[r][c][k];
      }
}

/// `count` products of n x m.
template <bool Columns, bool Upper, class Products>
void run_gram(const Stream<ThisGpu>& stream, std::int64_t count, std::int64_t n, std::int64_t m,
              const Products& products) {
  const auto tiles = [&](std::int64_t tile) {
    const std::int64_t rows = (n + tile - 1) / tile, columns = (m + tile - 1) / tile;
    return Upper ? rows * (rows + 1) / 2 : rows * columns;
  };
  if (tiles(64) * count >= 2 * stream.limits->multiprocessors)
    launch("gram", gram_kernel<Products, 64, Columns, Upper>, {.grid = {tiles(64), count}, .block = kThreads}, stream,
           products);
  else
    launch("gram", gram_kernel<Products, 32, Columns, Upper>, {.grid = {tiles(32), count}, .block = kThreads}, stream,
           products);
}

}  // namespace

template <class T, class Gpu>
void gram_xyt(const Stream<Gpu>& stream, std::int64_t n, std::int64_t m, std::int64_t k, std::span<const T> x,
              std::span<const T> y, std::span<double> g) {
  check_gram("gram_xyt", n, m, k, x.size(), y.size(), g.size());
  run_gram<false, false>(stream, 1, n, m, OneProduct<T>{{{x.data(), n, k, 1}, {y.data(), m, k, 1}, k, g.data()}});
}
template <class T, class Gpu>
void gram_xxt(const Stream<Gpu>& stream, std::int64_t n, std::int64_t k, std::span<const T> x, std::span<double> g) {
  check_gram("gram_xxt", n, n, k, x.size(), x.size(), g.size());
  const Operand<T> rows{x.data(), n, k, 1};
  run_gram<false, true>(stream, 1, n, n, OneProduct<T>{{rows, rows, k, g.data()}});
}
template <class T, class Gpu>
void gram_xty(const Stream<Gpu>& stream, std::int64_t n, std::int64_t d, std::int64_t e, std::span<const T> x,
              std::span<const T> y, std::span<double> g) {
  check_gram("gram_xty", d, e, n, x.size(), y.size(), g.size());
  run_gram<true, false>(stream, 1, d, e, OneProduct<T>{{{x.data(), d, 1, d}, {y.data(), e, 1, e}, n, g.data()}});
}
template <class Gpu>
void gram_batch(const Stream<Gpu>& stream, const MatrixBatch& batch, std::span<const double> z, std::span<double> g) {
  check_batch("gram_batch", batch, z.size(), z.size());
  AKIN_CHECK(g.size() == static_cast<std::size_t>(batch.count * batch.n * batch.n),
             "gram_batch: g holds {} values, expected {} x {} x {}", g.size(), batch.count, batch.n, batch.n);
  run_gram<false, true>(stream, batch.count, batch.n, batch.n, BatchProducts{batch, z.data(), g.data()});
}

using S = Stream<ThisGpu>;
using N = std::int64_t;
#define AKIN_INSTANTIATE(T)                                                                                \
  template void gram_xyt<T>(const S&, N, N, N, std::span<const T>, std::span<const T>, std::span<double>); \
  template void gram_xxt<T>(const S&, N, N, std::span<const T>, std::span<double>);                        \
  template void gram_xty<T>(const S&, N, N, N, std::span<const T>, std::span<const T>, std::span<double>);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(double)
template void gram_batch<ThisGpu>(const S&, const MatrixBatch&, std::span<const double>, std::span<double>);

}  // namespace akin
