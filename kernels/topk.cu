// topk: a block of 32, 128 or 512 threads a row, by its length. Value and place together are one 64-bit number that
// orders as the contract says, and no two of a row are equal. Every thread keeps the largest of its own columns (one
// read of the row); then, k times, the block takes the largest of these and the thread that owned it looks for its next
// one, smaller than what was taken: only its own few columns are read again, from the cache.
#include "kernels/topk.hpp"

#include "kernels/common/gpu/reduce.cuh"

namespace akin {

namespace {

using Ranked = unsigned long long;  // 0: none

/// Larger for larger values, then for lower columns; NaN is the largest, both zeros are one.
__device__ __forceinline__ Ranked ranked(float x, int column) {
  const unsigned bits = __float_as_uint(x == 0 ? 0.0f : x);
  const unsigned order = isnan(x) ? ~0u : bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<Ranked>(order) << 32 | ~static_cast<unsigned>(column);
}

__device__ __forceinline__ Ranked larger(Ranked a, Ranked b) { return a > b ? a : b; }

template <class T, int Threads>
__global__ void __launch_bounds__(Threads)
    topk_kernel(std::int64_t B, int C, int k, const T* x, T* y, std::int64_t* index) {
  constexpr int kWarps = Threads / 32;
  AKIN_SHARED(Ranked, of_warp, [2][kWarps]);  // used in turns, so that one barrier a round is enough
  for (std::int64_t b = blockIdx.x; b < B; b += gridDim.x) {
    const T* row = x + b * C;
    const auto best_below = [&](Ranked limit) {
      Ranked best = 0;
      for (int c = static_cast<int>(threadIdx.x); c < C; c += Threads) {
        const Ranked r = ranked(to_float(row[c]), c);
        if (r < limit) best = larger(best, r);
      }
      return best;
    };
    Ranked mine = best_below(~Ranked{0});
    for (int j = 0; j < k; ++j) {
      Ranked top = mine;
#pragma unroll
      for (int offset = 16; offset > 0; offset >>= 1) top = larger(top, __shfl_xor_sync(kWholeWarp, top, offset));
      if constexpr (kWarps > 1) {
        if ((threadIdx.x & 31u) == 0) of_warp[j & 1][threadIdx.x >> 5] = top;
        __syncthreads();
#pragma unroll
        for (int w = 0; w < kWarps; ++w) top = larger(top, of_warp[j & 1][w]);
      }
      if (mine != top) continue;
      const int column = static_cast<int>(~static_cast<unsigned>(top));
      y[b * k + j] = row[column];
      index[b * k + j] = column;
      mine = best_below(top);
    }
    __syncthreads();  // the next row starts with of_warp[0] again
  }
}

template <class T, int Threads>
void run(const Stream<ThisGpu>& stream, std::int64_t B, std::int64_t C, std::int64_t k, const T* x, T* y,
         std::int64_t* index) {
  launch("topk", topk_kernel<T, Threads>, {.grid = blocks_for(stream, B, 1, 64), .block = Threads}, stream, B, C, k, x,
         y, index);
}

}  // namespace

namespace gpu {

template <class Gpu, class T>
void topk(const Stream<Gpu>& stream, std::int64_t B, std::int64_t C, std::int64_t k, const T* x, T* y,
          std::int64_t* index) {
  AKIN_CHECK(0 <= k && k <= C && C <= 0x7fffffff - 512, "topk: {} of {} columns asked for", k, C);
  if (k == 0) return;
  if (C <= 512)
    run<T, 32>(stream, B, C, k, x, y, index);
  else if (C <= 4096)
    run<T, 128>(stream, B, C, k, x, y, index);
  else
    run<T, 512>(stream, B, C, k, x, y, index);
}

using S = Stream<ThisGpu>;
#define AKIN_INSTANTIATE(T) \
  template void topk<ThisGpu, T>(const S&, std::int64_t, std::int64_t, std::int64_t, const T*, T*, std::int64_t*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace gpu
}  // namespace akin
