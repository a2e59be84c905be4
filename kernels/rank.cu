// rank: a radix sort with 8-bit digits, the lowest first. A pass is three launches: (1) each block counts the digits of
// its tile of 2048 keys; (2) a block a digit turns the counts of all tiles into the tile's offset among the keys of
// that digit; (3) each block reads its tile again and puts every key in its place. Inside a tile the order is kept: a
// warp owns 256 neighbouring keys, 32 a round, finds the lanes with its own digit by ballots, and counts on in a table
// of its own; the tables are then summed over the warps. Ranks of ties come from the sorted keys: a key unlike its
// neighbours is done at once, others search for the ends of their run. All counts are integers: any order gives the
// same bits.
#include "kernels/rank.hpp"

#include "kernels/common/gpu/reduce.cuh"

namespace akin {

namespace {

using Count = unsigned long long;
using Key = std::uint64_t;

constexpr int kBlock = 256, kDigits = 256, kRounds = 8, kTile = kBlock * kRounds, kWarps = kBlock / 32;

constexpr int kSumBlocks = 1024;
/// What a block saw of the small group and of ties.
struct Part {
  Count twice_rank_sum, small;
  double tie_sum;
};

/// The caller's scratch, cut into pieces.
struct Scratch {
  Key *keys, *other_keys;
  std::uint32_t *values, *other_values, *counts;  // counts [digits][tiles], then the totals [digits]
  Part* parts;
  std::int64_t tiles;
  Scratch(void* memory, std::int64_t n) : tiles((n + kTile - 1) / kTile) {
    keys = static_cast<Key*>(memory);
    other_keys = keys + n;
    parts = reinterpret_cast<Part*>(other_keys + n);
    values = reinterpret_cast<std::uint32_t*>(parts + kSumBlocks);
    other_values = values + n;
    counts = other_values + n;
  }
};
static_assert(sizeof(Part) * kSumBlocks <= 1 << 16, "rank_scratch_bytes counts on it");

/// Doubles in the order of integers; both zeros are one.
__device__ __forceinline__ Key ordered(double x) {
  const auto bits = static_cast<Key>(__double_as_longlong(x == 0 ? 0.0 : x));
  return bits >> 63 != 0 ? ~bits : bits | Key{1} << 63;
}

__global__ void clear_kernel(RankSums* sums) { *sums = {~Count{0}, 0, 0, 0.0}; }

/// Values are the groups, or without `small` the places.
__global__ void __launch_bounds__(kBlock) keys_kernel(std::int64_t n, const double* x, const std::uint8_t* small,
                                                      Key* keys, std::uint32_t* values, RankSums* sums) {
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) {
    const double key = x[i];
    if (isnan(key)) atomicMin(&sums->first_nan, static_cast<Count>(i));
    keys[i] = ordered(key);
    values[i] = small == nullptr ? static_cast<std::uint32_t>(i) : small[i] != 0;
  }
}

__device__ __forceinline__ unsigned digit_of(Key key, int shift) {
  return static_cast<unsigned>(key >> shift) & (kDigits - 1);
}

__global__ void __launch_bounds__(kBlock)
    count_digits(std::int64_t n, int shift, const Key* keys, std::uint32_t* counts, std::int64_t tiles) {
  AKIN_SHARED(unsigned, count, [kDigits]);
  count[threadIdx.x] = 0;
  __syncthreads();
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kTile + threadIdx.x;
#pragma unroll
  for (int r = 0; r < kRounds; ++r)
    if (first + r * kBlock < n) atomicAdd(&count[digit_of(keys[first + r * kBlock], shift)], 1u);
  __syncthreads();
  counts[threadIdx.x * tiles + blockIdx.x] = count[threadIdx.x];
}

/// Sum of v over the threads before this one; `whole` gets the sum over all. scratch: kWarps words, free when the
/// caller's next barrier has passed.
__device__ __forceinline__ unsigned sum_before(unsigned v, unsigned* scratch, unsigned& whole) {
  const unsigned lane = threadIdx.x & 31u, warp = threadIdx.x >> 5;
  unsigned sum = v;
#pragma unroll
  for (unsigned offset = 1; offset < 32; offset <<= 1) {
    const unsigned below = __shfl_up_sync(kWholeWarp, sum, offset);
    if (lane >= offset) sum += below;
  }
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

/// Block d: counts of digit d -> how many keys of that digit lie in earlier tiles; totals[d] = all of them.
__global__ void __launch_bounds__(kBlock) scan_counts(std::uint32_t* counts, std::int64_t tiles) {
  AKIN_SHARED(unsigned, scratch, [kWarps]);
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

__global__ void __launch_bounds__(kBlock)
    place_keys(std::int64_t n, int shift, const Key* keys, const std::uint32_t* values, const std::uint32_t* counts,
               std::int64_t tiles, Key* to_keys, std::uint32_t* to_values) {
  AKIN_SHARED(unsigned, scratch, [kWarps]);
  AKIN_SHARED(unsigned, table, [kWarps][kDigits]);
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
    to_values[at] = values[first + r * 32];
  }
}

/// The run of keys equal to keys[i]: begin <= i < end.
struct Run {
  std::int64_t begin, end;
};
__device__ __forceinline__ Run run_of(const Key* keys, std::int64_t n, std::int64_t i) {
  const Key key = keys[i];
  Run run{i, i + 1};
  if (i > 0 && keys[i - 1] == key) {
    std::int64_t low = 0, high = i - 1;  // the first equal one is in low..high
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if (keys[middle] < key)
        low = middle + 1;
      else
        high = middle;
    }
    run.begin = low;
  }
  if (i + 1 < n && keys[i + 1] == key) {
    std::int64_t low = i + 2, high = n;  // the first larger one
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if (keys[middle] > key)
        high = middle;
      else
        low = middle + 1;
    }
    run.end = low;
  }
  return run;
}

