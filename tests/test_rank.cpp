#include "kernels/rank.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/common/error.hpp"
#include "kernels/common/radix.hpp"
#include "kernels/common/rng.hpp"
#include "tests/gpu_case.hpp"
#include "tests/sanitized.hpp"

using namespace akin;
using namespace akin::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

/// By the definition: count who is below and who is equal.
std::vector<double> ranks_by_counting(const std::vector<double>& keys) {
  std::vector<double> r;
  for (const double key : keys) {
    double below = 0, equal = 0;
    for (const double other : keys) below += other < key, equal += other == key;
    r.push_back(1 + below + (equal - 1) / 2);
  }
  return r;
}

double pearson(const std::vector<double>& a, const std::vector<double>& b) {
  long double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) ma += a[i] / a.size(), mb += b[i] / b.size();
  for (std::size_t i = 0; i < a.size(); ++i) {
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
    ab += (a[i] - ma) * (b[i] - mb);
  }
  return double(ab / std::sqrt(aa * bb));
}

/// Integers below `levels`, so that there are ties; levels 0: no ties.
std::vector<double> random_keys(std::size_t n, std::uint32_t levels, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<double> keys(n);
  for (double& key : keys) key = levels ? double(rng.below(levels)) : double(rng.next_u32());
  return keys;
}

}  // namespace

TEST_CASE("rank: average ranks against counting, with and without ties") {
  for (const std::size_t n : {0u, 1u, 2u, 7u, 10u, 31u, 257u}) {
    for (const std::uint32_t levels : {0u, 1u, 3u, 20u}) {
      const auto keys = random_keys(n, levels, n + levels);
      std::vector<double> ranks(n, kNan);
      average_ranks(keys, ranks);
      CHECK(ranks == ranks_by_counting(keys));
    }
  }
  std::vector<double> ranks(5, kNan);
  average_ranks(std::vector<double>{kInf, -0.0, 0.0, -kInf, 1.0}, ranks);
  CHECK(ranks == std::vector<double>{5, 2.5, 2.5, 1, 4});
}

namespace {

template <class Word>
void check_radix(std::size_t n, int low, int high) {
  CAPTURE(n);
  CAPTURE(low);
  CAPTURE(high);
  Rng rng(n + static_cast<std::size_t>(high));
  std::vector<Word> words(n), spare(n);
  for (Word& word : words) {
    word = static_cast<Word>(std::uint64_t{rng.next_u32()} << 32 | rng.next_u32());
    if (rng.below(3) == 0) word = static_cast<Word>(word & 0xff0f);  // ties
  }
  std::vector<Word> expected = words;
  const auto key = [=](Word word) { return word >> low & static_cast<Word>((Word{1} << (high - low)) - 1); };
  std::stable_sort(expected.begin(), expected.end(), [&](Word a, Word b) { return key(a) < key(b); });
  const Word* sorted = radix_sort(words.data(), spare.data(), n, low, high);
  CHECK(std::vector<Word>(sorted, sorted + n) == expected);
}

}  // namespace

TEST_CASE("rank: the radix sort on the host is stable, for few words and many, and looks at its bits alone") {
  for (const std::size_t n : {0u, 1u, 2u, 7u, 33u, 257u, 4095u, 4096u, 10000u}) {
    check_radix<std::uint32_t>(n, 1, 31);
    check_radix<std::uint32_t>(n, 0, 8);
    check_radix<std::uint64_t>(n, 32, 63);
    check_radix<std::uint64_t>(n, 5, 47);
  }
}

TEST_CASE("rank: NaN and a wrong size are refused") {
  std::vector<double> ranks(3), keys{1, kNan, 2}, good{1, 2};
  CHECK_THROWS_WITH_AS(average_ranks(keys, ranks), doctest::Contains("key 1 of 3 is NaN"), Error);
  CHECK_THROWS_AS(average_ranks(good, ranks), Error);
  CHECK_THROWS_AS(spearman_two_valued(keys, good), Error);
  CHECK_THROWS_AS(spearman_two_valued(good, keys), Error);
}

