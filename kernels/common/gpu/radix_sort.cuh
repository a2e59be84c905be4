// A radix sort of 64-bit keys with 8-bit digits, the lowest first, of one segment of keys for each blockIdx.y. A pass
// is three launches: (1) each block counts the digits of its tile of 2048 keys; (2) the counts of all tiles become the
// tile's offset among the keys of that digit, a warp a digit where tiles are few and a block where they are many; (3)
// each block reads its tile again and puts every key in its place. Inside a tile the order is kept: a warp owns 256
// neighbouring keys, 32 a round, finds the lanes with its own digit by ballots, and counts on in a table of its own;
// the tables are then summed over the warps. Stable, so the result depends on the keys alone.
#pragma once

#include "kernels/common/gpu/reduce.cuh"

namespace akin {
namespace {

using Key = std::uint64_t;

constexpr int kBlock = 256, kDigits = 256, kRounds = 8, kTile = kBlock * kRounds, kWarps = kBlock / 32;
constexpr int kFewTiles = 128;  // whose counts a warp adds up in four rounds

/// What a sort needs besides keys and values.
struct Sorting {
  std::int64_t n, segments, tiles;
  Key* other_keys;
  std::uint32_t *other_values, *counts;  // counts of a segment: [digits][tiles], then the totals [digits]
};

__device__ __forceinline__ unsigned digit_of(Key key, int shift) {
  return static_cast<unsigned>(key >> shift) & (kDigits - 1);
}

__global__ void __launch_bounds__(kBlock)
    count_digits(std::int64_t n, int shift, const Key* keys, std::uint32_t* counts, std::int64_t tiles) {
  AKIN_SHARED(unsigned, count, [kDigits]);
  keys += blockIdx.y * n;
  counts += blockIdx.y * kDigits * (tiles + 1);
  count[threadIdx.x] = 0;
  __syncthreads();
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kTile + threadIdx.x;
#pragma unroll
  for (int r = 0; r < kRounds; ++r)
    if (first + r * kBlock < n) atomicAdd(&count[digit_of(keys[first + r * kBlock], shift)], 1u);
  __syncthreads();
  counts[threadIdx.x * tiles + blockIdx.x] = count[threadIdx.x];
}

/// Sum of v over the lanes up to this one.
__device__ __forceinline__ unsigned warp_sum_until(unsigned v) {
#pragma unroll
  for (unsigned offset = 1; offset < 32; offset <<= 1) {
    const unsigned below = __shfl_up_sync(kWholeWarp, v, offset);
    if ((threadIdx.x & 31u) >= offset) v += below;
  }
  return v;
}

/// Sum of v over the threads before this one; `whole` gets the sum over all. scratch: kWarps words, free when the
/// caller's next barrier has passed.
__device__ __forceinline__ unsigned sum_before(unsigned v, unsigned* scratch, unsigned& whole) {
  const unsigned lane = threadIdx.x & 31u, warp = threadIdx.x >> 5;
  const unsigned sum = warp_sum_until(v);
  if (lane == 31) scratch[warp] = sum;
  __syncthreads();
  unsigned before = 0;
  whole = 0;
#pragma unroll
  for (unsigned w = 0; w < kWarps; ++w) {
    if (w < warp) before += scratch[w];
    whole += scratch[w];
  }
  return before + sum - v;
}

/// Counts of a digit -> how many keys of that digit lie in earlier tiles; its total = all of them. A warp a digit.
__global__ void __launch_bounds__(kBlock) scan_few_counts(std::uint32_t* counts, std::int64_t tiles) {
  counts += blockIdx.y * kDigits * (tiles + 1);
  const unsigned lane = threadIdx.x & 31u, digit = blockIdx.x * kWarps + (threadIdx.x >> 5);
  std::uint32_t* const row = counts + digit * tiles;
  unsigned before = 0;
  for (std::int64_t t0 = 0; t0 < tiles; t0 += 32) {
    const unsigned own = t0 + lane < tiles ? row[t0 + lane] : 0u, until = warp_sum_until(own);
    if (t0 + lane < tiles) row[t0 + lane] = before + until - own;
    before += __shfl_sync(kWholeWarp, until, 31);
  }
  if (lane == 0) counts[kDigits * tiles + digit] = before;
}

/// The same, a block a digit.
__global__ void __launch_bounds__(kBlock) scan_counts(std::uint32_t* counts, std::int64_t tiles) {
  AKIN_SHARED(unsigned, scratch, [kWarps]);
  counts += blockIdx.y * kDigits * (tiles + 1);
  std::uint32_t* row = counts + blockIdx.x * tiles;
  unsigned before = 0;
  for (std::int64_t t0 = 0; t0 < tiles; t0 += kBlock) {
    const std::int64_t t = t0 + threadIdx.x;
    unsigned whole = 0;
    const unsigned here = sum_before(t < tiles ? row[t] : 0u, scratch, whole);
    if (t < tiles) row[t] = before + here;
    before += whole;
    __syncthreads();
  }
  if (threadIdx.x == 0) counts[kDigits * tiles + blockIdx.x] = before;
}

/// Values: they go with the keys.
template <bool Values>
__global__ void __launch_bounds__(kBlock)
    place_keys(std::int64_t n, int shift, const Key* keys, const std::uint32_t* values, const std::uint32_t* counts,
               std::int64_t tiles, Key* to_keys, std::uint32_t* to_values) {
  AKIN_SHARED(unsigned, scratch, [kWarps]);
  AKIN_SHARED(unsigned, table, [kWarps][kDigits]);
  keys += blockIdx.y * n;
  to_keys += blockIdx.y * n;
  counts += blockIdx.y * kDigits * (tiles + 1);
  const unsigned lane = threadIdx.x & 31u, warp = threadIdx.x >> 5;
  for (int w = 0; w < kWarps; ++w) table[w][threadIdx.x] = 0;
  unsigned whole = 0;
  unsigned place = sum_before(counts[kDigits * tiles + threadIdx.x], scratch, whole);  // contains a barrier
  place += counts[threadIdx.x * tiles + blockIdx.x];
  const std::int64_t first =
      static_cast<std::int64_t>(blockIdx.x) * kTile + static_cast<std::int64_t>(warp) * (32 * kRounds) + lane;
  Key key[kRounds];
  unsigned rank[kRounds];  // among the warp's keys of this digit
#pragma unroll
  for (int r = 0; r < kRounds; ++r) key[r] = first + r * 32 < n ? keys[first + r * 32] : 0;
#pragma unroll
  for (int r = 0; r < kRounds; ++r) {
    const bool real = first + r * 32 < n;
    const unsigned digit = digit_of(key[r], shift);
    unsigned same = __ballot_sync(kWholeWarp, real);
    if (!real) same = ~same;
#pragma unroll
    for (int b = 0; b < 8; ++b) {
      const unsigned set = __ballot_sync(kWholeWarp, digit >> b & 1u);
      same &= (digit >> b & 1u) != 0 ? set : ~set;
    }
    const unsigned lower = static_cast<unsigned>(__popc(same & ((1u << lane) - 1)));
    rank[r] = table[warp][digit] + lower;
    __syncwarp();  // all have read
    if (real && lower == 0) table[warp][digit] += static_cast<unsigned>(__popc(same));
    __syncwarp();
  }
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) {
    const unsigned count = table[w][threadIdx.x];
    table[w][threadIdx.x] = place;
    place += count;
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < kRounds; ++r) {
    if (first + r * 32 >= n) continue;
    const unsigned at = table[warp][digit_of(key[r], shift)] + rank[r];
    to_keys[at] = key[r];
    if (Values) to_values[at] = values[first + r * 32];
  }
}

/// An even number of passes, so that the result is where the keys were. Without values: nullptr.
void sort(const Stream<ThisGpu>& stream, int bits, Key* keys, std::uint32_t* values, const Sorting& s) {
  const std::int64_t n = s.n;
  AKIN_CHECK(n >= 0 && n <= 0xffffffffll, "radix sort: {} keys, fewer than 2^32 can be sorted", n);
  AKIN_CHECK(bits >= 0 && bits <= 64, "radix sort: keys of {} bits", bits);
  Key* from = keys;
  Key* to = s.other_keys;
  std::uint32_t* from_values = values;
  std::uint32_t* to_values = s.other_values;
  for (int shift = 0; shift < (bits + 15) / 16 * 16; shift += 8) {
    const LaunchShape tiles{.grid = {s.tiles, s.segments}, .block = kBlock};
    const bool few = s.tiles <= kFewTiles;
    launch("count_digits", count_digits, tiles, stream, n, shift, from, s.counts, s.tiles);
    launch("scan_counts", few ? scan_few_counts : scan_counts,
           {.grid = {few ? kDigits / kWarps : kDigits, s.tiles == 0 ? 0 : s.segments}, .block = kBlock}, stream,
           s.counts, s.tiles);
    launch("place_keys", values != nullptr ? place_keys<true> : place_keys<false>, tiles, stream, n, shift, from,
           from_values, s.counts, s.tiles, to, to_values);
    Key* const k = from;
    from = to;
    to = k;
    std::uint32_t* const v = from_values;
    from_values = to_values;
    to_values = v;
  }
}

}  // namespace
}  // namespace akin