__global__ void __launch_bounds__(kBlock)
    ranks_kernel(std::int64_t n, const Key* keys, const std::uint32_t* values, double* ranks) {
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) {
    const Run run = run_of(keys, n, i);
    ranks[values[i]] = 0.5 * static_cast<double>(run.begin + 1 + run.end);
  }
}

__global__ void __launch_bounds__(kBlock)
    sum_ranks(std::int64_t n, const Key* keys, const std::uint32_t* small, Part* parts) {
  AKIN_SHARED(Count, scratch, [2][32]);
  AKIN_SHARED(double, ties, [32]);
  Part p{0, 0, 0};
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) {
    const Run run = run_of(keys, n, i);
    if (small[i] != 0) {
      p.twice_rank_sum += static_cast<Count>(run.begin + 1 + run.end);
      ++p.small;
    }
    const auto t = static_cast<double>(run.end - run.begin);
    if (run.begin == i) p.tie_sum += t * (t - 1) * (t + 1);
  }
  p.twice_rank_sum = block_sum(p.twice_rank_sum, scratch[0]);
  p.small = block_sum(p.small, scratch[1]);
  p.tie_sum = block_sum(p.tie_sum, ties);
  if (threadIdx.x == 0) parts[blockIdx.x] = p;
}

__global__ void __launch_bounds__(kBlock) sum_parts(int count, const Part* parts, RankSums* sums) {
  AKIN_SHARED(Count, scratch, [2][32]);
  AKIN_SHARED(double, ties, [32]);
  Part p{0, 0, 0};
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kBlock) {
    p.twice_rank_sum += parts[i].twice_rank_sum;
    p.small += parts[i].small;
    p.tie_sum += parts[i].tie_sum;
  }
  p.twice_rank_sum = block_sum(p.twice_rank_sum, scratch[0]);
  p.small = block_sum(p.small, scratch[1]);
  p.tie_sum = block_sum(p.tie_sum, ties);
  if (threadIdx.x != 0) return;
  sums->twice_rank_sum = p.twice_rank_sum;
  sums->small = p.small;
  sums->tie_sum = p.tie_sum;
}

