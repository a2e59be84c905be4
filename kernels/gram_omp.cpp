// The CPU fast path. Both operands are packed once into panels, kColumns vectors side by side; a block of the result
// stays in a core's cache while the depth passes over it, and threads take blocks as they become free.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/gram.hpp"

namespace akin::fast {
namespace {

// The register tile, kRows x kColumns sums: as many as the registers hold beside a row of b and one element of a.
#if defined(__AVX512F__)
constexpr std::int64_t kRows = 8, kColumns = 24, kBytes = 64;
#elif defined(__AVX__)
constexpr std::int64_t kRows = 4, kColumns = 12, kBytes = 32;
#elif defined(__aarch64__)
constexpr std::int64_t kRows = 4, kColumns = 12, kBytes = 16;
#else
constexpr std::int64_t kRows = 4, kColumns = 4, kBytes = 16;
#endif
using Lanes = double __attribute__((vector_size(kBytes)));
constexpr std::size_t kWidth = kBytes / sizeof(double), kVectors = kColumns / kWidth;
constexpr std::int64_t kBlock = 96;   // rows and columns of a block
constexpr std::int64_t kDepth = 128;  // terms for which a panel stays in the first-level cache
static_assert(kColumns % kRows == 0 && kBlock % kColumns == 0);

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

Lanes load(const double* from) {
  Lanes value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
void store(const Lanes& value, double* to) { std::memcpy(to, &value, sizeof value); }

struct Aligned {
  struct alignas(64) Line {
    double values[8];
  };
  explicit Aligned(std::int64_t doubles)
      : lines(std::make_unique_for_overwrite<Line[]>(static_cast<std::size_t>(ceil_div(doubles, 8)))) {}
  double* data() const { return lines[0].values; }
  std::unique_ptr<Line[]> lines;
};

/// panel[p, r] = element p of row r, for the `have` rows of a panel; zeros beyond them.
template <class T>
void side_by_side(const T* rows, std::int64_t have, std::int64_t depth, double* panel) {
  if (have < kColumns) std::fill(panel, panel + kColumns * depth, 0.0);
  for (std::int64_t p0 = 0; p0 < depth; p0 += 8) {  // few lines at a time
    const std::int64_t stop = std::min(depth, p0 + 8);
    for (std::int64_t r = 0; r < have; ++r)
      for (std::int64_t p = p0; p < stop; ++p) panel[p * kColumns + r] = double(rows[r * depth + p]);
  }
}

/// `items` vectors of `depth` numbers. Panel t holds element p of its vectors side by side.
class Panels {
 public:
  /// fill(first item, how many, panel) writes one; from several threads at once.
  template <class Fill>
  Panels(std::int64_t items, std::int64_t depth, Fill&& fill)
      : items_(items), depth_(depth), memory_(ceil_div(items, kColumns) * kColumns * depth + 1) {
    parallel_for(ceil_div(items, kColumns), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t)
        fill(t * kColumns, std::min(kColumns, items - t * kColumns), memory_.data() + t * kColumns * depth);
    });
  }
  std::int64_t items() const { return items_; }
  std::int64_t depth() const { return depth_; }
  /// Of vectors item .. from element p on; item is a multiple of kRows. Element p + 1 lies kColumns further.
  const double* at(std::int64_t item, std::int64_t p) const {
    return memory_.data() + item / kColumns * kColumns * depth_ + p * kColumns + item % kColumns;
  }

