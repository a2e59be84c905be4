// The sums of a block's tile in registers: on tensor cores for bf16, by fused multiply-adds for float. Used by
// tile.cuh.
#pragma once

#include "kernels/common/gpu/vector.cuh"

namespace akin {
namespace {

/// M x N elements of C, made by WarpsM x WarpsN warps.
template <int M, int N, int WarpsM, int WarpsN>
struct Tile {
  static constexpr int kM = M, kN = N, kThreads = 32 * WarpsM * WarpsN;
  static constexpr int kWarpM = M / WarpsM, kWarpN = N / WarpsN;
  static_assert(kWarpM % 16 == 0 && kWarpN % 16 == 0);
  /// The finished tile in shared memory: 8 floats of padding keep the tensor cores' 8-byte stores off each other's
  /// banks.
  static constexpr int kStride = N + 8;
  /// First row and column of this warp.
  __device__ static int warp_m() { return static_cast<int>(threadIdx.x) / 32 / WarpsN * kWarpM; }
  __device__ static int warp_n() { return static_cast<int>(threadIdx.x) / 32 % WarpsN * kWarpN; }
};

/// Reduction elements of a step: 64 bytes.
template <class T>
constexpr int kDepth = 64 / static_cast<int>(sizeof(T));

/// Byte offset of a 16-byte chunk in shared memory made of lines of LineBytes. Chunks are exchanged within a line so
/// that the same chunk of 8 consecutive lines, and 8 consecutive chunks of a line, lie in different banks.
template <int LineBytes>
__device__ __forceinline__ int swizzled(int line, int chunk) {
  static_assert(LineBytes >= 64 && (LineBytes & (LineBytes - 1)) == 0);
  const int mask = LineBytes == 64 ? (line >> 1) & 3 : line & 7;
  return line * LineBytes + ((chunk ^ mask) << 4);
}

/// Lines of an operand of `Rows` rows: a line is a row (runs along k) or one k.
template <class T, int Rows, bool KRuns>
constexpr int kLineBytes = KRuns ? 64 : Rows* static_cast<int>(sizeof(T));

template <class T, class Tile, bool AKRuns, bool BKRuns>
class Sums;

/// mma.m16n8k16: a warp makes kWarpM x kWarpN; ldmatrix reads fragments, transposed where runs are along rows. Where a
/// lane reads in a step's memory is the same in every step.
template <class Tile, bool AKRuns, bool BKRuns>
class Sums<bf16, Tile, AKRuns, BKRuns> {
 public:
  /// a, b: where the operands of the first buffer lie.
  __device__ __forceinline__ Sums(unsigned char* a, unsigned char* b) {
    const int lane = static_cast<int>(threadIdx.x) % 32, low = lane % 8, bit3 = lane / 8 % 2, bit4 = lane / 16;
    const int m0 = Tile::warp_m(), n0 = Tile::warp_n();
#pragma unroll
    for (int i = 0; i < kPlacesA; ++i) {
      a_[i] = shared_address(a + (AKRuns ? swizzled<kLineA>(m0 + 8 * bit3 + low, 2 * i + bit4)
                                         : swizzled<kLineA>(8 * bit4 + low, (m0 + 16 * i) / 8 + bit3)));
      keep(a_[i]);
    }
#pragma unroll
    for (int i = 0; i < kPlacesB; ++i) {
      b_[i] = shared_address(b + (BKRuns ? swizzled<kLineB>(n0 + 8 * bit4 + low, 2 * i + bit3)
                                         : swizzled<kLineB>(8 * bit3 + low, (n0 + 16 * i) / 8 + bit4)));
      keep(b_[i]);
    }
  }
  /// Adds the products of the step in the buffer that lies `buffer` bytes after the first.
  __device__ __forceinline__ void multiply(int buffer) {
    SharedAddress a[kPlacesA], b[kPlacesB];
#pragma unroll
    for (int i = 0; i < kPlacesA; ++i) a[i] = a_[i] + buffer, keep(a[i]);
#pragma unroll
    for (int i = 0; i < kPlacesB; ++i) b[i] = b_[i] + buffer, keep(b[i]);
#pragma unroll
    for (int k = 0; k < kDepth<bf16>; k += 16) {
      std::uint32_t fa[kTilesM][4], fb[kTilesN][2];
#pragma unroll
      for (int i = 0; i < kTilesM; ++i) {
        if constexpr (AKRuns)
          ldmatrix_x4(fa[i], a[k / 16] + 16 * i * kLineA);
        else
          ldmatrix_x4_trans(fa[i], a[i] + k * kLineA);
      }
#pragma unroll
      for (int j = 0; j < kTilesN; j += 2) {
        std::uint32_t f[4];
        if constexpr (BKRuns)
          ldmatrix_x4(f, b[k / 16] + 8 * j * kLineB);
        else
          ldmatrix_x4_trans(f, b[j / 2] + k * kLineB);
        fb[j][0] = f[0], fb[j][1] = f[1], fb[j + 1][0] = f[2], fb[j + 1][1] = f[3];
      }
#pragma unroll
      for (int i = 0; i < kTilesM; ++i)
#pragma unroll
        for (int j = 0; j < kTilesN; ++j) mma_m16n8k16_bf16(sum_[i][j], fa[i], fb[j], sum_[i][j]);
    }
  }
  /// Writes the tile to shared memory [kM][kStride].
  __device__ __forceinline__ void stage(float* to) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float* corner = to + (Tile::warp_m() + lane / 4) * Tile::kStride + Tile::warp_n() + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < kTilesM; ++i)
#pragma unroll
      for (int j = 0; j < kTilesN; ++j)
#pragma unroll
        for (int h = 0; h < 2; ++h)
          *reinterpret_cast<float2*>(corner + (16 * i + 8 * h) * Tile::kStride + 8 * j) =
              make_float2(sum_[i][j][2 * h], sum_[i][j][2 * h + 1]);
  }