/// An even number of passes, so that the result is where the keys were.
void sort(const Stream<ThisGpu>& stream, std::int64_t n, int bits, Key* keys, std::uint32_t* values, const Scratch& s) {
  AKIN_CHECK(n >= 0 && n <= 0xffffffffll, "radix sort: {} keys, fewer than 2^32 can be sorted", n);
  AKIN_CHECK(bits >= 0 && bits <= 64, "radix sort: keys of {} bits", bits);
  Key* from = keys;
  Key* to = s.other_keys;
  std::uint32_t* from_values = values;
  std::uint32_t* to_values = s.other_values;
  for (int shift = 0; shift < (bits + 15) / 16 * 16; shift += 8) {
    launch("count_digits", count_digits, {.grid = s.tiles, .block = kBlock}, stream, n, shift, from, s.counts, s.tiles);
    launch("scan_counts", scan_counts, {.grid = s.tiles == 0 ? 0 : kDigits, .block = kBlock}, stream, s.counts,
           s.tiles);
    launch("place_keys", place_keys, {.grid = s.tiles, .block = kBlock}, stream, n, shift, from, from_values, s.counts,
           s.tiles, to, to_values);
    Key* const k = from;
    from = to;
    to = k;
    std::uint32_t* const v = from_values;
    from_values = to_values;
    to_values = v;
  }
}

void sum_sorted(const Stream<ThisGpu>& stream, std::int64_t n, const Key* keys, const std::uint32_t* small,
                const Scratch& s, RankSums* sums) {
  std::int64_t blocks = blocks_for(stream, n, kBlock, 4);
  if (blocks > kSumBlocks) blocks = kSumBlocks;
  launch("sum_ranks", sum_ranks, {.grid = blocks, .block = kBlock}, stream, n, keys, small, s.parts);
  launch("sum_parts", sum_parts, {.grid = 1, .block = kBlock}, stream, blocks, s.parts, sums);
}

/// Calls body(i, j, c) for the pairs of a row of the correlation matrix, see the header; a block a row.
template <class Body>
__device__ __forceinline__ void for_pairs(const double* g, std::int64_t i0, std::int64_t rows, std::int64_t n,
                                          Body&& body) {
  for (std::int64_t r = blockIdx.x; r < rows; r += gridDim.x)
    for (std::int64_t j = r + 1 + threadIdx.x; j < n - i0; j += kBlock) body(i0 + r, i0 + j, g[r * (n - i0) + j]);
}

/// c in units of 2^-40, clamped to +-1; a NaN is noted.
__device__ __forceinline__ double rounded(double c, std::int64_t pair, RankSums* sums) {
  if (isnan(c)) atomicMin(&sums->first_nan, static_cast<Count>(pair));
  return fmin(fmax(rint(c * 0x1p40), -0x1p40), 0x1p40);
}

__global__ void __launch_bounds__(kBlock, 4)
    pair_keys_kernel(const double* g, std::int64_t i0, std::int64_t rows, std::int64_t n, const std::int32_t* labels,
                     Key* keys, std::uint32_t* small, RankSums* sums) {
  for_pairs(g, i0, rows, n, [&](std::int64_t i, std::int64_t j, double c) {
    const std::int64_t pair = i * n - i * (i + 1) / 2 + j - i - 1;
    keys[pair] = static_cast<Key>(0x1p40 - rounded(c, pair, sums));
    small[pair] = labels[i] == labels[j];
  });
}

__global__ void __launch_bounds__(kBlock, 4)
    pair_bins_kernel(const double* g, std::int64_t i0, std::int64_t rows, std::int64_t n, const std::int32_t* labels,
                     Count* counts, RankSums* sums) {
  for_pairs(g, i0, rows, n, [&](std::int64_t i, std::int64_t j, double c) {
    const double correlation = rounded(c, i * n + j, sums) * 0x1p-40;
    const auto bin = static_cast<std::int64_t>((1 - correlation) * 0.5 * static_cast<double>(kCorrelationBins));
    const std::int64_t row = labels[i] == labels[j] ? kCorrelationBins : 0;
    atomicAdd(counts + row + min(bin, kCorrelationBins - 1), Count{1});
  });
}

}  // namespace

