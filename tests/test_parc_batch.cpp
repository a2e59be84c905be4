// PARC of many sources at once: every kernel of it, in the emulator, against the host, and a source's bits whatever
// goes with it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "distill/similarity/measure.hpp"
#include "distill/similarity/metrics/gpu_rows.hpp"
#include "distill/similarity/metrics/parc.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/gram.hpp"
#include "kernels/rank.hpp"
#include "tests/gpu_case.hpp"
#include "tests/similarity_cases.hpp"

using namespace akin;
using namespace akin::test;

namespace {

constexpr std::size_t kLaunches = 26;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

template <class T>
struct Bank {
  std::int64_t n;
  std::vector<std::int64_t> columns;
  std::vector<std::vector<T>> x;  // one a source

  std::vector<std::span<const T>> spans() const { return {x.begin(), x.end()}; }
  std::vector<T> all() const {
    std::vector<T> out;
    for (const auto& source : x) out.insert(out.end(), source.begin(), source.end());
    return out;
  }
  /// Source s alone.
  Bank one(std::size_t s) const { return {n, {columns[s]}, {x[s]}}; }
};

/// Random features with a constant column, two equal rows, and one column far from zero, where there is room.
template <class T>
Bank<T> bank_of(std::int64_t n, const std::vector<std::int64_t>& columns, std::uint64_t seed) {
  Bank<T> bank{n, columns, {}};
  Rng rng(seed);
  for (const std::int64_t d : columns) {
    std::vector<T> x(at(n * d));
    for (T& v : x) v = static_cast<T>(rng.normal());
    for (std::int64_t i = 0; i < n && d > 2; ++i) {
      x[at(i * d + 1)] = T(0.1f);
      x[at(i * d + 2)] += T(1000);
    }
    if (n > 6) std::copy_n(x.begin(), d, x.begin() + 5 * d);
    bank.x.push_back(std::move(x));
  }
  return bank;
}

/// What the device makes of a bank, step by step.
struct Made {
  std::vector<double> z, g;
  std::vector<std::int32_t> flat;
  std::vector<std::int64_t> keys;  // sorted
  std::vector<RankSums> sums;
};

template <class T>
Made make(Context& ctx, const Bank<T>& bank, const std::vector<std::int32_t>& labels) {
  const MatrixBatch batch = matrix_batch(bank.n, bank.columns);
  const std::int64_t n = bank.n, S = batch.count, D = batch.first[S], pairs = n * (n - 1) / 2;
  const Tensor x = on_device(ctx, bank.all(), 1), z = room<double>(ctx, n * D, 1), g = room<double>(ctx, S * n * n);
  const Tensor scratch = room<double>(ctx, columns_scratch(n, D)), keys = room<std::int64_t>(ctx, S * pairs);
  const Tensor flat = on_device(ctx, std::vector<std::int32_t>(at(S))), label = on_device(ctx, labels);
  const Tensor sums = bytes_on_device(ctx, std::vector<RankSums>(at(S)));
  const Tensor sorting = room<std::uint8_t>(ctx, static_cast<std::int64_t>(pair_scratch_bytes(S, pairs)));
  auto* key = reinterpret_cast<std::uint64_t*>(keys.data<std::int64_t>());
  const auto span = []<class N>(const Tensor& t, N) { return std::span<N>(t.data<N>(), at(t.numel())); };
  on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
    standardise_batch<T>(stream, batch, span(x, T{}), span(z, 0.0), scratch.data<double>(), flat.data<std::int32_t>());
    gram_batch(stream, batch, span(z, 0.0), span(g, 0.0));
    clear_sums(stream, S, as<RankSums>(sums));
    pair_keys(stream, S, g.data<double>(), 0, n, n, label.data<std::int32_t>(), key, as<RankSums>(sums));
    spearman_of_pairs(stream, S, pairs, key, sorting.raw(), as<RankSums>(sums));
  });
  Made made{to_host<double>(z), to_host<double>(g), to_host<std::int32_t>(flat), to_host<std::int64_t>(keys),
            std::vector<RankSums>(at(S))};
  sums.copy_to(made.sums.data());
  return made;
}

std::vector<std::int32_t> labels_of(std::int64_t n, int classes) {
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < n; ++i) labels.push_back(static_cast<std::int32_t>(i * i % 7 % classes));
  return labels;
}

bool same_sums(const RankSums& a, const RankSums& b) {
  return a.first_nan == b.first_nan && a.twice_rank_sum == b.twice_rank_sum && a.small == b.small &&
         a.tie_sum == b.tie_sum;
}