TEST_CASE("rank: Spearman by rank sums equals Pearson on ranks of both sides") {
  for (const std::size_t n : {2u, 3u, 10u, 33u, 500u}) {
    for (const std::uint32_t levels : {0u, 2u, 5u, 50u}) {
      auto keys = random_keys(n, levels, 100 + n + levels);
      keys[0] = -1;  // never all equal
      std::vector<double> b(n), small, large;
      Rng rng(n);
      for (std::size_t i = 0; i < n; ++i) {
        b[i] = i == 0 ? 0 : i == 1 ? 1.25 : (rng.below(4) == 0 ? 0 : 1.25);
        (b[i] == 0 ? small : large).push_back(keys[i]);
      }
      const double expected = pearson(ranks_by_counting(keys), ranks_by_counting(b));
      const double got = spearman_two_valued(small, large);
      CAPTURE(n);
      CAPTURE(levels);
      // Rank sums are exact; what remains is a handful of rounded operations: 16 eps.
      CHECK(std::fabs(got - expected) <= 16 * 0x1p-52);

      // The planted variant forgets the correction for ties.
      if (levels == 2 && n >= 10) {
        double rank_sum = 0;
        const auto ranks = ranks_by_counting(keys);
        for (std::size_t i = 0; i < n; ++i) rank_sum += b[i] == 0 ? ranks[i] : 0;
        const double mutant = spearman_from_rank_sum(rank_sum, double(small.size()), double(large.size()), 0);
        CHECK_FALSE(std::fabs(mutant - expected) <= 1e-3 * std::fabs(expected));
      }
    }
  }
}

TEST_CASE("rank: the histogram form is exact when every key has its bin") {
  Rng rng(3);
  std::vector<double> small(80), large(300);
  std::vector<std::int64_t> small_counts(40, 0), large_counts(40, 0);
  for (double& key : small) ++small_counts[std::size_t(key = rng.below(30))];
  for (double& key : large) ++large_counts[std::size_t(key = 5 + rng.below(30))];
  const double expected = spearman_two_valued(small, large);
  CHECK(expected > 0.1);
  CHECK(std::fabs(spearman_two_valued_histogram(small_counts, large_counts) - expected) <= 0x1p-50);
  CHECK_THROWS_AS(spearman_two_valued_histogram(small_counts, std::vector<std::int64_t>(7)), Error);
}

TEST_CASE("rank: Spearman where it is undefined") {
  std::vector<double> none, one{1, 1}, same{1, 1, 1};
  CHECK_THROWS_AS(spearman_two_valued(none, one), Error);
  CHECK_THROWS_AS(spearman_two_valued(one, none), Error);
  CHECK_THROWS_WITH_AS(spearman_two_valued(one, same), doctest::Contains("all 5 keys are equal"), Error);
}

TEST_CASE("rank: complete separation is the largest value the group sizes allow, and reversed it changes sign") {
  std::vector<double> low{1, 2}, high{3, 4};
  const double r = spearman_two_valued(low, high);
  CHECK(std::fabs(r - pearson({1, 2, 3, 4}, {1.5, 1.5, 3.5, 3.5})) <= 0x1p-50);
  CHECK_EQ(spearman_two_valued(high, low), -r);
}

namespace {

Tensor rank_scratch(Context& ctx, std::int64_t n) {
  return room<std::uint8_t>(ctx, static_cast<std::int64_t>(rank_scratch_bytes(n)));
}

}  // namespace

