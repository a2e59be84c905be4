// Which tile a product C[M,N] = A[M,K] B[K,N] is cut into, and into how many pieces its reduction. Host code: the op
// files ask it for workspaces. The answer depends on the sizes and the card alone, so results repeat bit for bit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/common/stream.hpp"

namespace akin::gpu {

/// Rows and columns of C that one block of threads makes.
struct TileSize {
  int m, n;
};

/// Tiles that have been compiled; the kernels' menus name these.
inline constexpr TileSize kTilesGemm[] = {{128, 128}, {128, 64}, {64, 64}};
inline constexpr TileSize kTilesPixels[] = {{128, 128}, {128, 64}, {128, 32}, {64, 64}};
inline constexpr TileSize kTilesWeight[] = {{128, 128}, {64, 64}, {32, 128}};
inline constexpr TileSize kTilesFloat[] = {{128, 128}, {64, 64}};
inline constexpr TileSize kTilesSlow[] = {{64, 64}};

/// Rows of the smallest of them whose results may be counted into moments.
inline constexpr std::int64_t kLeastTileRows = 64;

struct ProductPlan {
  TileSize tile{};
  std::int64_t splits = 1;   ///< pieces of the reduction, summed in order afterwards
  std::int64_t k_tiles = 0;  ///< steps of 64 bytes in all
  std::int64_t k_tiles_per_split = 0;
  /// Floats of workspace.
  std::int64_t workspace(std::int64_t M, std::int64_t N) const { return splits == 1 ? 0 : splits * M * N; }
};

/// The cheapest of `tiles` by a model in which a step of a block costs its m n products and 24 (m + n) for filling
/// shared memory, one small block alone does not keep a multiprocessor busy, and a float written and read again
/// costs as much as 10 products of a step.
template <std::size_t Count>
ProductPlan plan_product(const TileSize (&tiles)[Count], std::int64_t M, std::int64_t N, std::int64_t K,
                         std::size_t element_bytes, bool may_split, int multiprocessors) {
  const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t k_tiles = up(K * static_cast<std::int64_t>(element_bytes), 64);
  ProductPlan best;
  double least = std::numeric_limits<double>::infinity();
  for (const TileSize& t : tiles) {
    const std::int64_t blocks = up(M, t.m) * up(N, t.n);
    for (std::int64_t wanted = 1; wanted <= 256; wanted *= 2) {
      if (wanted > 1 && (!may_split || k_tiles < 4 * wanted)) break;
      const std::int64_t per = up(std::max<std::int64_t>(k_tiles, 1), wanted);
      const std::int64_t splits = up(std::max<std::int64_t>(k_tiles, 1), per);  // none of them empty
      auto rounds = static_cast<double>(up(blocks * splits, multiprocessors));
      if (t.m * t.n < 128 * 64) rounds = std::max(rounds, 1.5);
      double cost = rounds * static_cast<double>(per) * (t.m * t.n + 24 * (t.m + t.n));
      if (splits > 1) cost += 10.0 * static_cast<double>(splits) * static_cast<double>(M * N) / multiprocessors;
      if (cost < least) {
        least = cost;
        best = {t, splits, k_tiles, per};
      }
    }
  }
  return best;
}

}  // namespace akin::gpu