/// Largest distance of z from z-scored columns and standardised rows in long double, and rows without variance there.
template <class T>
double distance(const Bank<T>& bank, std::size_t s, std::span<const double> z, std::int32_t& flat) {
  const std::int64_t n = bank.n, d = bank.columns[s];
  std::vector<long double> v(bank.x[s].begin(), bank.x[s].end());
  const auto standardise = [&](std::int64_t count, std::int64_t step, std::int64_t first, bool norm) {
    long double mean = 0, square = 0;
    for (std::int64_t i = 0; i < count; ++i) mean += v[at(first + i * step)] / static_cast<long double>(count);
    for (std::int64_t i = 0; i < count; ++i)
      square += (v[at(first + i * step)] - mean) * (v[at(first + i * step)] - mean);
    long double scale = std::sqrt(norm ? square : square / static_cast<long double>(count));
    const bool none = scale < 1e-13L;
    if (none) scale = 1;
    for (std::int64_t i = 0; i < count; ++i)
      v[at(first + i * step)] = none ? 0 : (v[at(first + i * step)] - mean) / scale;
    return none;
  };
  for (std::int64_t c = 0; c < d; ++c) standardise(n, d, c, false);
  flat = 0;
  for (std::int64_t i = 0; i < n; ++i) flat += standardise(d, 1, i * d, true);
  double worst = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    const double off = std::fabs(double(v[i] - z[i]));
    if (!(off <= worst)) worst = off;
  }
  return worst;
}

/// g is z z^T in chains of fused multiply-adds over columns `from`, from + step ...
bool chains(std::span<const double> z, std::span<const double> g, std::int64_t n, std::int64_t d, bool descending) {
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < d; ++k) {
        const std::int64_t c = descending ? d - 1 - k : k;
        sum = std::fma(z[at(i * d + c)], z[at(j * d + c)], sum);
      }
      if (g[at(i * n + j)] != sum) return false;
    }
  return true;
}

/// rho of correlations g by sorting doubles. `forget`: a wrong variant that takes pair 0 for one of the other group.
double rho_of(std::span<const double> g, const std::vector<std::int32_t>& labels, bool forget = false) {
  const auto n = static_cast<std::int64_t>(labels.size());
  std::vector<double> same, different;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = i + 1; j < n; ++j) {
      const double r = std::clamp(std::nearbyint(g[at(i * n + j)] * 0x1p40) * 0x1p-40, -1.0, 1.0);
      const bool equal = (labels[at(i)] == labels[at(j)]) != (forget && i == 0 && j == 1);
      (equal ? same : different).push_back(1 - r);
    }
  return spearman_two_valued(same, different);
}

template <class T>
void check_bank(Context& ctx, const Bank<T>& bank) {
  const std::int64_t n = bank.n, pairs = n * (n - 1) / 2;
  const auto labels = labels_of(n, 3);
  const Made made = make(ctx, bank, labels);
  for (std::size_t s = 0; s < bank.x.size(); ++s) {
    CAPTURE(s);
    const std::int64_t d = bank.columns[s],
                       before = std::reduce(bank.columns.begin(), bank.columns.begin() + std::ptrdiff_t(s));
    const auto z = std::span(made.z).subspan(at(n * before), at(n * d));
    const auto g = std::span(made.g).subspan(at(std::int64_t(s) * n * n), at(n * n));
    std::int32_t flat = 0;
    // A column around 1000 of spread 1 loses 10 bits to its offset, a row of d terms d eps.
    CHECK(distance(bank, s, z, flat) <= (1024.0 + double(d + n)) * 16 * 0x1p-52);
    CHECK_EQ(made.flat[s], flat);
    CHECK(chains(z, g, n, d, false));
    if (d > 60 && n > 30) CHECK_FALSE(chains(z, g, n, d, true));  // so the check can tell
    CHECK_EQ(made.sums[s].first_nan, ~0ull);
    const auto keys = std::span(made.keys).subspan(at(std::int64_t(s) * pairs), at(pairs));
    CHECK(std::is_sorted(keys.begin(), keys.end(), [](std::int64_t a, std::int64_t b) {
      return (std::uint64_t(a) & ~kSameLabel) < (std::uint64_t(b) & ~kSameLabel);
    }));
    if (n > 6 && d > 1) {
      CHECK_EQ(spearman_from_sums(made.sums[s], pairs), rho_of(g, labels));
      CHECK_NE(spearman_from_sums(made.sums[s], pairs), rho_of(g, labels, true));
    }
    if (bank.x.size() == 1) continue;
    const Made alone = make(ctx, bank.one(s), labels);
    CHECK(std::equal(z.begin(), z.end(), alone.z.begin()));
    CHECK(same_sums(made.sums[s], alone.sums[0]));
  }
}

}  // namespace

