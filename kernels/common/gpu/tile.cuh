// The tiled product that gemm and conv2d share: C[m,n] = alpha sum_k A(m,k) B(k,n) + bias[n], over any two operands of
// tile_operands.cuh.
//
// Plan: a block makes one tile of C. The reduction goes in steps of 64 bytes (16 floats, 32 bf16) through a ring of
// kStages buffers in shared memory, filled by cp.async three steps ahead, so a step costs one barrier; chunks of 16
// bytes are swizzled instead of padded (tile_sums.cuh), so filling and reading meet no bank twice. The finished tile
// passes through the same shared memory and leaves in 16-byte stores. blockIdx.x counts tiles, eight rows of tiles at a
// time so that neighbours share operands in L2; blockIdx.z counts pieces of the reduction, whose tiles go to a
// workspace and are added in order by a second kernel: the same bits in every run.
#pragma once

#include "kernels/common/gpu/tile_operands.cuh"
#include "kernels/common/gpu/tile_plan.hpp"
#include "kernels/common/gpu/tile_sums.cuh"
#include "kernels/common/moments.hpp"

namespace akin {
namespace {

constexpr int kStages = 4;  // a power of two

/// How sums become results.
struct Finish {
  float alpha = 1.0f;
  const float* bias = nullptr;  ///< [N], or nullptr
  Accum mode = Accum::overwrite;
};

struct ProductSize {
  int M, N;
  int tiles_m, tiles_n;
  int k_tiles, k_tiles_per_split;
  std::int64_t split_stride;  ///< elements between the results of two pieces
  float* moments;             ///< where statistics of the results of each row of tiles go, or nullptr
  bool packs;                 ///< results may be written 16 bytes at a time
};

/// Brings the chunks of an operand's steps to shared memory; each thread the same places in every step. Where runs are
/// along k a thread has one chunk of several rows; else several chunks of one line: what depends on k alone is worked
/// out once a step.
template <class Operand, int Rows, int Threads>
class Loader {
  using T = typename Operand::Type;
  static constexpr int kChunk = kPack<T>;
  static constexpr int kLine = kLineBytes<T, Rows, Operand::kKRuns>, kLineChunks = kLine / 16;
  static constexpr int kItems = Rows * 4 / Threads;
  static constexpr int kLineThreads = Operand::kKRuns ? kLineChunks : kLineChunks / kItems;
  /// Chunks of a line are exchanged by numbers below this, so that items so far apart have places at a fixed distance.
  static constexpr int kExchanged = kLine == 64 ? 4 : 8;
  static constexpr int kPlaces = Operand::kKRuns ? 1 : std::clamp(kExchanged / kLineThreads, 1, kItems);
  static_assert(Rows * 4 % Threads == 0 && kLineThreads > 0 && Threads % kLineThreads == 0);
  static_assert(!Operand::kKRuns || Threads / kLineThreads % 8 == 0, "all items of a thread have one swizzle");

 public:
  /// `to`: where the operand of the first buffer lies.
  __device__ __forceinline__ Loader(const Operand& operand, int first_row, unsigned char* to) {
    const int thread = static_cast<int>(threadIdx.x), line = line_of(thread), chunk = thread % kLineThreads;
    along_k_ = Operand::kKRuns ? chunk * kChunk : line;
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      row_[i] = operand.row(first_row + (Operand::kKRuns ? line + i * kLineStep : (chunk + i * kLineThreads) * kChunk));
      Operand::hold(row_[i]);
    }
#pragma unroll
    for (int i = 0; i < kPlaces; ++i) {
      unsigned char* p = to + swizzled<kLine>(line, chunk + i * kLineThreads);
      if constexpr (Operand::kPacks)
        place_[i] = shared_address(p);
      else
        place_[i] = p;
      keep(place_[i]);
    }
  }
  /// Fills the buffer that lies `buffer` bytes after the first with the step that begins at k.
  __device__ __forceinline__ void load(const Operand& operand, int buffer, int k) {
    Place to[kPlaces];
#pragma unroll
    for (int i = 0; i < kPlaces; ++i) to[i] = place_[i] + buffer, keep(to[i]);
    if constexpr (Operand::kPacks) {
      const auto col = operand.col(k + along_k_);
#pragma unroll
      for (int i = 0; i < kItems; ++i) {
        bool real;
        Operand::hold(row_[i]);
        const T* from = operand.at(row_[i], col, real);
        cp_async16(to[i % kPlaces] + distance(i), from, real);
      }
    } else {
      alignas(16) T v[kItems][kChunk];
#pragma unroll
      for (int e = 0; e < kChunk; ++e) {
        const auto col = operand.col(k + along_k_ + e);
#pragma unroll
        for (int i = 0; i < kItems; ++i) {
          bool real;
          const T* from = operand.at(row_[i], col, real);
          v[i][e] = real ? *from : T{};
        }
      }
#pragma unroll
      for (int i = 0; i < kItems; ++i) store_pack(reinterpret_cast<T*>(to[0] + distance(i)), load_pack(v[i]));
    }
  }

