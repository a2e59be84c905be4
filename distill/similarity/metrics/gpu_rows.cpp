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

Tensor upload(Context& ctx, std::span<const double> x) {
  const Tensor t = doubles(ctx, static_cast<std::int64_t>(x.size()));
  t.copy_from(x.data());
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

}  // namespace

GpuRows centred_rows(Context& ctx, std::span<const double> x, std::int64_t n, std::int64_t d) {
  GpuRows rows{&ctx, n, d, upload(ctx, x)};
  const Tensor scratch = doubles(ctx, 3 * d);
  const std::span<double> z = all(rows.z);
  on_gpu(ctx, {"centre", columns_work(n, d, sizeof(double))},
         [&](const auto& stream) { centre_columns<double>(stream, n, d, z, z, scratch.data<double>()); });
  return rows;
}

GpuRows standardised_rows(Context& ctx, std::span<const double> x, std::int64_t n, std::int64_t d, std::int64_t& flat) {
  GpuRows rows{&ctx, n, d, upload(ctx, x)};
  const Tensor scratch = doubles(ctx, 3 * d), count = Tensor::zeros(ctx, {1}, DType::i32);
  const std::span<double> z = all(rows.z);
  on_gpu(ctx, {"standardise", columns_work(2 * n, d, sizeof(double))}, [&](const auto& stream) {
    zscore_columns<double>(stream, n, d, z, z, scratch.data<double>());
    standardise_rows(stream, n, d, z, z, count.data<std::int32_t>());
  });
  std::int32_t found = 0;
  count.copy_to(&found);
  flat = found;
  return rows;
}

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
  const Tensor label = upload_labels(ctx, labels), sums = Tensor::empty(ctx, {sizeof(RankSums)}, DType::u8);
  const Tensor keys = Tensor::empty(ctx, {pairs}, DType::i64), same = Tensor::empty(ctx, {pairs}, DType::i32);
  auto* out = reinterpret_cast<RankSums*>(sums.raw());
  auto* key = reinterpret_cast<std::uint64_t*>(keys.data<std::int64_t>());
  auto* group = reinterpret_cast<std::uint32_t*>(same.data<std::int32_t>());
  on_gpu(ctx, {"clear sums", {}}, [&](const auto& stream) { clear_sums(stream, out); });
  for_blocks(rows, [&](const auto& stream, const double* g, std::int64_t i0, std::int64_t height) {
    pair_keys(stream, g, i0, height, rows.n, label.data<std::int32_t>(), key, group, out);
  });
  const Tensor scratch = Tensor::empty(ctx, {static_cast<std::int64_t>(rank_scratch_bytes(pairs))}, DType::u8);
  on_gpu(ctx, {"rank pairs", sort_work(pairs, kPairKeyBits)},
         [&](const auto& stream) { spearman_of_pairs(stream, pairs, key, group, scratch.raw(), out); });
  RankSums found;
  sums.copy_to(&found);
  return spearman_from_sums(found, pairs);
}

PairCounts count_pairs(const GpuRows& rows, std::span<const int> labels) {
  Context& ctx = *rows.ctx;
  const Tensor label = upload_labels(ctx, labels), sums = Tensor::empty(ctx, {sizeof(RankSums)}, DType::u8);
  const Tensor counts = Tensor::zeros(ctx, {2, kCorrelationBins}, DType::i64);
  auto* out = reinterpret_cast<RankSums*>(sums.raw());
  on_gpu(ctx, {"clear sums", {}}, [&](const auto& stream) { clear_sums(stream, out); });
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