TEST_CASE("rank: the radix sort on the device is stable and sorts what it is told to") {
  on_gpus([](Context& ctx) {
    for (const std::int64_t n : {0, 1, 7, 33, 257, 2048, 2049, 5000, 128 * 2048 + 1})  // the last: many tiles
      for (const int bits : {8, 42, 64}) {
        if (n > 33 && bits != (n > 5000 ? 8 : 42)) continue;  // the emulator takes its time
        if (kSanitized && n > 2049) continue;
        Rng rng(static_cast<std::uint64_t>(n));
        std::vector<std::uint64_t> keys(static_cast<std::size_t>(n));
        const std::uint64_t most = bits == 64 ? ~0ull : (1ull << bits) - 1;
        for (std::uint64_t& key : keys) {
          key = (std::uint64_t{rng.next_u32()} << 32 | rng.next_u32()) & most;
          if (rng.below(3) == 0) key &= 0xff;  // ties
        }
        std::vector<std::uint32_t> order(keys.size());
        std::iota(order.begin(), order.end(), 0u);
        std::vector<std::int64_t> signed_keys(keys.begin(), keys.end());
        std::vector<std::int32_t> signed_order(order.begin(), order.end());
        const Tensor k = on_device(ctx, signed_keys), v = on_device(ctx, signed_order), scratch = rank_scratch(ctx, n);
        on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
          sort_pairs(stream, n, bits, reinterpret_cast<std::uint64_t*>(k.data<std::int64_t>()),
                     reinterpret_cast<std::uint32_t*>(v.data<std::int32_t>()), scratch.raw());
        });
        std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return keys[a] < keys[b]; });
        std::stable_sort(keys.begin(), keys.end());
        CHECK(to_host<std::int64_t>(k) == std::vector<std::int64_t>(keys.begin(), keys.end()));
        CHECK(to_host<std::int32_t>(v) == std::vector<std::int32_t>(order.begin(), order.end()));
      }
  });
}

TEST_CASE("rank: average ranks and Spearman on the device equal the specification's") {
  on_gpus([](Context& ctx) {
    for (const std::size_t n : {1u, 2u, 7u, 31u, 257u, 3000u})
      for (const std::uint32_t levels : {0u, 1u, 3u, 20u}) {
        // The emulator takes its time: all kinds of ties at two sizes, one kind at the others.
        const bool all = n == 7 || (n == 257 && !kSanitized);
        if (!all && levels != (n < 257 ? 3u : 20u)) continue;
        if (kSanitized && n > 257) continue;
        CAPTURE(n);
        CAPTURE(levels);
        const auto count = static_cast<std::int64_t>(n);
        auto keys = random_keys(n, levels, n + levels);
        for (std::size_t i = 0; i < n; i += 5) keys[i] = -keys[i] / 3;  // both signs, both zeros
        if (n > 20 && levels != 1) {
          keys[20] = kInf;
          keys[19] = -kInf;
        }
        std::vector<std::uint8_t> group;
        std::vector<double> small, large, expected(n);
        for (std::size_t i = 0; i < n; ++i) {
          group.push_back(i % 3 == 0);
          (group.back() != 0 ? small : large).push_back(keys[i]);
        }
        average_ranks(keys, expected);
        const Tensor k = on_device(ctx, keys), g = on_device(ctx, group), r = room<double>(ctx, count);
        const Tensor scratch = rank_scratch(ctx, count), sums = bytes_on_device(ctx, std::vector<RankSums>(2));
        on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
          average_ranks(stream, count, k.data<double>(), r.data<double>(), scratch.raw(), as<RankSums>(sums));
          spearman_two_valued(stream, count, k.data<double>(), g.data<std::uint8_t>(), scratch.raw(),
                              as<RankSums>(sums) + 1);
        });
        CHECK(to_host<double>(r) == expected);
        RankSums found[2];
        sums.copy_to(found);
        CHECK(found[0].first_nan >= n);
        if (large.empty() || levels == 1) {
          CHECK_THROWS_AS(spearman_from_sums(found[1], count), Error);
          continue;
        }
        CHECK_EQ(spearman_from_sums(found[1], count), spearman_two_valued(small, large));  // exact sums
        found[1].tie_sum = 0;  // the planted variant forgets the ties
        if (levels == 3 && n > 20) CHECK_NE(spearman_from_sums(found[1], count), spearman_two_valued(small, large));
      }
    const Tensor k = on_device(ctx, std::vector<double>{1, 2, kNan, 3, kNan}),
                 g = on_device(ctx, std::vector<std::uint8_t>(5));
    const Tensor scratch = rank_scratch(ctx, 5), sums = bytes_on_device(ctx, std::vector<RankSums>(1));
    on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
      spearman_two_valued(stream, 5, k.data<double>(), g.data<std::uint8_t>(), scratch.raw(), as<RankSums>(sums));
    });
    RankSums found;
    sums.copy_to(&found);
    CHECK_THROWS_WITH_AS(spearman_from_sums(found, 5), doctest::Contains("key 2 of 5 is NaN"), Error);
  });
}