TEST_CASE("parc batch: kernels of one source and of three, against the host") {
  on_gpus([](Context& ctx) {
    for (const std::int64_t n : {2, 3, 7, 33, 257}) {
      if (n > 33 && kSanitized) continue;
      CAPTURE(n);
      check_bank(ctx, bank_of<float>(n, {n > 33 ? 65 : 3}, 1));
      check_bank(ctx, bank_of<float>(n, {65, 1, 3}, std::uint64_t(n)));
      if (n <= 33) check_bank(ctx, bank_of<double>(n, {3, 65, 33}, std::uint64_t(n)));
    }
  });
}

TEST_CASE("parc batch: a NaN of one source is no other's") {
  on_gpus([](Context& ctx) {
    Bank<float> bank = bank_of<float>(33, {7, 65, 3}, 4);
    const auto labels = labels_of(33, 3);
    const Made clean = make(ctx, bank, labels);
    bank.x[1][at(2 * 65 + 1)] = std::numeric_limits<float>::quiet_NaN();
    const Made made = make(ctx, bank, labels);
    CHECK(same_sums(made.sums[0], clean.sums[0]));
    CHECK(same_sums(made.sums[2], clean.sums[2]));
    CHECK_EQ(made.sums[1].first_nan, 0u);
    CHECK_THROWS_WITH_AS(spearman_from_sums(made.sums[1], 33 * 16), doctest::Contains("NaN"), Error);
  });
}

TEST_CASE("parc batch: the number of launches is not that of sources, and a budget changes no bits") {
  on_gpus([](Context& ctx) {
    const auto labels = labels_of(33, 3);
    const Bank<float> bank = bank_of<float>(33, {7, 65, 3, 20, 8, 9, 31}, 5);
    const auto x = bank.spans();
    LaunchLog log;
    std::vector<RankedPairs> whole;
    for (const std::size_t sources : {1u, 3u, 7u}) {
      log.clear();
      const ContextScope<&Context::launches> counted(ctx, &log);
      whole = rank_sources<float>(ctx, std::span(x).first(sources), 33, labels);
      CHECK_EQ(whole.size(), sources);
      CHECK_EQ(log.size(), kLaunches);
    }
    log.clear();
    const ContextScope<&Context::launches> counted(ctx, &log);
    const auto single = rank_sources<float>(ctx, x, 33, labels, 1);
    CHECK_EQ(log.size(), 7 * kLaunches);
    for (std::size_t s = 0; s < x.size(); ++s) {
      CHECK(same_sums(single[s].sums, whole[s].sums));
      CHECK_EQ(single[s].flat, whole[s].flat);
      std::int64_t flat = 0;  // the way of more rows than one matrix takes
      const GpuRows rows = standardised_rows<float>(ctx, x[s], 33, bank.columns[s], flat);
      CHECK_EQ(flat, whole[s].flat);
      CHECK_EQ(spearman_of_pairs(rows, labels), spearman_from_sums(whole[s].sums, 33 * 16));
    }
    CHECK_THROWS_AS(rank_sources<float>(ctx, x, 32, labels), Error);
  });
}

TEST_CASE("parc batch: a bank on a GPU is ranked as its sources are, and one that has no value stops none") {
  on_gpus([](Context& ctx) {
    std::vector<Candidate> bank;
    for (const std::int64_t d : {7, 33, 5, 12}) bank.push_back({fmt::format("d{}", d), random_probe(40, d, 4, 0.6, 9)});
    bank[1].probe.features = bank[1].probe.features.cast(DType::f32);
    for (double& v : bank[2].probe.features.as<double>()) v = 3;
    bank[3].probe.labels[0] = 2;  // labels of its own
    const Metric metric = find_metric("parc");
    const Measurement here = measure(metric, bank, {.replicates = 0});
    for (Candidate& candidate : bank) candidate.probe.ctx = &ctx;
    LaunchLog log;
    const ContextScope<&Context::launches> counted(ctx, &log);
    const Measurement there = measure(metric, bank, {.replicates = 0});
    CHECK_EQ(log.size(), 3 * kLaunches);  // doubles, floats, other labels
    for (std::size_t s = 0; s < bank.size(); ++s) {
      CAPTURE(s);
      CHECK_EQ(there.rows[s].undefined, here.rows[s].undefined);
      CHECK_EQ(there.rows[s].undefined.empty(), s != 2);
      CHECK_EQ(there.rows[s].similarity.warnings, here.rows[s].similarity.warnings);
      if (s == 2) continue;
      CHECK(close(there.rows[s].similarity.value, here.rows[s].similarity.value, 1e-10));
      CHECK_EQ(there.rows[s].similarity.value, metric.score(bank[s].probe).value);
    }
    const Measurement plastic = measure(find_metric("plasticity"), bank, {.replicates = 0});
    CHECK_EQ(plastic.rows[0].similarity.metric, "plasticity");
  });
}

