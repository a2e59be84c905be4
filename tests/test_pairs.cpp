// Ranked pairs of images: against a reference that sorts doubles, and batches of draws against one draw at a time.
#include "distill/similarity/metrics/pairs.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "distill/similarity/metrics.hpp"
#include "distill/similarity/metrics/parc.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/rank.hpp"

using namespace akin;

namespace {

struct Images {
  std::int64_t n, d;
  int classes;
  std::vector<float> x;
  std::vector<int> labels;

  Probe probe() const { return {Array::from(x, {n, d}), labels, classes}; }
  Correlations correlations() const {
    return [this](const std::function<void(const GramBlock&)>& visit) {
      correlation_blocks<float>(kFast, n, d, x, visit);
    };
  }
};

/// `repeats`: every image twice, so that many pairs are equally far.
Images images(std::int64_t n, std::int64_t d, int classes, bool repeats) {
  Images out{n, d, classes, std::vector<float>(static_cast<std::size_t>(n * d)), {}};
  Rng rng(static_cast<std::uint64_t>(n * 100 + d));
  for (float& v : out.x) v = rng.normal();
  for (std::int64_t i = 0; i < n; ++i) {
    out.labels.push_back(static_cast<int>(i % classes));
    for (std::int64_t c = 0; c < d; ++c) {
      float& v = out.x[static_cast<std::size_t>(i * d + c)];
      v = repeats && i >= n / 2 ? out.x[static_cast<std::size_t>((i - n / 2) * d + c)]
                                : v + 0.5f * static_cast<float>(i % classes == c % classes);
    }
  }
  return out;
}

const Images kCases[] = {images(4, 3, 2, false),   images(7, 2, 3, false),   images(33, 31, 5, false),
                         images(60, 7, 10, true),  images(97, 40, 2, false), images(100, 10, 4, true),
                         images(230, 20, 7, true), images(301, 3, 10, false)};

/// Distances of pairs i < j in double.
void distances(const Images& of, std::vector<double>& same, std::vector<double>& different) {
  std::vector<double> g(static_cast<std::size_t>(of.n * of.n), 0.0);
  of.correlations()([&](const GramBlock& b) {
    for (std::int64_t i = 0; i < b.rows; ++i)
      for (std::int64_t j = 0; j < b.columns; ++j)
        if (b.i0 + i < b.j0 + j) g[static_cast<std::size_t>((b.i0 + i) * of.n + b.j0 + j)] = b.g[i * b.stride + j];
  });
  for (std::int64_t i = 0; i < of.n; ++i)
    for (std::int64_t j = i + 1; j < of.n; ++j) {
      const double r = std::nearbyint(g[static_cast<std::size_t>(i * of.n + j)] * 0x1p40) * 0x1p-40;
      const bool equal = of.labels[static_cast<std::size_t>(i)] == of.labels[static_cast<std::size_t>(j)];
      (equal ? same : different).push_back(1 - std::clamp(r, -1.0, 1.0));
    }
}

std::vector<int> ones(const Images& of) { return std::vector<int>(of.labels.size(), 1); }

/// Draws of every kind: within classes, shuffled labels, both, and more copies than a batch takes.
std::vector<Redraw> draws_of(const Images& of, int kind, std::size_t count) {
  std::vector<Redraw> draws;
  Rng rng(static_cast<std::uint64_t>(kind));
  for (std::size_t r = 0; r < count; ++r) {
    Redraw draw{ones(of), of.labels};
    if (kind != 1) {
      std::fill(draw.counts.begin(), draw.counts.end(), 0);
      for (std::size_t i = 0; i < draw.counts.size(); ++i)
        ++draw.counts[rng.below(static_cast<std::uint32_t>(kind == 3 && i % 2 == 0 ? 2 : draw.counts.size()))];
    }
    if (kind == 1 || kind == 2)
      for (std::size_t i = draw.labels.size(); i > 1; --i)
        std::swap(draw.labels[i - 1], draw.labels[rng.below(static_cast<std::uint32_t>(i))]);
    draws.push_back(std::move(draw));
  }
  return draws;
}

bool same_bits(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

TEST_CASE("pairs: rho is that of sorted doubles to the bit, with ties, on any number of threads") {
  const int threads = max_threads();
  for (const Images& of : kCases) {
    CAPTURE(of.n);
    std::vector<double> same, different;
    distances(of, same, different);
    const double expected = spearman_two_valued(same, different);
    for (const int t : {1, 3}) {
      set_threads(t);
      CHECK_EQ(spearman_of_pairs(of.n, of.correlations(), of.labels), expected);
      CHECK_EQ(SortedPairs(of.n, of.correlations(), of.labels).rho(ones(of), of.labels), expected);
      CHECK_EQ(parc(of.probe()).value, expected);
      const Scored scored = parc_scored(of.probe());
      CHECK_EQ(scored.similarity.value, expected);
      CHECK_EQ(scored.resampler(ones(of), of.labels), expected);
    }
    set_threads(threads);
  }
}

TEST_CASE("pairs: a draw is the pairs of its copies, each pair of different images as often as both are there") {
  for (const Images& of : {kCases[2], kCases[3]}) {
    const SortedPairs sorted(of.n, of.correlations(), of.labels);
    for (const Redraw& draw : draws_of(of, 2, 4)) {
      std::vector<double> same, different;
      of.correlations()([&](const GramBlock& b) {
        for (std::int64_t i = 0; i < b.rows; ++i)
          for (std::int64_t j = 0; j < b.columns; ++j) {
            const auto p = static_cast<std::size_t>(b.i0 + i), q = static_cast<std::size_t>(b.j0 + j);
            if (p >= q) continue;
            const double key = 1 - std::nearbyint(b.g[i * b.stride + j] * 0x1p40) * 0x1p-40;
            auto& group = draw.labels[p] == draw.labels[q] ? same : different;
            group.insert(group.end(), static_cast<std::size_t>(draw.counts[p] * draw.counts[q]), key);
          }
      });
      CHECK_EQ(sorted.rho(draw.counts, draw.labels), spearman_two_valued(same, different));
    }
  }
}

TEST_CASE("pairs: many draws in one pass give the bits of one at a time") {
  for (const Images& of : kCases) {
    CAPTURE(of.n);
    const SortedPairs sorted(of.n, of.correlations(), of.labels);
    for (const int kind : {0, 1, 2, 3})
      for (const std::size_t count : {1u, 7u, 33u, 70u}) {
        CAPTURE(kind);
        std::vector<Redraw> draws = draws_of(of, kind, count);
        if (count == 70) std::swap(draws[5], draws_of(of, 1 - kind % 2, 6)[5]);  // one of another kind among them
        std::vector<double> values(count, -9);
        sorted.rho(draws, values);
        bool equal = true;
        for (std::size_t r = 0; r < count; ++r)
          equal = equal && same_bits(values[r], sorted.rho(draws[r].counts, draws[r].labels));
        CHECK(equal);
      }
  }
}

TEST_CASE("pairs: counted in bins as their distances say, and what cannot be ranked") {
  const Images& of = kCases[6];
  std::vector<double> same, different;
  distances(of, same, different);
  std::vector<std::int64_t> same_bins(kCorrelationBins, 0), different_bins(kCorrelationBins, 0);
  const auto bin = [](double distance) {
    return std::min(static_cast<std::int64_t>(distance * 0.5 * double(kCorrelationBins)), kCorrelationBins - 1);
  };
  for (const double key : same) ++same_bins[static_cast<std::size_t>(bin(key))];
  for (const double key : different) ++different_bins[static_cast<std::size_t>(bin(key))];
  const PairCounts counts = bins_of_pairs(of.correlations(), of.labels);
  CHECK(counts.same == same_bins);
  CHECK(counts.different == different_bins);

  const Correlations broken = [](const std::function<void(const GramBlock&)>& visit) {
    const std::vector<double> g{1, 0.5, std::numeric_limits<double>::quiet_NaN(), 1, 1, 0.25, 1, 1, 1};
    visit({0, 0, 3, 3, 3, g.data(), 0});
  };
  const std::vector<int> labels{0, 0, 1}, alike{0, 0, 0};
  CHECK_THROWS_WITH_AS(spearman_of_pairs(3, broken, labels), doctest::Contains("NaN"), Error);
  CHECK_THROWS_WITH_AS(SortedPairs(3, broken, labels), doctest::Contains("NaN"), Error);
  const Images& small = kCases[0];
  CHECK_THROWS_AS(spearman_of_pairs(4, small.correlations(), std::vector<int>{0, 0, 0, 0}), Error);
  const SortedPairs sorted(4, small.correlations(), small.labels);
  CHECK(std::isnan(sorted.rho(ones(small), std::vector<int>{0, 0, 0, 0})));
  CHECK(std::isnan(sorted.rho(std::vector<int>{4, 0, 0, 0}, small.labels)));
}