 private:
  static constexpr int kTilesM = Tile::kWarpM / 16, kTilesN = Tile::kWarpN / 8;
  static constexpr int kLineA = kLineBytes<bf16, Tile::kM, AKRuns>, kLineB = kLineBytes<bf16, Tile::kN, BKRuns>;
  // 16 lines further on chunks are exchanged alike, so one place serves all lines of a chunk.
  static constexpr int kPlacesA = AKRuns ? 2 : kTilesM, kPlacesB = BKRuns ? 2 : kTilesN / 2;
  SharedAddress a_[kPlacesA], b_[kPlacesB];
  float sum_[kTilesM][kTilesN][4] = {};
};

/// Fused multiply-adds: the lanes of a warp are 4 x 8, each makes kM x kN elements: strided where runs are along k, in
/// groups of 4 where they are along rows, so that 16-byte reads of shared memory meet no bank twice.
template <class Tile, bool AKRuns, bool BKRuns>
class Sums<float, Tile, AKRuns, BKRuns> {
 public:
  __device__ __forceinline__ Sums(const unsigned char* a, const unsigned char* b) : a_(a), b_(b) {}
  __device__ __forceinline__ void multiply(int buffer) {
    const unsigned char *a = a_ + buffer, *b = b_ + buffer;
#pragma unroll
    for (int k = 0; k < kDepth<float>; k += 4) {
      float va[4][kMine], vb[4][kOurs];
      read<kLineBytes<float, Tile::kM, AKRuns>, 4, AKRuns>(va, a, Tile::warp_m(), lane_m(), k);
      read<kLineBytes<float, Tile::kN, BKRuns>, 8, BKRuns>(vb, b, Tile::warp_n(), lane_n(), k);
#pragma unroll
      for (int e = 0; e < 4; ++e)
#pragma unroll
        for (int i = 0; i < kMine; ++i)
#pragma unroll
          for (int j = 0; j < kOurs; ++j) sum_[i][j] += va[e][i] * vb[e][j];
    }
  }
  __device__ __forceinline__ void stage(float* to) const {
    float* corner = to + Tile::warp_m() * Tile::kStride + Tile::warp_n();
#pragma unroll
    for (int i = 0; i < kMine; ++i)
#pragma unroll
      for (int j = 0; j < kOurs; ++j)
        corner[place<4, AKRuns>(lane_m(), i) * Tile::kStride + place<8, BKRuns>(lane_n(), j)] = sum_[i][j];
  }

 private:
  static constexpr int kMine = Tile::kWarpM / 4, kOurs = Tile::kWarpN / 8;
  __device__ static int lane_m() { return static_cast<int>(threadIdx.x) % 32 / 8; }
  __device__ static int lane_n() { return static_cast<int>(threadIdx.x) % 8; }
  /// The i-th row (column) of a lane among `Lanes`.
  template <int Lanes, bool KRuns>
  __device__ static int place(int lane, int i) {
    return KRuns ? lane + Lanes * i : i / 4 * (4 * Lanes) + 4 * lane + i % 4;
  }
  /// v[e][i] = element (i-th row of this lane, k + e)
  template <int LineBytes, int Lanes, bool KRuns, int Count>
  __device__ __forceinline__ static void read(float (&v)[4][Count], const unsigned char* from, int first, int lane,
                                              int k) {
    if constexpr (KRuns) {
#pragma unroll
      for (int i = 0; i < Count; ++i) {
        const auto p = load_pack(
            reinterpret_cast<const float*>(from + swizzled<LineBytes>(first + place<Lanes, KRuns>(lane, i), k / 4)));
#pragma unroll
        for (int e = 0; e < 4; ++e) v[e][i] = p.v[e];
      }
    } else {
#pragma unroll
      for (int e = 0; e < 4; ++e)
#pragma unroll
        for (int i = 0; i < Count; i += 4) {
          const auto p = load_pack(reinterpret_cast<const float*>(
              from + swizzled<LineBytes>(k + e, (first + place<Lanes, KRuns>(lane, i)) / 4)));
#pragma unroll
          for (int q = 0; q < 4; ++q) v[e][i + q] = p.v[q];
        }
    }
  }
  const unsigned char *a_, *b_;
  float sum_[kMine][kOurs] = {};
};

}  // namespace
}  // namespace akin