TEST_CASE("rank: pairs of a correlation matrix, given in blocks of rows") {
  on_gpus([](Context& ctx) {
    for (const std::int64_t n : {2, 7, 70}) {
      Rng rng(static_cast<std::uint64_t>(n));
      std::vector<double> c(static_cast<std::size_t>(n * n));
      for (double& v : c) v = rng.below(4) == 0 ? 0.5 : static_cast<double>(rng.uniform(-1, 1)) / 3;
      c[1] = 1 + 0x1p-50;  // rounding carries a correlation of one beyond it
      std::vector<std::int32_t> labels;
      for (std::int64_t i = 0; i < n; ++i) labels.push_back(static_cast<std::int32_t>(rng.below(3)));
      labels[0] = labels[1] = 0;
      labels.back() = n > 2 ? 1 : 0;
      const std::int64_t pairs = n * (n - 1) / 2;
      std::vector<double> same, different;
      std::vector<std::int64_t> bins(2 * kCorrelationBins, 0);
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = i + 1; j < n; ++j) {
          const double v = std::min(std::nearbyint(c[std::size_t(i * n + j)] * 0x1p40) * 0x1p-40, 1.0);
          const bool equal = labels[std::size_t(i)] == labels[std::size_t(j)];
          (equal ? same : different).push_back(1 - v);
          const auto bin = static_cast<std::int64_t>((1 - v) / 2 * double(kCorrelationBins));
          ++bins[std::size_t((equal ? kCorrelationBins : 0) + std::min(bin, kCorrelationBins - 1))];
        }
      const Tensor label = on_device(ctx, labels), keys = room<std::int64_t>(ctx, pairs);
      const Tensor scratch = room<std::uint8_t>(ctx, static_cast<std::int64_t>(pair_scratch_bytes(1, pairs)));
      const Tensor sums = bytes_on_device(ctx, std::vector<RankSums>(1));
      const Tensor counts = on_device(ctx, std::vector<std::int64_t>(bins.size(), 0));
      auto* key = reinterpret_cast<std::uint64_t*>(keys.data<std::int64_t>());
      on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
        clear_sums(stream, 1, as<RankSums>(sums));
        for (std::int64_t i0 = 0; i0 < n;) {
          const std::int64_t rows = std::min<std::int64_t>(i0 == 0 ? 3 : 50, n - i0);
          std::vector<double> block;
          for (std::int64_t i = i0; i < i0 + rows; ++i)
            block.insert(block.end(), c.begin() + i * n + i0, c.begin() + (i + 1) * n);
          const Tensor g = on_device(ctx, block);
          pair_keys(stream, 1, g.data<double>(), i0, rows, n, label.data<std::int32_t>(), key, as<RankSums>(sums));
          pair_bins(stream, g.data<double>(), i0, rows, n, label.data<std::int32_t>(),
                    reinterpret_cast<unsigned long long*>(counts.data<std::int64_t>()), as<RankSums>(sums));
          i0 += rows;
        }
        spearman_of_pairs(stream, 1, pairs, key, scratch.raw(), as<RankSums>(sums));
      });
      RankSums found;
      sums.copy_to(&found);
      CHECK_EQ(found.first_nan, ~0ull);
      CHECK_EQ(found.small, same.size());
      if (n > 2) CHECK_EQ(spearman_from_sums(found, pairs), spearman_two_valued(same, different));
      CHECK(to_host<std::int64_t>(counts) == bins);
    }
  });
}
