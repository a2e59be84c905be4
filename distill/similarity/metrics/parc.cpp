#include "distill/similarity/metrics/parc.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>

#include "distill/similarity/metrics/gpu_rows.hpp"
#include "distill/similarity/metrics/pairs.hpp"
#include "distill/similarity/metrics/pca.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/gram.hpp"
#include "kernels/rank.hpp"

namespace akin {
namespace {

/// Images whose correlations are wanted: here, or (gpu.ctx) on the GPU.
struct Rows {
  std::int64_t n = 0, d = 0;
  const Array* features = nullptr;      // [n, d] as they came
  std::vector<double> components = {};  // [n, d] in their place, where principal components are taken
  GpuRows gpu = {};
};

void check_flat(const Rows& rows, std::int64_t flat, std::vector<std::string>& warnings) {
  AKIN_CHECK(flat < rows.n,
             "PARC: the {} feature column(s) of every image are equal as far as 16 digits tell, so images cannot be "
             "correlated; "
             "give features of at least 2 columns that vary, or use the metric cka",
             rows.d);
  if (flat > 0) {
    warnings.push_back(
        fmt::format("{} of {} images have features without variance; taken as unlike all others", flat, rows.n));
  }
  if (rows.d == 2) warnings.push_back("features have 2 columns, so every correlation is +1 or -1: a coarse ranking");
}

/// f(span) of the numbers that are correlated.
template <class F>
auto with_rows(const Rows& rows, F&& f) {
  return rows.components.empty() ? with_numbers(*rows.features, f) : f(std::span<const double>(rows.components));
}

/// On the host.
Rows rows_of(const Probe& probe, const ParcOptions& options, std::vector<std::string>& warnings) {
  AKIN_CHECK(options.components >= 0, "PARC: {} principal components asked for; 0 means none", options.components);
  check_matrix("PARC", "features", probe.features, probe.labels.size());
  Rows rows{probe.features.shape()[0], probe.features.shape()[1], &probe.features};
  if (options.components > 0) {
    const auto x = matrix_of("PARC", "features", probe.features, probe.labels.size());
    std::int64_t kept = options.components;
    rows.components = principal_components(x, rows.n, rows.d, kept, warnings);
    rows.d = kept;
  } else {
    const std::int64_t constant =
        with_numbers(probe.features, [&](auto numbers) { return constant_columns(numbers, rows.n); });
    if (constant > 0)
      warnings.push_back(fmt::format(
          "{} of {} feature columns are the same for all images, and count in the correlations", constant, rows.d));
  }
  return rows;
}

/// Where the probe asks for it they go to the GPU.
Rows placed_rows(const Probe& probe, Rows rows, std::vector<std::string>& warnings) {
  if (!on_gpu(probe)) return rows;
  std::int64_t flat = 0;
  rows.gpu = with_rows(rows, [&](auto x) { return standardised_rows(*probe.ctx, x, rows.n, rows.d, flat); });
  check_flat(rows, flat, warnings);
  return rows;
}

Correlations correlations_of(const Rows& rows, std::vector<std::string>& warnings) {
  if (rows.gpu.ctx != nullptr) {
    return [&rows](const std::function<void(const GramBlock&)>& visit) {
      constexpr std::int64_t kBlock = 256;
      for (std::int64_t i0 = 0; i0 < rows.n; i0 += kBlock) {
        const std::int64_t height = std::min(kBlock, rows.n - i0), width = rows.n - i0;
        const std::vector<double> block = gram_block(rows.gpu, i0, height);
        visit({i0, i0, height, width, width, block.data(), 0});
      }
    };
  }
  return [&rows, &warnings](const std::function<void(const GramBlock&)>& visit) {
    const auto work = [&](auto x) { return correlation_blocks(kFast, rows.n, rows.d, x, visit); };
    check_flat(rows, with_rows(rows, work), warnings);
  };
}

/// Refuses labels without a pair of equal or of different ones.
void check_pairs(const Probe& probe) {
  double same = 0;
  for (const double size : class_sizes(probe.labels, probe.classes)) same += size * (size - 1) / 2;
  AKIN_CHECK(same > 0,
             "PARC is undefined: no two of the {} probe images share a label. Give at least 2 labels a class, or use a "
             "metric that needs no such pair: leep or logme",
             probe.labels.size());
}

/// What counting in bins may have changed: rho = gap / sd of the ranks. Each of the same[b] different[b] pairs of pairs
/// that share a bin moves the rank sum by at most 1/2; the sd lies between that of tied bins and that without ties.
double bound_of(const std::vector<std::int64_t>& same, const std::vector<std::int64_t>& different, double value) {
  double in_doubt = 0, m = 0, k = 0, ties = 0;
  for (std::size_t b = 0; b < same.size(); ++b) {
    const double a = double(same[b]), c = double(different[b]), t = a + c;
    in_doubt += 0.5 * a * c;
    m += a;
    k += c;
    ties += t * (t - 1) * (t + 1);
  }
  const double pairs = m + k, q = m / pairs;
  const double least = std::sqrt((pairs * (pairs - 1) * (pairs + 1) - ties) / (12 * pairs));
  const double most = std::sqrt((pairs - 1) * (pairs + 1) / 12);
  return in_doubt / m / (1 - q) * std::sqrt(q * (1 - q)) / least + std::abs(value) * (1 - least / most);
}

double binned(const Probe& probe, const Rows& rows, Similarity& result) {
  const PairCounts counts = rows.gpu.ctx != nullptr
                                ? count_pairs(rows.gpu, probe.labels)
                                : bins_of_pairs(correlations_of(rows, result.warnings), probe.labels);
  const double value = spearman_two_valued_histogram(counts.same, counts.different);
  result.error_bound = bound_of(counts.same, counts.different, value);
  result.warnings.push_back(
      fmt::format("{} images: correlations counted in {} bins; the value is off by at most {:.1e}", rows.n,
                  kCorrelationBins, result.error_bound));
  return value;
}

/// A value to come. Error where it is undefined for these labels.
Similarity named(const Probe& probe, const ParcOptions& options) {
  Similarity result{options.components > 0 ? fmt::format("parc:{}", options.components) : "parc", 0,
                    check_labels("PARC", probe)};
  check_pairs(probe);
  return result;
}

using Sorted = std::shared_ptr<const SortedPairs>;

Sorted sorted_pairs(const Probe& probe, const Rows& rows, std::vector<std::string>& warnings) {
  return std::make_shared<const SortedPairs>(rows.n, correlations_of(rows, warnings), probe.labels);
}

Resampler resampler_of(const Sorted& sorted) {
  return {[sorted](std::span<const int> counts, std::span<const int> labels) { return sorted->rho(counts, labels); },
          [sorted](std::span<const Redraw> draws, std::span<double> values) { sorted->rho(draws, values); }};
}

/// A value of parc_bank. Until it is asked for, what is wrong with it is kept.
struct ToCome {
  const Probe* probe;
  Similarity result = {};
  Rows rows = {};
  std::exception_ptr error = {};
  bool taken = false;  // by a batch
  std::optional<RankedPairs> ranked = {};