TEST_CASE("parc batch: more sources than a batch holds, and many tiles of keys") {
  on_gpus([](Context& ctx) {
    const auto labels = labels_of(12, 3);
    const Bank<float> bank = bank_of<float>(12, std::vector<std::int64_t>(MatrixBatch::kMost + 1, 4), 8);
    const auto x = bank.spans();
    LaunchLog log;
    std::vector<RankedPairs> all;
    {
      const ContextScope<&Context::launches> counted(ctx, &log);
      all = rank_sources<float>(ctx, x, 12, labels);
    }
    CHECK_EQ(log.size(), 2 * kLaunches);
    REQUIRE_EQ(all.size(), x.size());
    for (const std::size_t s : {std::size_t{0}, std::size_t{63}, std::size_t{64}})
      CHECK(same_sums(all[s].sums, rank_sources<float>(ctx, std::span(x).subspan(s, 1), 12, labels)[0].sums));

    // So many tiles that a block a digit adds up their counts, of two sources whose counts differ.
    if (kSanitized) return;
    const std::int64_t pairs = 128 * 2048 + 1;
    Rng rng(9);
    std::vector<std::uint64_t> keys;
    for (std::int64_t i = 0; i < 2 * pairs; ++i)
      keys.push_back((i < pairs ? rng.below(1u << 30) : rng.below(50)) | (rng.below(3) == 0 ? kSameLabel : 0));
    const auto sums_of = [&](std::int64_t sources, std::int64_t first) {
      const std::vector<std::uint64_t> some(keys.begin() + first, keys.begin() + first + sources * pairs);
      const Tensor on = bytes_on_device(ctx, some);
      const Tensor scratch =
          Tensor::empty(ctx, {static_cast<std::int64_t>(pair_scratch_bytes(sources, pairs))}, DType::u8);
      const Tensor sums = bytes_on_device(ctx, std::vector<RankSums>(at(sources)));
      on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
        clear_sums(stream, sources, as<RankSums>(sums));
        spearman_of_pairs(stream, sources, pairs, as<std::uint64_t>(on), scratch.raw(), as<RankSums>(sums));
      });
      std::vector<RankSums> out(at(sources));
      sums.copy_to(out.data());
      return out;
    };
    const auto both = sums_of(2, 0);
    for (std::int64_t s = 0; s < 2; ++s) {
      std::vector<double> small, large;
      for (std::int64_t i = 0; i < pairs; ++i) {
        const std::uint64_t key = keys[at(s * pairs + i)];
        ((key & kSameLabel) != 0 ? small : large).push_back(static_cast<double>(key & ~kSameLabel));
      }
      CHECK_EQ(spearman_from_sums(both[at(s)], pairs), spearman_two_valued(small, large));
    }
  });
}

TEST_CASE("parc batch: a source that does not fit stops none of the others") {
  Context ctx(Device::sim, open_sim({}), {.limit = std::size_t{4} << 20});
  std::vector<Candidate> bank;
  for (const std::int64_t d : {7, 9000, 5}) {
    bank.push_back({fmt::format("d{}", d), random_probe(40, d, 4, 0.6, 9)});
    bank.back().probe.ctx = &ctx;
  }
  const Metric metric = find_metric("parc");
  const Measurement all = measure(metric, bank, {.replicates = 0});
  CHECK(all.rows[1].undefined.find("out of memory") != std::string::npos);
  for (const std::size_t s : {0u, 2u}) {
    CHECK_EQ(all.rows[s].undefined, "");
    CHECK_EQ(all.rows[s].similarity.value, metric.score(bank[s].probe).value);
  }
}
