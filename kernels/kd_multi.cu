// One kernel for all sources. A unit is one source of one row. Sources of up to 1024 classes: a warp a unit, teacher
// and student logits in registers (rows.cuh; 16-byte packs when every source begins and ends on one), read once, the
// gradient written once; units are dealt out in memory order. Longer sources: a block a unit, in blocks of their own
// behind those. A source of weight 0 is not read; zeros are written to its gradient. The table of sources is a kernel
// argument: all lanes of a warp read the same entry, from the constant bank. Each block writes its part of the loss,
// summed in double; a second kernel adds the parts in a fixed order.
#include "kernels/kd_multi.hpp"

#include <algorithm>
#include <vector>

#include "kernels/common/gpu/rows.cuh"

namespace akin {

namespace {

constexpr int kBlocks = 8;  // a multiprocessor, at most, for either kind of unit
constexpr int kSmallTable = 64, kLargeTable = 1024;

struct Source {
  int offset, classes;
  float alpha;
};

/// Sources of one launch: `shorts` served by warps, then `longs` served by blocks.
template <int N>
struct Table {
  int shorts, longs;
  int short_blocks;  ///< the first blocks of the grid
  Source source[N];
};

struct Sizes {
  std::int64_t B, columns;
  float factor;  ///< log2(e) / T
  float scale;   ///< T / B
};

/// alpha CE(softmax(z / T), softmax(g / T)) of a unit, in its leader; writes the gradient.
template <class Row>
__device__ __forceinline__ float unit(const Sizes& s, const Source& source, const float* z, const float* g, float* dg) {
  Row teacher(z, source.classes), student(g, source.classes);
  float top_z = -INFINITY, top_g = -INFINITY;
  teacher.each(student, [&](int, const auto& vz, const auto& vg) {
#pragma unroll
    for (int k = 0; k < Row::kWidth; ++k) top_z = fmaxf(top_z, vz.v[k]), top_g = fmaxf(top_g, vg.v[k]);
  });
  top_z = Row::max(top_z);
  top_g = Row::max(top_g);
  float sum_z = 0, sum_g = 0, dot = 0;  // dot: sum exp(z') g', in powers of two
  teacher.each(student, [&](int, auto& vz, auto& vg) {
#pragma unroll
    for (int k = 0; k < Row::kWidth; ++k) {
      const float log_g = (vg.v[k] - top_g) * s.factor;
      const float ez = shifted_exp(vz.v[k], top_z, s.factor), eg = exp2f(log_g);
      sum_z += ez;
      sum_g += eg;
      dot = fmaf(ez, log_g, dot);
      vz.v[k] = ez;
      vg.v[k] = eg;
    }
  });
  sum_z = Row::sum(sum_z);
  sum_g = Row::sum(sum_g);
  dot = Row::sum(dot);
  if (dg != nullptr) {
    const float scale = source.alpha * s.scale, per_z = scale / sum_z, per_g = scale / sum_g;
    teacher.each(student, [&](int c, const auto& vz, const auto& vg) {
      Vec<float, Row::kWidth> out;
#pragma unroll
      for (int k = 0; k < Row::kWidth; ++k) {
        const float ez = Row::kKeeps ? vz.v[k] : shifted_exp(vz.v[k], top_z, s.factor);
        const float eg = Row::kKeeps ? vg.v[k] : shifted_exp(vg.v[k], top_g, s.factor);
        out.v[k] = per_g * eg - per_z * ez;
      }
      store_vec<Row::kWidth>(dg + c, out);
    });
  }
  constexpr float kLn2 = 0.693147180559945309417f;
  return Row::leads() ? source.alpha * (logf(sum_g) - kLn2 * (dot / sum_z)) : 0.0f;
}

template <int W, int N>
__global__ void __launch_bounds__(kRowBlock, 2)
    all_sources(Sizes s, Table<N> table, const float* z, const float* g, float* dg, double* part) {
  AKIN_SHARED(double, warp_part, [kRowBlock / 32]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  double loss = 0;  // of this thread's units where it leads, in ascending order
  if (static_cast<int>(blockIdx.x) < table.short_blocks) {
    const std::int64_t units = s.B * table.shorts, step = std::int64_t{table.short_blocks} * WarpRow<W>::kTeams;
    for (std::int64_t u = std::int64_t{blockIdx.x} * WarpRow<W>::kTeams + warp; u < units; u += step) {
      const std::int64_t b = u / table.shorts;
      const Source source = table.source[u - b * table.shorts];
      const std::int64_t at = b * s.columns + source.offset;
      if (source.alpha != 0)
        loss += unit<WarpRow<W>>(s, source, z + at, g + at, dg == nullptr ? nullptr : dg + at);
      else if (dg != nullptr)
        for (int c = lane; c < source.classes; c += 32) dg[at + c] = 0;
    }
  } else {
    const std::int64_t units = s.B * table.longs, step = std::int64_t{gridDim.x} - table.short_blocks;
    for (std::int64_t u = std::int64_t{blockIdx.x} - table.short_blocks; u < units; u += step) {
      const std::int64_t b = u / table.longs;
      const Source source = table.source[table.shorts + (u - b * table.longs)];
      const std::int64_t at = b * s.columns + source.offset;
      loss += unit<BlockRow>(s, source, z + at, g + at, dg == nullptr ? nullptr : dg + at);
    }
  }
  if (lane == 0) warp_part[warp] = loss;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < kRowBlock / 32; ++i) loss += warp_part[i];
  part[blockIdx.x] = loss;
}

__global__ void __launch_bounds__(kRowBlock) add_parts(int parts, double factor, const double* part, float* loss) {
  AKIN_SHARED(double, shared, [32]);
  double sum = 0;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < parts; i += kRowBlock) sum += part[i];
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) loss[0] = static_cast<float>(sum * factor);
}