  bool joins(const ToCome& first) const {
    return !taken && probe->ctx == first.probe->ctx && probe->labels == first.probe->labels && type() == first.type();
  }
  DType type() const { return rows.components.empty() ? rows.features->dtype() : DType::f64; }
};

/// All that can be worked out with `first`. What fails together, as where memory is short, is left to be worked out
/// alone.
void rank_with(ToCome& first, std::span<ToCome> all) {
  std::vector<ToCome*> batch;
  for (ToCome& other : all)
    if (other.joins(first)) batch.push_back(&other);
  try {
    const std::vector<RankedPairs> ranked = with_rows(first.rows, [&]<class T>(std::span<T>) {
      using Numbers = std::span<const std::remove_const_t<T>>;
      std::vector<Numbers> x;
      for (const ToCome* source : batch)
        with_rows(source->rows, [&]<class Own>(std::span<Own> own) {
          if constexpr (std::is_convertible_v<std::span<Own>, Numbers>) x.push_back(own);
        });
      return rank_sources<std::remove_const_t<T>>(*first.probe->ctx, x, first.rows.n, first.probe->labels);
    });
    for (std::size_t s = 0; s < batch.size(); ++s) batch[s]->ranked = ranked[s];
  } catch (const Error&) {
    if (batch.size() == 1) first.error = std::current_exception();
  }
  for (ToCome* source : batch) source->taken = true;
}

Similarity value_of(ToCome& source, const ParcOptions& options) {
  if (source.error) std::rethrow_exception(source.error);
  Similarity result = std::move(source.result);
  const Probe& probe = *source.probe;
  if (source.ranked) {
    check_flat(source.rows, source.ranked->flat, result.warnings);
    result.value = spearman_from_sums(source.ranked->sums, source.rows.n * (source.rows.n - 1) / 2);
    return result;
  }
  const Rows rows = placed_rows(probe, std::move(source.rows), result.warnings);
  result.value = rows.n >= options.histogram_from ? binned(probe, rows, result)
                 : rows.gpu.ctx != nullptr
                     ? spearman_of_pairs(rows.gpu, probe.labels)
                     : spearman_of_pairs(rows.n, correlations_of(rows, result.warnings), probe.labels);
  return result;
}

}  // namespace

std::vector<Promise> parc_bank(std::span<const Probe* const> probes, const ParcOptions& options) {
  const auto all = std::make_shared<std::vector<ToCome>>();
  for (const Probe* probe : probes) all->push_back({probe});
  const auto begin = [&](std::int64_t task) {
    ToCome& source = (*all)[static_cast<std::size_t>(task)];
    const Probe& probe = *source.probe;
    try {
      source.result = named(probe, options);
      source.rows = rows_of(probe, options, source.result.warnings);
    } catch (const Error&) {
      source.error = std::current_exception();
    }
    const std::int64_t n = source.rows.n;
    source.taken = source.error || !on_gpu(probe) || n >= options.histogram_from || n > kMostBatchRows;
  };
  if (std::ssize(*all) >= max_threads())
    parallel_tasks(std::ssize(*all), [&](std::int64_t task, int) { begin(task); });
  else  // each with all threads
    for (std::int64_t task = 0; task < std::ssize(*all); ++task) begin(task);
  for (ToCome& source : *all)
    if (!source.taken) rank_with(source, *all);
  std::vector<Promise> promises;
  for (ToCome& source : *all) promises.push_back([all, &source, options] { return value_of(source, options); });
  return promises;
}

Similarity parc(const Probe& probe, const ParcOptions& options) {
  const Probe* const one = &probe;
  return parc_bank(std::span(&one, 1), options)[0]();
}

Resampler parc_resampler(const Probe& probe, const ParcOptions& options) {
  AKIN_CHECK(probe.labels.size() <= SortedPairs::kMostImages,
             "PARC: an interval over {} images needs more memory than is sensible; take a probe of at most {}",
             probe.labels.size(), SortedPairs::kMostImages);
  std::vector<std::string> warnings;
  named(probe, options);
  return resampler_of(sorted_pairs(probe, placed_rows(probe, rows_of(probe, options, warnings), warnings), warnings));
}

Scored parc_scored(const Probe& probe, const ParcOptions& options) {
  const auto n = static_cast<std::int64_t>(probe.labels.size());
  if (n > SortedPairs::kMostImages || n >= options.histogram_from) return {parc(probe, options), {}};
  Similarity result = named(probe, options);
  const Rows rows = placed_rows(probe, rows_of(probe, options, result.warnings), result.warnings);
  const auto sorted = sorted_pairs(probe, rows, result.warnings);
  result.value = sorted->rho(std::vector<int>(probe.labels.size(), 1), probe.labels);
  return {result, resampler_of(sorted)};
}

}  // namespace akin
