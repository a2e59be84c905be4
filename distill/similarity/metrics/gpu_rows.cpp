#include "distill/similarity/metrics/gpu_rows.hpp"

#include <algorithm>

#include "engine/launch_on.hpp"
#include "kernels/gram.hpp"
#include "kernels/rank.hpp"

namespace akin {
namespace {

Tensor doubles(Context& ctx, std::int64_t n) { return Tensor::empty(ctx, {n}, DType::f64); }

std::vector<double> to_host(const Tensor& t) {
  std::vector<double> out(static_cast<std::size_t>(t.numel()));
  t.copy_to(out.data());
  return out;
}

std::span<double> all(const Tensor& t) { return {t.data<double>(), static_cast<std::size_t>(t.numel())}; }

/// Rows i0 and on; `height` of them, or all.
std::span<const double> part(const GpuRows& rows, std::int64_t i0, std::int64_t height = -1) {
  const std::size_t size = height < 0 ? std::dynamic_extent : static_cast<std::size_t>(height * rows.d);
  return all(rows.z).subspan(static_cast<std::size_t>(i0 * rows.d), size);
}

/// All of x, one behind the other. While a part goes from pinned memory to the card, the next is put there.
template <class T>
Tensor upload(Context& ctx, std::span<const std::span<const T>> x) {
  std::size_t size = 0;
  for (const auto part : x) size += part.size();
  const Shape shape{static_cast<std::int64_t>(size)};
  const Tensor pinned = Tensor::on_host(ctx, shape, dtype_of<T>()), t = Tensor::empty(ctx, shape, dtype_of<T>());
  std::size_t at = 0;
  for (const auto part : x) {
    std::copy(part.begin(), part.end(), pinned.data<T>() + at);
    ctx.stream->copy(t.data<T>() + at, pinned.data<T>() + at, part.size_bytes());
    at += part.size();
  }
  ctx.stream->synchronize();  // before the pinned memory goes to somebody else
  return t;
}

Tensor upload_labels(Context& ctx, std::span<const int> labels) {
  static_assert(sizeof(int) == sizeof(std::int32_t));
  const Tensor t = Tensor::empty(ctx, {static_cast<std::int64_t>(labels.size())}, DType::i32);
  t.copy_from(labels.data());
  return t;
}

/// Calls body(stream, g, i0, height) for blocks of rows of the correlation matrix, g [height, n - i0] on the GPU.
template <class Body>
void for_blocks(const GpuRows& rows, Body&& body) {
  constexpr std::int64_t kMost = std::int64_t{1} << 25;  // elements of a block: 256 MiB
  Context& ctx = *rows.ctx;
  for (std::int64_t i0 = 0; i0 < rows.n;) {
    const std::int64_t width = rows.n - i0;
    const std::int64_t height = std::min(width, std::max<std::int64_t>(64, kMost / width));
    const Tensor g = doubles(ctx, height * width);
    const KernelCall call{"gram", gram_work(height, width, rows.d, height == width, sizeof(double))};
    on_gpu(ctx, call, [&](const auto& stream) {
      if (height == width)
        gram_xxt<double>(stream, height, rows.d, part(rows, i0), all(g));
      else
        gram_xyt<double>(stream, height, width, rows.d, part(rows, i0, height), part(rows, i0), all(g));
      body(stream, g.data<double>(), i0, height);
    });
    i0 += height;
  }
}

/// The rows of every source, standardised; adds those without variance to flat.
template <class T>
Tensor standardised(Context& ctx, const MatrixBatch& batch, std::span<const std::span<const T>> x, const Tensor& flat) {
  const std::int64_t columns = batch.first[batch.count];
  const Tensor features = upload(ctx, x), z = doubles(ctx, batch.n * columns),
               scratch = doubles(ctx, columns_scratch(batch.n, columns));
  on_gpu(ctx, {"standardise", columns_work(2 * batch.n, columns, sizeof(double))}, [&](const auto& stream) {
    standardise_batch<T>(stream, batch, {features.data<T>(), static_cast<std::size_t>(features.numel())}, all(z),
                         scratch.data<double>(), flat.data<std::int32_t>());
  });
  return z;
}

template <class T>
T* in_bytes(const Tensor& t) {
  return reinterpret_cast<T*>(t.raw());
}
Tensor bytes(Context& ctx, std::size_t count) {
  return Tensor::empty(ctx, {static_cast<std::int64_t>(count)}, DType::u8);
}

std::size_t count_of(std::int64_t n) { return static_cast<std::size_t>(n); }

/// Device memory of a source in rank_batch.
template <class T>
std::size_t batch_bytes(std::int64_t n, std::int64_t d) {
  const std::int64_t pairs = n * (n - 1) / 2;
  return count_of(n * d) * (sizeof(T) + sizeof(double)) + pair_scratch_bytes(1, pairs) +
         sizeof(double) * count_of(columns_scratch(n, d) + n * n + pairs);
}

template <class T>
void rank_batch(Context& ctx, const MatrixBatch& batch, std::span<const std::span<const T>> x, const Tensor& labels,
                std::vector<RankedPairs>& ranked) {
  const std::int64_t n = batch.n, sources = batch.count, columns = batch.first[sources], pairs = n * (n - 1) / 2;
  const Tensor flat = Tensor::zeros(ctx, {sources}, DType::i32), z = standardised(ctx, batch, x, flat);
  const Tensor g = doubles(ctx, sources * n * n), keys = Tensor::empty(ctx, {sources * pairs}, DType::i64),
               scratch = bytes(ctx, pair_scratch_bytes(sources, pairs)),
               sums = bytes(ctx, count_of(sources) * sizeof(RankSums));
  Work work = gram_work(n, n, columns, true, sizeof(double));
  work.bytes += 8.0 * static_cast<double>((sources - 1) * n * n);
  on_gpu(ctx, {"gram", work}, [&](const auto& stream) { gram_batch(stream, batch, all(z), all(g)); });
  on_gpu(ctx, {"rank pairs", sort_work(sources * pairs, kPairKeyBits, 0)}, [&](const auto& stream) {
    auto* key = in_bytes<std::uint64_t>(keys);
    auto* out = in_bytes<RankSums>(sums);
    clear_sums(stream, sources, out);
    pair_keys(stream, sources, g.data<double>(), 0, n, n, labels.data<std::int32_t>(), key, out);
    spearman_of_pairs(stream, sources, pairs, key, scratch.raw(), out);
  });
  std::vector<RankSums> found(count_of(sources));
  std::vector<std::int32_t> flat_rows(count_of(sources));
  sums.copy_to(found.data());
  flat.copy_to(flat_rows.data());
  for (std::size_t s = 0; s < found.size(); ++s) ranked.push_back({found[s], flat_rows[s]});
}

}  // namespace

GpuRows centred_rows(Context& ctx, std::span<const double> x, std::int64_t n, std::int64_t d) {
  GpuRows rows{&ctx, n, d, upload<double>(ctx, std::span(&x, 1))};
  const Tensor scratch = doubles(ctx, columns_scratch(n, d));
  const std::span<double> z = all(rows.z);
  on_gpu(ctx, {"centre", columns_work(n, d, sizeof(double))},
         [&](const auto& stream) { centre_columns<double>(stream, n, d, z, z, scratch.data<double>()); });
  return rows;
}

template <class T>
GpuRows standardised_rows(Context& ctx, std::span<const T> x, std::int64_t n, std::int64_t d, std::int64_t& flat) {
  const Tensor count = Tensor::zeros(ctx, {1}, DType::i32);
  GpuRows rows{&ctx, n, d, standardised<T>(ctx, matrix_batch(n, std::span(&d, 1)), std::span(&x, 1), count)};
  std::int32_t found = 0;
  count.copy_to(&found);
  flat = found;
  return rows;
}
template GpuRows standardised_rows(Context&, std::span<const float>, std::int64_t, std::int64_t, std::int64_t&);
template GpuRows standardised_rows(Context&, std::span<const double>, std::int64_t, std::int64_t, std::int64_t&);

template <class T>
std::vector<RankedPairs> rank_sources(Context& ctx, std::span<const std::span<const T>> x, std::int64_t n,
                                      std::span<const int> labels, std::size_t budget) {
  AKIN_CHECK(n >= 2 && n <= kMostBatchRows && std::ssize(labels) == n, "similarity: {} rows with {} labels at once", n,
             labels.size());
  const Tensor label = upload_labels(ctx, labels);
  std::vector<RankedPairs> ranked;
  for (std::size_t first = 0; first < x.size();) {
    std::vector<std::int64_t> columns;
    std::size_t used = 0;
    for (const auto source : x.subspan(first)) {
      const std::int64_t d = std::ssize(source) / n;
      AKIN_CHECK(d * n == std::ssize(source), "similarity: {} features for {} rows", source.size(), n);
      used += batch_bytes<T>(n, d);
      if (!columns.empty() && (used > budget || columns.size() == std::size_t{MatrixBatch::kMost})) break;
      columns.push_back(d);
    }
    rank_batch<T>(ctx, matrix_batch(n, columns), x.subspan(first, columns.size()), label, ranked);
    first += columns.size();
  }
  ctx.host->flush();  // pinned memory of just this size is of no use to others
  return ranked;
}
template std::vector<RankedPairs> rank_sources(Context&, std::span<const std::span<const float>>, std::int64_t,
                                               std::span<const int>, std::size_t);
template std::vector<RankedPairs> rank_sources(Context&, std::span<const std::span<const double>>, std::int64_t,
                                               std::span<const int>, std::size_t);

std::vector<double> squared_norms(const GpuRows& rows) {
  const Tensor y = doubles(*rows.ctx, rows.n);
  on_gpu(*rows.ctx, {"squares", columns_work(rows.n, rows.d, sizeof(double))},
         [&](const auto& stream) { row_squares(stream, rows.n, rows.d, rows.z.data<double>(), y.data<double>()); });
  return to_host(y);
}

Tensor gram_of(const GpuRows& rows) {
  const Tensor g = doubles(*rows.ctx, rows.n * rows.n);
  on_gpu(*rows.ctx, {"gram", gram_work(rows.n, rows.n, rows.d, true, sizeof(double))},
         [&](const auto& stream) { gram_xxt<double>(stream, rows.n, rows.d, part(rows, 0), all(g)); });
  return g;
}

std::vector<double> gram_block(const GpuRows& rows, std::int64_t i0, std::int64_t height) {
  const Tensor g = doubles(*rows.ctx, height * (rows.n - i0));
  const KernelCall call{"gram", gram_work(height, rows.n - i0, rows.d, false, sizeof(double))};
  on_gpu(*rows.ctx, call, [&](const auto& stream) {
    gram_xyt<double>(stream, height, rows.n - i0, rows.d, part(rows, i0, height), part(rows, i0), all(g));
  });
  return to_host(g);
}

double squared_column_products(const GpuRows& a, const GpuRows& b) {
  AKIN_CHECK(a.n == b.n, "column products of {} and {} rows", a.n, b.n);
  const Tensor g = doubles(*a.ctx, a.d * b.d);
  on_gpu(*a.ctx, {"gram", gram_work(a.d, b.d, a.n, false, sizeof(double))},
         [&](const auto& stream) { gram_xty<double>(stream, a.n, a.d, b.d, part(a, 0), part(b, 0), all(g)); });
  return sum_of_products(*a.ctx, g, g);
}

double sum_of_products(Context& ctx, const Tensor& a, const Tensor& b) {
  const Tensor scratch = doubles(ctx, kDotScratch), y = doubles(ctx, 1);
  on_gpu(ctx, {"dot", columns_work(a.numel(), 1, sizeof(double))}, [&](const auto& stream) {
    dot(stream, a.numel(), a.data<double>(), b.data<double>(), scratch.data<double>(), y.data<double>());
  });
  return y.item();
}

double spearman_of_pairs(const GpuRows& rows, std::span<const int> labels) {
  Context& ctx = *rows.ctx;
  const std::int64_t pairs = rows.n * (rows.n - 1) / 2;
  const Tensor label = upload_labels(ctx, labels), sums = bytes(ctx, sizeof(RankSums)),
               keys = Tensor::empty(ctx, {pairs}, DType::i64);
  auto* out = in_bytes<RankSums>(sums);
  auto* key = in_bytes<std::uint64_t>(keys);
  on_gpu(ctx, {"clear sums", {}}, [&](const auto& stream) { clear_sums(stream, 1, out); });
  for_blocks(rows, [&](const auto& stream, const double* g, std::int64_t i0, std::int64_t height) {
    pair_keys(stream, 1, g, i0, height, rows.n, label.data<std::int32_t>(), key, out);
  });
  const Tensor scratch = bytes(ctx, pair_scratch_bytes(1, pairs));
  on_gpu(ctx, {"rank pairs", sort_work(pairs, kPairKeyBits, 0)},
         [&](const auto& stream) { spearman_of_pairs(stream, 1, pairs, key, scratch.raw(), out); });
  RankSums found;
  sums.copy_to(&found);
  return spearman_from_sums(found, pairs);
}

PairCounts count_pairs(const GpuRows& rows, std::span<const int> labels) {
  Context& ctx = *rows.ctx;
  const Tensor label = upload_labels(ctx, labels), sums = bytes(ctx, sizeof(RankSums));
  const Tensor counts = Tensor::zeros(ctx, {2, kCorrelationBins}, DType::i64);
  auto* out = in_bytes<RankSums>(sums);
  on_gpu(ctx, {"clear sums", {}}, [&](const auto& stream) { clear_sums(stream, 1, out); });
  for_blocks(rows, [&](const auto& stream, const double* g, std::int64_t i0, std::int64_t height) {
    pair_bins(stream, g, i0, height, rows.n, label.data<std::int32_t>(),
              reinterpret_cast<unsigned long long*>(counts.data<std::int64_t>()), out);
  });
  RankSums found;
  sums.copy_to(&found);
  AKIN_CHECK(found.first_nan == ~0ull, "similarity: the correlation of images {} and {} is NaN",
             found.first_nan / static_cast<unsigned long long>(rows.n),
             found.first_nan % static_cast<unsigned long long>(rows.n));
  const Array host = counts.to_array();
  const auto all = host.as<std::int64_t>();
  const auto middle = all.begin() + kCorrelationBins;
  return {{all.begin(), middle}, {middle, all.end()}};
}

}  // namespace akin