/// One launch; returns the number of parts written. `sources`: at most N, the short ones first.
template <int W, int N>
std::int64_t run_table(const Stream<ThisGpu>& stream, const Sizes& s, const Source* sources, int shorts, int longs,
                       const float* z, const float* g, float* dg, double* part) {
  const std::int64_t short_blocks = blocks_for(stream, s.B * shorts, WarpRow<W>::kTeams, kBlocks);
  const std::int64_t blocks = short_blocks + blocks_for(stream, s.B * longs, 1, kBlocks);
  Table<N> table{shorts, longs, static_cast<int>(short_blocks), {}};
  std::copy_n(sources, shorts + longs, table.source);
  launch("kd_multi", all_sources<W, N>, {.grid = blocks, .block = kRowBlock}, stream, s, table, z, g, dg, part);
  return blocks;
}

template <int W>
std::int64_t run_sources(const Stream<ThisGpu>& stream, const Sizes& s, std::vector<Source>& sources, const float* z,
                         const float* g, float* dg, double* part) {
  std::int64_t parts = 0;
  for (std::size_t first = 0; first < sources.size(); first += kLargeTable) {
    const auto begin = sources.begin() + static_cast<std::ptrdiff_t>(first);
    const auto n = std::min<std::ptrdiff_t>(kLargeTable, sources.end() - begin);
    const auto middle =
        std::stable_partition(begin, begin + n, [](const Source& k) { return k.classes <= kWarpRow || k.alpha == 0; });
    const int shorts = static_cast<int>(middle - begin), longs = static_cast<int>(begin + n - middle);
    const auto run = n <= kSmallTable ? run_table<W, kSmallTable> : run_table<W, kLargeTable>;
    parts += run(stream, s, &*begin, shorts, longs, z, g, dg, part + parts);
  }
  return parts;
}

}  // namespace

template <class Gpu>
std::int64_t kd_multi_scratch(const Stream<Gpu>& stream, const KdShape& s) {
  return (s.S + kLargeTable - 1) / kLargeTable * 2 * kBlocks * stream.limits->multiprocessors;
}

template <class Gpu, class T>
void kd_multi(const Stream<Gpu>& stream, const KdShape& s, const T* z, const T* g, T* dg, double* scratch, T* loss) {
  const std::int64_t columns = s.offset[s.S];
  AKIN_CHECK(columns <= 0x7fffffff, "kd_multi: {} columns; a GPU takes up to 2147483647", columns);
  std::vector<Source> sources;
  bool packs = columns % 4 == 0 && aligned16(z, g, dg);
  for (std::int64_t i = 0; i < s.S; ++i) {
    sources.push_back({static_cast<int>(s.offset[i]), static_cast<int>(s.offset[i + 1] - s.offset[i]),
                       static_cast<float>(s.alpha[i])});
    packs = packs && s.offset[i] % 4 == 0;
  }
  const double B = static_cast<double>(s.B), temperature = s.temperature;
  const Sizes sizes{s.B, columns, static_cast<float>(double{kLog2e} / temperature),
                    static_cast<float>(temperature / B)};
  const std::int64_t parts = packs ? run_sources<4>(stream, sizes, sources, z, g, dg, scratch)
                                   : run_sources<1>(stream, sizes, sources, z, g, dg, scratch);
  launch("kd_multi_loss", add_parts, {.grid = 1, .block = kRowBlock}, stream, parts, temperature * temperature / B,
         scratch, loss);
}

using S = Stream<ThisGpu>;
template std::int64_t kd_multi_scratch<ThisGpu>(const S&, const KdShape&);
template void kd_multi<ThisGpu, float>(const S&, const KdShape&, const float*, const float*, float*, double*, float*);

}  // namespace akin