 private:
  std::int64_t items_, depth_;
  Aligned memory_;
};

template <class T>
Panels of_rows(const T* x, std::int64_t n, std::int64_t d) {
  return {n, d, [=](std::int64_t i, std::int64_t have, double* panel) { side_by_side(x + i * d, have, d, panel); }};
}

template <class T>
Panels of_columns(const T* x, std::int64_t n, std::int64_t d) {
  return {d, n, [=](std::int64_t first, std::int64_t have, double* panel) {
            if (have < kColumns) std::fill(panel, panel + kColumns * n, 0.0);
            for (std::int64_t i = 0; i < n; ++i)
              for (std::int64_t c = 0; c < have; ++c) panel[i * kColumns + c] = double(x[i * d + first + c]);
          }};
}

/// tile[r, c] += sum_p a[p, r] b[p, c], rows of the tile `kBlock` apart. One chain of additions an element, in the
/// order of p. The indices are constants, so that the sums stay in registers.
template <std::size_t... I>
void multiply(const double* a, const double* b, std::int64_t count, double* tile, std::index_sequence<I...>) {
  Lanes sum[sizeof...(I)] = {load(tile + I / kVectors * kBlock + I % kVectors * kWidth)...};
  for (std::int64_t p = 0; p < count; ++p, a += kColumns, b += kColumns)
    ((sum[I] += a[I / kVectors] * load(b + I % kVectors * kWidth)), ...);
  (store(sum[I], tile + I / kVectors * kBlock + I % kVectors * kWidth), ...);
}

/// Calls visit(block) for blocks that cover G[i,j] = <item i of x, item j of y>; `upper`: only tiles that touch i <= j
/// are worked out.
template <class Visit>
void blocks_of(const Panels& x, const Panels& y, bool upper, Visit&& visit) {
  const std::int64_t rows = ceil_div(x.items(), kBlock), columns = ceil_div(y.items(), kBlock), depth = x.depth();
  std::vector<std::pair<std::int64_t, std::int64_t>> tasks;
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = upper ? i : 0; j < columns; ++j) tasks.emplace_back(i * kBlock, j * kBlock);
  const Aligned buffers(std::min<std::int64_t>(max_threads(), static_cast<std::int64_t>(tasks.size())) * kBlock *
                        kBlock);
  parallel_tasks(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t task, int thread) {
    const auto [i0, j0] = tasks[static_cast<std::size_t>(task)];
    GramBlock block{i0,      j0,    std::min(kBlock, x.items() - i0), std::min(kBlock, y.items() - j0), kBlock,
                    nullptr, thread};
    double* g = buffers.data() + thread * kBlock * kBlock;
    std::fill(g, g + kBlock * kBlock, 0.0);
    for (std::int64_t p = 0; p < depth; p += kDepth) {
      const std::int64_t count = std::min(kDepth, depth - p);
      for (std::int64_t j = 0; j < block.columns; j += kColumns) {
        const std::int64_t last = upper && i0 == j0 ? std::min(block.rows, j + kColumns) : block.rows;
        for (std::int64_t i = 0; i < last; i += kRows)
          multiply(x.at(i0 + i, p), y.at(j0 + j, p), count, g + i * kBlock + j,
                   std::make_index_sequence<kRows * kVectors>());
      }
    }
    block.g = g;
    visit(static_cast<const GramBlock&>(block));
  });
}

/// Writes blocks into G [.., m].
auto copier(std::int64_t m, double* g) {
  return [=](const GramBlock& b) {
    for (std::int64_t r = 0; r < b.rows; ++r) std::copy_n(b.g + r * b.stride, b.columns, g + (b.i0 + r) * m + b.j0);
  };
}

/// Writes blocks of the upper triangle into both halves of a symmetric G [m, m].
auto mirror(std::int64_t m, double* g) {
  return [=](const GramBlock& b) {
    const bool diagonal = b.i0 == b.j0;
    for (std::int64_t r = 0; r < b.rows; ++r) {
      const std::int64_t first = diagonal ? r : 0;
      std::copy_n(b.g + r * b.stride + first, b.columns - first, g + (b.i0 + r) * m + b.j0 + first);
    }
    for (std::int64_t c = 0; c < b.columns; ++c) {
      double* row = g + (b.j0 + c) * m + b.i0;
      for (std::int64_t r = 0; r < (diagonal ? c : b.rows); ++r) row[r] = b.g[r * b.stride + c];
    }
  };
}

/// A column's value z = ((x - first) - mean) / scale. Taking the first row off leaves a constant column exactly zero.
struct ColumnScale {
  std::vector<double> first, mean, scale;
  template <class T>
  double operator()(T x, std::size_t c) const {
    return ((double(x) - first[c]) - mean[c]) / scale[c];
  }
};

/// The specification's sums, a strip of columns at a time so that its rows stay in cache.
template <class T>
ColumnScale column_scale(std::int64_t n, std::int64_t d, const T* x) {
  constexpr std::int64_t kStrip = 64;
  const std::vector<double> zeros(static_cast<std::size_t>(d), 0.0);
  ColumnScale columns{{x, x + (n > 0 ? d : 0)}, zeros, zeros};
  parallel_for(n > 0 ? ceil_div(d, kStrip) : 0, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c0 = begin * kStrip; c0 < std::min(d, end * kStrip); c0 += kStrip) {
      const std::int64_t count = std::min(kStrip, d - c0);
      const double* first = columns.first.data() + c0;
      double mean[kStrip] = {}, square[kStrip] = {};
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t c = 0; c < count; ++c) mean[c] += double(x[i * d + c0 + c]) - first[c];
      for (double& value : mean) value /= double(n);
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t c = 0; c < count; ++c) {
          const double value = (double(x[i * d + c0 + c]) - first[c]) - mean[c];
          square[c] += value * value;
        }
      }
      for (std::int64_t c = 0; c < count; ++c) {
        columns.mean[static_cast<std::size_t>(c0 + c)] = mean[c];
        columns.scale[static_cast<std::size_t>(c0 + c)] = square[c] == 0 ? 1.0 : std::sqrt(square[c] / double(n));
      }
    }
  });
  return columns;
}