template <class Gpu>
void sort_pairs(const Stream<Gpu>& stream, std::int64_t n, int bits, std::uint64_t* keys, std::uint32_t* values,
                void* scratch) {
  sort(stream, n, bits, keys, values, Scratch(scratch, n));
}

template <class Gpu>
void clear_sums(const Stream<Gpu>& stream, RankSums* sums) {
  launch("clear_sums", clear_kernel, {}, stream, sums);
}

template <class Gpu>
void average_ranks(const Stream<Gpu>& stream, std::int64_t n, const double* keys, double* ranks, void* scratch,
                   RankSums* sums) {
  const Scratch s(scratch, n);
  const std::int64_t blocks = blocks_for(stream, n, kBlock);
  clear_sums(stream, sums);
  launch("rank_keys", keys_kernel, {.grid = blocks, .block = kBlock}, stream, n, keys, nullptr, s.keys, s.values, sums);
  sort(stream, n, 64, s.keys, s.values, s);
  launch("average_ranks", ranks_kernel, {.grid = blocks, .block = kBlock}, stream, n, s.keys, s.values, ranks);
}

template <class Gpu>
void spearman_two_valued(const Stream<Gpu>& stream, std::int64_t n, const double* keys, const std::uint8_t* small,
                         void* scratch, RankSums* sums) {
  const Scratch s(scratch, n);
  clear_sums(stream, sums);
  launch("rank_keys", keys_kernel, {.grid = blocks_for(stream, n, kBlock), .block = kBlock}, stream, n, keys, small,
         s.keys, s.values, sums);
  sort(stream, n, 64, s.keys, s.values, s);
  sum_sorted(stream, n, s.keys, s.values, s, sums);
}

template <class Gpu>
void pair_keys(const Stream<Gpu>& stream, const double* g, std::int64_t i0, std::int64_t rows, std::int64_t n,
               const std::int32_t* labels, std::uint64_t* keys, std::uint32_t* small, RankSums* sums) {
  launch("pair_keys", pair_keys_kernel, {.grid = blocks_for(stream, rows, 1), .block = kBlock}, stream, g, i0, rows, n,
         labels, keys, small, sums);
}

template <class Gpu>
void spearman_of_pairs(const Stream<Gpu>& stream, std::int64_t pairs, std::uint64_t* keys, std::uint32_t* small,
                       void* scratch, RankSums* sums) {
  const Scratch s(scratch, pairs);
  sort(stream, pairs, kPairKeyBits, keys, small, s);
  sum_sorted(stream, pairs, keys, small, s, sums);
}

template <class Gpu>
void pair_bins(const Stream<Gpu>& stream, const double* g, std::int64_t i0, std::int64_t rows, std::int64_t n,
               const std::int32_t* labels, unsigned long long* counts, RankSums* sums) {
  launch("pair_bins", pair_bins_kernel, {.grid = blocks_for(stream, rows, 1), .block = kBlock}, stream, g, i0, rows, n,
         labels, counts, sums);
}

using S = Stream<ThisGpu>;
using N = std::int64_t;
template void sort_pairs<ThisGpu>(const S&, N, int, std::uint64_t*, std::uint32_t*, void*);
template void clear_sums<ThisGpu>(const S&, RankSums*);
template void average_ranks<ThisGpu>(const S&, N, const double*, double*, void*, RankSums*);
template void spearman_two_valued<ThisGpu>(const S&, N, const double*, const std::uint8_t*, void*, RankSums*);
template void pair_keys<ThisGpu>(const S&, const double*, N, N, N, const std::int32_t*, std::uint64_t*, std::uint32_t*,
                                 RankSums*);
template void spearman_of_pairs<ThisGpu>(const S&, N, std::uint64_t*, std::uint32_t*, void*, RankSums*);
template void pair_bins<ThisGpu>(const S&, const double*, N, N, N, const std::int32_t*, unsigned long long*, RankSums*);

}  // namespace akin