 private:
  static constexpr int kLineStep = Threads / kLineThreads;
  /// Eight neighbouring threads write 128 bytes at once: of several lines those whose swizzles keep them off each
  /// other's banks.
  __device__ __forceinline__ static int line_of(int thread) {
    constexpr int kTogether = 8 / kLineThreads;  // lines of eight threads
    if constexpr (Operand::kKRuns || kTogether <= (kLine == 64 ? 2 : 1)) return thread / kLineThreads;
    const int t = thread % 8 / kLineThreads, rest = thread / 8;
    if constexpr (kLine == 64)  // two lines have the same exchange, and two lie in 128 bytes
      return t % 2 + t / 2 * 4 + rest % 2 * 2 + rest / 2 * 8;
    else
      return t * kLineThreads + rest % kLineThreads + rest / kLineThreads * 8;
  }
  /// From an item's place to the item.
  __device__ __forceinline__ static constexpr int distance(int i) {
    return Operand::kKRuns ? i * kLineStep * kLine : i / kPlaces * kPlaces * kLineThreads * 16;
  }
  using Place = std::conditional_t<Operand::kPacks, SharedAddress, unsigned char*>;
  int along_k_;
  typename Operand::Row row_[kItems];
  Place place_[kPlaces];
};

/// From the tile in shared memory to where it belongs.
template <class Tile, class T, class Dest>
__device__ __forceinline__ void write_tile(const float* tile, int m0, int n0, const Dest& dest, const Finish& f,
                                           const ProductSize& size) {
  constexpr int W = kPack<T>, kRowPacks = Tile::kN / W;
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kM * kRowPacks; i += Tile::kThreads) {
    const int m = i / kRowPacks, n = i % kRowPacks * W;
    if (m0 + m >= size.M || n0 + n >= size.N) continue;
    T* y = dest.template row<T>(m0 + m) + blockIdx.z * size.split_stride + n0 + n;
    const float* sums = tile + m * Tile::kStride + n;
    const float* bias = f.bias == nullptr ? nullptr : f.bias + n0 + n;
    const auto value = [&](int e) { return f.alpha * sums[e] + (bias == nullptr ? 0.0f : bias[e]); };
    if (size.packs) {
      Pack<T> v;
      if (f.mode == Accum::add) v = load_pack(y);
#pragma unroll
      for (int e = 0; e < W; ++e) put(v.v[e], value(e), f.mode);
      store_pack(y, v);
    } else {
      for (int e = 0; e < W && n0 + n + e < size.N; ++e) put(y[e], value(e), f.mode);
    }
  }
}

/// Statistics of the columns of a tile's results as they are stored, of the tile itself: a thread sums its rows of its
/// columns around the tile's first row, then one a column joins them. The tile is lost.
template <class Tile, class T>
__device__ __forceinline__ void tile_moments(float* tile, int m0, int n0, float* moments, const ProductSize& size) {
  constexpr int W = kPack<T>, kRowPacks = Tile::kN / W, kGroups = Tile::kThreads / kRowPacks;
  static_assert(Tile::kThreads % kRowPacks == 0, "a thread has the same columns of all its rows");
  static_assert((2 * kGroups + 1) * Tile::kN <= Tile::kM * Tile::kStride);
  const auto stored = [](float x) { return to_float(from_float<T>(x)); };
  const int thread = static_cast<int>(threadIdx.x), column = thread % kRowPacks * W, group = thread / kRowPacks;
  const int rows = min(size.M - m0, Tile::kM), part = m0 / Tile::kM;
  float shift[W], sum[W] = {}, square[W] = {};
#pragma unroll
  for (int e = 0; e < W; ++e) shift[e] = stored(tile[column + e]);
  for (int m = group; m < rows; m += kGroups)
#pragma unroll
    for (int e = 0; e < W; ++e) {
      const float d = stored(tile[m * Tile::kStride + column + e]) - shift[e];
      sum[e] += d;
      square[e] = fmaf(d, d, square[e]);
    }
  __syncthreads();
  float *sums = tile, *squares = sums + kGroups * Tile::kN, *shifts = squares + kGroups * Tile::kN;
#pragma unroll
  for (int e = 0; e < W; ++e) {
    sums[group * Tile::kN + column + e] = sum[e], squares[group * Tile::kN + column + e] = square[e];
    if (group == 0) shifts[column + e] = shift[e];
  }
  __syncthreads();
  for (int n = thread; n < Tile::kN && n0 + n < size.N; n += Tile::kThreads) {
    float all = 0, all_squares = 0;
    for (int g = 0; g < kGroups; ++g) all += sums[g * Tile::kN + n], all_squares += squares[g * Tile::kN + n];
    const float d = all / static_cast<float>(rows), m2 = all_squares - d * all;
    float* to = moments + std::int64_t{part} * size.N + n0 + n;
    to[0] = shifts[n] + d;
    to[std::int64_t{size.tiles_m} * size.N] = m2 < 0 ? 0.0f : m2;  // NaN stays
  }
  if (n0 == 0 && thread == 0) moments[std::int64_t{2} * size.tiles_m * size.N + part] = static_cast<float>(rows);
}

