// rank: keys are sorted digit by digit (common/gpu/radix_sort.cuh). Ranks of ties come from the sorted keys: a key
// unlike its neighbours is done at once, others search for the ends of their run. All counts are integers: any order
// gives the same bits.
#include "kernels/rank.hpp"

#include "kernels/common/gpu/radix_sort.cuh"

namespace akin {

namespace {

using Count = unsigned long long;

constexpr int kSumBlocks = 1024;
/// What a block saw of the small group and of ties.
struct Part {
  Count twice_rank_sum, small;
  double tie_sum;
};

/// The caller's scratch, cut into pieces.
struct Scratch {
  Key* keys;
  std::uint32_t* values;
  Part* parts;
  Sorting sorting;
  Scratch(void* memory, std::int64_t n) {
    keys = static_cast<Key*>(memory);
    parts = reinterpret_cast<Part*>(keys + 2 * n);
    values = reinterpret_cast<std::uint32_t*>(parts + kSumBlocks);
    sorting = {n, 1, (n + kTile - 1) / kTile, keys + n, values + n, values + 2 * n};
  }
};
static_assert(sizeof(Part) * kSumBlocks <= 1 << 16, "rank_scratch_bytes counts on it");
static_assert(sizeof(Part) * kSumBlocks <= 1 << 15, "pair_scratch_bytes counts on it");

/// Doubles in the order of integers; both zeros are one.
__device__ __forceinline__ Key ordered(double x) {
  const auto bits = static_cast<Key>(__double_as_longlong(x == 0 ? 0.0 : x));
  return bits >> 63 != 0 ? ~bits : bits | Key{1} << 63;
}

__global__ void __launch_bounds__(kBlock) clear_kernel(std::int64_t sources, RankSums* sums) {
  if (const std::int64_t s = global_thread(); s < sources) sums[s] = {~Count{0}, 0, 0, 0.0};
}

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

/// Sorted keys and which of them are in the small group: in an array of its own, or in the keys.
struct KeysAndGroups {
  const Key* keys;
  const std::uint32_t* groups;
  __device__ __forceinline__ KeysAndGroups segment(std::int64_t) const { return *this; }
  __device__ __forceinline__ Key operator[](std::int64_t i) const { return keys[i]; }
  __device__ __forceinline__ bool small(std::int64_t i) const { return groups[i] != 0; }
};
struct PairKeys {
  const Key* keys;
  __device__ __forceinline__ PairKeys segment(std::int64_t first) const { return {keys + first}; }
  __device__ __forceinline__ Key operator[](std::int64_t i) const { return keys[i] & ~kSameLabel; }
  __device__ __forceinline__ bool small(std::int64_t i) const { return (keys[i] & kSameLabel) != 0; }
};

/// The run of keys equal to keys[i]: begin <= i < end.
struct Run {
  std::int64_t begin, end;
};
template <class Keys>
__device__ __forceinline__ Run run_of(const Keys& keys, std::int64_t n, std::int64_t i) {
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

template <class Keys>
__global__ void __launch_bounds__(kBlock) sum_ranks(std::int64_t n, Keys all, Part* parts) {
  const Keys keys = all.segment(blockIdx.y * n);
  AKIN_SHARED(Count, scratch, [2][32]);
  AKIN_SHARED(double, ties, [32]);
  Part p{0, 0, 0};
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) {
    const Run run = run_of(keys, n, i);
    if (keys.small(i)) {
      p.twice_rank_sum += static_cast<Count>(run.begin + 1 + run.end);
      ++p.small;
    }
    const auto t = static_cast<double>(run.end - run.begin);
    if (run.begin == i) p.tie_sum += t * (t - 1) * (t + 1);
  }
  p.twice_rank_sum = block_sum(p.twice_rank_sum, scratch[0]);
  p.small = block_sum(p.small, scratch[1]);
  p.tie_sum = block_sum(p.tie_sum, ties);
  if (threadIdx.x == 0) parts[blockIdx.y * gridDim.x + blockIdx.x] = p;
}

__global__ void __launch_bounds__(kBlock) sum_parts(int count, const Part* parts, RankSums* sums) {
  AKIN_SHARED(Count, scratch, [2][32]);
  AKIN_SHARED(double, ties, [32]);
  parts += blockIdx.x * count;
  sums += blockIdx.x;
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

template <class Keys>
void sum_sorted(const Stream<ThisGpu>& stream, std::int64_t segments, std::int64_t n, const Keys& keys, Part* parts,
                RankSums* sums) {
  // By n alone, so that sums too large to be exact do not depend on the device or on other segments.
  std::int64_t blocks = (n + kTile - 1) / kTile;
  if (blocks > kSumBlocks) blocks = kSumBlocks;
  if (blocks < 1) blocks = 1;
  launch("sum_ranks", sum_ranks<Keys>, {.grid = {blocks, segments}, .block = kBlock}, stream, n, keys, parts);
  launch("sum_parts", sum_parts, {.grid = segments, .block = kBlock}, stream, blocks, parts, sums);
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
                     Key* keys, RankSums* sums) {
  g += blockIdx.y * rows * (n - i0);
  keys += blockIdx.y * (n * (n - 1) / 2);
  sums += blockIdx.y;
  for_pairs(g, i0, rows, n, [&](std::int64_t i, std::int64_t j, double c) {
    const std::int64_t pair = i * n - i * (i + 1) / 2 + j - i - 1;
    const Key key = static_cast<Key>(0x1p40 - rounded(c, pair, sums));
    keys[pair] = labels[i] == labels[j] ? key | kSameLabel : key;
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
  sort(stream, bits, keys, values, Scratch(scratch, n).sorting);
}

template <class Gpu>
void clear_sums(const Stream<Gpu>& stream, std::int64_t sources, RankSums* sums) {
  launch("clear_sums", clear_kernel, {.grid = (sources + kBlock - 1) / kBlock, .block = kBlock}, stream, sources, sums);
}

template <class Gpu>
void average_ranks(const Stream<Gpu>& stream, std::int64_t n, const double* keys, double* ranks, void* scratch,
                   RankSums* sums) {
  const Scratch s(scratch, n);
  const std::int64_t blocks = blocks_for(stream, n, kBlock);
  clear_sums(stream, 1, sums);
  launch("rank_keys", keys_kernel, {.grid = blocks, .block = kBlock}, stream, n, keys, nullptr, s.keys, s.values, sums);
  sort(stream, 64, s.keys, s.values, s.sorting);
  launch("average_ranks", ranks_kernel, {.grid = blocks, .block = kBlock}, stream, n, s.keys, s.values, ranks);
}

template <class Gpu>
void spearman_two_valued(const Stream<Gpu>& stream, std::int64_t n, const double* keys, const std::uint8_t* small,
                         void* scratch, RankSums* sums) {
  const Scratch s(scratch, n);
  clear_sums(stream, 1, sums);
  launch("rank_keys", keys_kernel, {.grid = blocks_for(stream, n, kBlock), .block = kBlock}, stream, n, keys, small,
         s.keys, s.values, sums);
  sort(stream, 64, s.keys, s.values, s.sorting);
  sum_sorted(stream, 1, n, KeysAndGroups{s.keys, s.values}, s.parts, sums);
}

template <class Gpu>
void pair_keys(const Stream<Gpu>& stream, std::int64_t sources, const double* g, std::int64_t i0, std::int64_t rows,
               std::int64_t n, const std::int32_t* labels, std::uint64_t* keys, RankSums* sums) {
  launch("pair_keys", pair_keys_kernel, {.grid = {blocks_for(stream, rows, 1), sources}, .block = kBlock}, stream, g,
         i0, rows, n, labels, keys, sums);
}

template <class Gpu>
void spearman_of_pairs(const Stream<Gpu>& stream, std::int64_t sources, std::int64_t pairs, std::uint64_t* keys,
                       void* scratch, RankSums* sums) {
  static_assert(kPairKeyBits <= 48, "the digits that are sorted by do not reach kSameLabel");
  auto* const other_keys = static_cast<Key*>(scratch);
  auto* const parts = reinterpret_cast<Part*>(other_keys + sources * pairs);
  auto* const counts = reinterpret_cast<std::uint32_t*>(parts + sources * kSumBlocks);
  sort(stream, kPairKeyBits, keys, nullptr, {pairs, sources, (pairs + kTile - 1) / kTile, other_keys, nullptr, counts});
  sum_sorted(stream, sources, pairs, PairKeys{keys}, parts, sums);
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
template void clear_sums<ThisGpu>(const S&, N, RankSums*);
template void average_ranks<ThisGpu>(const S&, N, const double*, double*, void*, RankSums*);
template void spearman_two_valued<ThisGpu>(const S&, N, const double*, const std::uint8_t*, void*, RankSums*);
template void pair_keys<ThisGpu>(const S&, N, const double*, N, N, N, const std::int32_t*, std::uint64_t*, RankSums*);
template void spearman_of_pairs<ThisGpu>(const S&, N, N, std::uint64_t*, void*, RankSums*);
template void pair_bins<ThisGpu>(const S&, const double*, N, N, N, const std::int32_t*, unsigned long long*, RankSums*);

}  // namespace akin