/// to = from minus its mean, divided by its norm, or zeros; false where nothing varies.
bool standardise(const double* from, double* to, std::int64_t d) {
  constexpr std::int64_t kLanes = 32;  // sums side by side: a fixed order on every machine
  const auto sum_of = [d](auto&& term) {
    double sums[kLanes] = {}, sum = 0;
    std::int64_t c = 0;
    for (; c + kLanes <= d; c += kLanes)
      for (std::int64_t l = 0; l < kLanes; ++l) sums[l] += term(c + l);
    for (; c < d; ++c) sums[0] += term(c);
    for (const double part : sums) sum += part;
    return sum;
  };
  const double first = *from;
  const double mean = sum_of([=](std::int64_t c) { return from[c] - first; }) / double(d);
  for (std::int64_t c = 0; c < d; ++c) to[c] = (from[c] - first) - mean;
  const double norm = std::sqrt(sum_of([=](std::int64_t c) { return to[c] * to[c]; }));
  for (std::int64_t c = 0; c < d; ++c) to[c] = norm == 0 ? 0.0 : to[c] / norm;
  return norm != 0;
}

/// Blocks of the Gram matrix of rows that prepare(row of x, z) writes.
template <class T, class Prepare>
void blocks_of_rows(std::int64_t n, std::int64_t d, const T* x, const std::function<void(const GramBlock&)>& visit,
                    Prepare&& prepare) {
  const Panels rows(n, d, [&](std::int64_t first, std::int64_t have, double* panel) {
    const Aligned z(kColumns * d);
    for (std::int64_t r = 0; r < have; ++r) prepare(x + (first + r) * d, z.data() + r * d);
    side_by_side(z.data(), have, d, panel);
  });
  blocks_of(rows, rows, true, visit);
}

}  // namespace

template <class T>
void gram_xyt(std::int64_t n, std::int64_t m, std::int64_t k, const T* x, const T* y, double* g) {
  blocks_of(of_rows(x, n, k), of_rows(y, m, k), false, copier(m, g));
}

template <class T>
void gram_xxt(std::int64_t n, std::int64_t k, const T* x, double* g) {
  const Panels rows = of_rows(x, n, k);
  blocks_of(rows, rows, true, mirror(n, g));
}

template <class T>
void gram_xty(std::int64_t n, std::int64_t d, std::int64_t e, const T* x, const T* y, double* g) {
  const Panels columns = of_columns(x, n, d);
  if (x == y && d == e) return blocks_of(columns, columns, true, mirror(e, g));
  blocks_of(columns, of_columns(y, n, e), false, copier(e, g));
}

template <class T>
void centre_columns(std::int64_t n, std::int64_t d, const T* x, double* z, bool scaled) {
  const ColumnScale columns = column_scale(n, d, x);
  parallel_for(n, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* from = x + i * d;
      double* to = z + i * d;
      const double *first = columns.first.data(), *mean = columns.mean.data(), *scale = columns.scale.data();
      if (scaled)
#pragma GCC ivdep
        for (std::int64_t c = 0; c < d; ++c) to[c] = ((double(from[c]) - first[c]) - mean[c]) / scale[c];
      else
#pragma GCC ivdep
        for (std::int64_t c = 0; c < d; ++c) to[c] = (double(from[c]) - first[c]) - mean[c];
    }
  });
}

std::int32_t standardise_rows(std::int64_t n, std::int64_t d, const double* x, double* z) {
  std::atomic<std::int32_t> flat{0};
  parallel_for(n, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) flat += !standardise(x + i * d, z + i * d, d);
  });
  return flat;
}

template <class T>
std::int32_t correlation_blocks(std::int64_t n, std::int64_t d, const T* x,
                                const std::function<void(const GramBlock&)>& visit) {
  const ColumnScale columns = column_scale(n, d, x);
  std::atomic<std::int32_t> flat{0};
  blocks_of_rows(n, d, x, visit, [&](const T* from, double* z) {
    for (std::int64_t c = 0; c < d; ++c) z[c] = columns(from[c], static_cast<std::size_t>(c));
    flat += !standardise(z, z, d);
  });
  return flat;
}

template <class T>
void centred_blocks(std::int64_t n, std::int64_t d, const T* x, const std::function<void(const GramBlock&)>& visit) {
  const ColumnScale columns = column_scale(n, d, x);
  const double *first = columns.first.data(), *mean = columns.mean.data();
  blocks_of_rows(n, d, x, visit, [=](const T* from, double* z) {
    for (std::int64_t c = 0; c < d; ++c) z[c] = (double(from[c]) - first[c]) - mean[c];
  });
}

#define AKIN_INSTANTIATE(T)                                                                                         \
  template void gram_xyt(std::int64_t, std::int64_t, std::int64_t, const T*, const T*, double*);                    \
  template void gram_xxt(std::int64_t, std::int64_t, const T*, double*);                                            \
  template void gram_xty(std::int64_t, std::int64_t, std::int64_t, const T*, const T*, double*);                    \
  template void centred_blocks(std::int64_t, std::int64_t, const T*, const std::function<void(const GramBlock&)>&); \
  template void centre_columns(std::int64_t, std::int64_t, const T*, double*, bool);                                \
  template std::int32_t correlation_blocks(std::int64_t, std::int64_t, const T*,                                    \
                                           const std::function<void(const GramBlock&)>&);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace akin::fast