template <class Tile>
constexpr std::size_t kTileShared = std::max<std::size_t>(kStages*(Tile::kM + Tile::kN) * 64,
                                                          Tile::kM* Tile::kStride * sizeof(float));

/// Blocks that a multiprocessor of 228 KiB has room for when a thread has 64 registers beside its sums; for float 96
/// and, for the operands, as many as sums. Left alone the compiler takes more, or works places out again to have fewer.
template <class Tile, class T>
constexpr int kTileBlocks = [] {
  constexpr bool low = sizeof(T) == 2;
  const int sums = Tile::kM * Tile::kN / Tile::kThreads, registers = sums + (low ? 64 : sums + 96);
  return std::min(228 * 1024 / static_cast<int>(kTileShared<Tile> + 1024), 65536 / (registers * Tile::kThreads));
}();

template <class Tile, class A, class B, class Dest>
__global__ void __launch_bounds__(Tile::kThreads, kTileBlocks<Tile, typename A::Type>)
    tile_product(const A a, const B b, const Dest dest, const Finish finish, const ProductSize size) {
  using T = typename A::Type;
  AKIN_DYNAMIC_SHARED(unsigned char, shared);
  constexpr int kBytesA = Tile::kM * 64, kStageBytes = (Tile::kM + Tile::kN) * 64;

  const int id = static_cast<int>(blockIdx.x), band = 8 * size.tiles_n, first_tile = id / band * 8;
  const int band_rows = min(size.tiles_m - first_tile, 8);
  const int m0 = (first_tile + id % band % band_rows) * Tile::kM, n0 = id % band / band_rows * Tile::kN;

  const int first = static_cast<int>(blockIdx.z) * size.k_tiles_per_split;
  const int steps = min(size.k_tiles - first, size.k_tiles_per_split);
  Loader<A, Tile::kM, Tile::kThreads> load_a(a, m0, shared);
  Loader<B, Tile::kN, Tile::kThreads> load_b(b, n0, shared + kBytesA);
  const auto buffer = [](int step) { return (step & (kStages - 1)) * kStageBytes; };
  const auto load = [&](int step) {
    load_a.load(a, buffer(step), (first + step) * kDepth<T>);
    load_b.load(b, buffer(step), (first + step) * kDepth<T>);
  };

  Sums<T, Tile, A::kKRuns, B::kKRuns> sums(shared, shared + kBytesA);
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < steps) load(step);
    cp_async_commit();
  }
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<kStages - 2>();
    __syncthreads();  // this step has arrived, and nobody reads the buffer of the last one any more
    if (step + kStages - 1 < steps) load(step + kStages - 1);
    cp_async_commit();
    sums.multiply(buffer(step));
  }
  cp_async_wait<0>();
  __syncthreads();
  auto* tile = reinterpret_cast<float*>(shared);
  sums.stage(tile);
  __syncthreads();
  if (dest.low)
    write_tile<Tile, bf16>(tile, m0, n0, dest, finish, size);
  else
    write_tile<Tile, float>(tile, m0, n0, dest, finish, size);
  if constexpr (std::is_same_v<Dest, ToRows>) {
    if (size.moments == nullptr) return;
    __syncthreads();
    if (dest.low)
      tile_moments<Tile, bf16>(tile, m0, n0, size.moments, size);
    else
      tile_moments<Tile, float>(tile, m0, n0, size.moments, size);
  }
}

/// y[i] = alpha (sum of the pieces, in order) + bias[i % N]
template <class T>
__global__ void __launch_bounds__(256)
    add_pieces(std::int64_t n, int N, int pieces, const float* piece, T* y, const Finish f) {
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) {
    float s = 0;
#pragma unroll 4
    for (int k = 0; k < pieces; ++k) s += piece[k * n + i];
    put(y[i], f.alpha * s + (f.bias == nullptr ? 0.0f : f.bias[i % N]), f.mode);
  }
}

/// The tile of a size. On tensor cores a warp makes 64 x 64, 64 x 32 or 32 x 64, so that what it reads from shared
/// memory and the addresses that it works out serve many products; elsewhere 32 rows and half of the columns.
template <int M, int N, class T, bool Packs>
using TileOf =
    std::conditional_t<std::is_same_v<T, bf16> && Packs,
                       Tile<M, N, M / std::max(32, M / 2), N / (M == 128 && N < 128 ? 32 : 64)>, Tile<M, N, M / 32, 2>>;

template <class Tile>
constexpr bool is_tile(const gpu::TileSize& t) {
  return t.m == Tile::kM && t.n == Tile::kN;
}

/// Sizes count in int inside the kernels.
inline int tile_int(std::int64_t n, const char* name) {
  AKIN_CHECK(n >= 0 && n < (std::int64_t{1} << 31) - 1024, "{}: a dimension of {}, at most 2^31 - 1025", name, n);
  return static_cast<int>(n);
}

/// Starts the product with a tile of `menu`; with a workspace the reduction may be cut into pieces (only where the
/// results go to rows). `moments` goes with no workspace and a Finish that stores the sums as they are.
template <const auto& menu, class A, class B, class Dest>
void run_product(const char* name, const Stream<ThisGpu>& stream, const A& a, const B& b, const Dest& dest,
                 std::int64_t M, std::int64_t N, std::int64_t K, const Finish& finish, float* workspace,
                 PartMoments* moments = nullptr) {
  using T = typename A::Type;
  if (M == 0 || N == 0) return;
  AKIN_CHECK(moments == nullptr || (workspace == nullptr && finish.alpha == 1 && finish.bias == nullptr &&
                                    finish.mode == Accum::overwrite),
             "{}: statistics are of the sums as they are", name);
  const gpu::ProductPlan plan =
      gpu::plan_product(menu, M, N, K, sizeof(T), workspace != nullptr, stream.limits->multiprocessors);
  const auto start = [&]<class Tile>(Tile, const auto& to, const Finish& f, std::int64_t split_stride) {
    using To = std::remove_cvref_t<decltype(to)>;
    const std::int64_t tiles_m = (M + Tile::kM - 1) / Tile::kM, tiles_n = (N + Tile::kN - 1) / Tile::kN;
    const ProductSize size{tile_int(M, name),
                           tile_int(N, name),
                           static_cast<int>(tiles_m),
                           static_cast<int>(tiles_n),
                           static_cast<int>((tile_int(K, name) + kDepth<T> - 1) / kDepth<T>),
                           static_cast<int>(plan.k_tiles_per_split),
                           split_stride,
                           moments == nullptr ? nullptr : moments->data,
                           N % (to.low ? kPack<bf16> : kPack<float>) == 0 && aligned16(to.y) && split_stride % 4 == 0};
    launch(name, tile_product<Tile, A, B, To>,
           {.grid = Extent(tiles_m * tiles_n, 1, plan.splits), .block = Tile::kThreads, .shared = kTileShared<Tile>},
           stream, a, b, to, f, size);
    if (moments != nullptr) moments->parts = tiles_m;
  };
  const auto with_tile = [&](const auto& to, const Finish& f, std::int64_t split_stride) {
    const auto try_tile = [&]<class Tile>(Tile tile) {
      constexpr bool offered = [] {
        for (const auto& t : menu)
          if (is_tile<Tile>(t)) return true;
        return false;
      }();
      if constexpr (offered)
        if (is_tile<Tile>(plan.tile)) start(tile, to, f, split_stride);
    };
    constexpr bool packs = A::kPacks && B::kPacks;
    try_tile(TileOf<128, 128, T, packs>{});
    try_tile(TileOf<128, 64, T, packs>{});
    try_tile(TileOf<128, 32, T, packs>{});
    try_tile(TileOf<64, 64, T, packs>{});
    try_tile(TileOf<32, 128, T, packs>{});
  };
  if (plan.splits == 1) return with_tile(dest, finish, 0);
  if constexpr (std::is_same_v<Dest, ToRows>) {
    with_tile(ToRows{workspace, N, false}, Finish{}, M * N);
    const auto add = [&]<class Y>(Y* y) {
      launch("add_pieces", add_pieces<Y>, {.grid = blocks_for(stream, M * N, 256), .block = 256}, stream, M * N, N,
             plan.splits, workspace, y, finish);
    };
    if (dest.low)
      add(static_cast<bf16*>(dest.y));
    else
      add(static_cast<float*>(dest.y));
  }
}

}  // namespace
}  // namespace akin
