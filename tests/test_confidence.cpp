#include "distill/similarity/metrics.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "distill/similarity/measure.hpp"
#include "distill/similarity/metrics/cka.hpp"
#include "distill/similarity/metrics/parc.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/gram.hpp"
#include "kernels/rank.hpp"
#include "tests/similarity_cases.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("confidence: resamplers agree with the metric on the rows drawn") {
  for (const std::string name : {"parc", "cka", "cka-debiased", "leep", "nce"}) {
    CAPTURE(name);
    const Metric metric = find_metric(name);
    const Case c = find_case("tall");
    Probe probe = c.probe();
    const Resampler resampled = metric.resampler(probe);
    CHECK(close(resampled(std::vector<int>(33, 1), c.labels), metric.score(probe).value));

    std::vector<int> shuffled = c.labels;
    std::rotate(shuffled.begin(), shuffled.begin() + 5, shuffled.end());
    const double with_shuffled = resampled(std::vector<int>(33, 1), shuffled);
    probe.labels = shuffled;
    CHECK(close(with_shuffled, metric.score(probe).value));
    if (name == "parc") continue;  // leaves out pairs of an image with itself, so gathering is another thing

    // Drawn as 0, 1, 2, 0, 1, 2 ... times, as a gathered probe.
    std::vector<int> counts, labels;
    std::vector<double> x, p;
    for (int i = 0; i < 33; ++i) {
      counts.push_back(i % 3);
      for (int k = 0; k < i % 3; ++k) {
        labels.push_back(shuffled[std::size_t(i)]);
        for (int d = 0; d < 5; ++d) {
          x.push_back(c.features[std::size_t(i * 5 + d)]);
          p.push_back(probe.probabilities.as<double>()[std::size_t(i * 5 + d)]);
        }
      }
    }
    const auto rows = std::int64_t(labels.size());
    const Probe gathered{Array::from(x, {rows, 5}), labels, c.classes, Array::from(p, {rows, 5})};
    CHECK(close(resampled(counts, shuffled), metric.score(gathered).value));
  }
}

TEST_CASE("confidence: weighted PARC pairs against an explicit list of pairs") {
  const Probe probe = random_probe(24, 6, 3, 0.5, 21);
  const std::int64_t n = 24, d = 6;
  std::vector<double> z(std::size_t(n * d)), same, different;
  zscore_columns<double>(kSpec, n, d, probe.features.as<double>(), z);
  std::int32_t flat = 0;
  standardise_rows(kSpec, n, d, z, z, &flat);
  std::vector<int> counts;
  for (int i = 0; i < n; ++i) counts.push_back((i * 7) % 4);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = i + 1; j < n; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < d; ++k) sum += z[std::size_t(i * d + k)] * z[std::size_t(j * d + k)];
      const bool equal = probe.labels[std::size_t(i)] == probe.labels[std::size_t(j)];
      for (int r = 0; r < counts[std::size_t(i)] * counts[std::size_t(j)]; ++r)
        (equal ? same : different).push_back(-sum);
    }
  }
  CHECK(close(parc_resampler(probe)(counts, probe.labels), spearman_two_valued(same, different)));
  std::vector<int> alone(24, 0);
  alone[3] = 5;
  CHECK(std::isnan(parc_resampler(probe)(alone, probe.labels)));
}

TEST_CASE("confidence: intervals cover, chance is near zero, a related source beats it") {
  const Probe related = random_probe(120, 16, 6, 1.0, 31), unrelated = random_probe(120, 16, 6, 0.0, 32);
  for (const std::string name : {"parc", "cka", "cka-debiased"}) {
    CAPTURE(name);
    const Metric metric = find_metric(name);
    const double high = metric.score(related).value, low = metric.score(unrelated).value;
    const Confidence a = bootstrap(metric, related, high), b = bootstrap(metric, unrelated, low);
    CHECK(a.low < high);
    CHECK(high < a.high);
    CHECK(a.std > 0);
    CHECK(b.high < a.low);
    CHECK(a.warnings.empty());
    const auto shares = best_shares(std::vector{b, a});
    CHECK_EQ(shares[1], 1.0);
    CHECK_EQ(shares[0], 0.0);

    const Chance chance = chance_level(metric, related, high), none = chance_level(metric, unrelated, low);
    CHECK(high > chance.high);
    CHECK_EQ(chance.p_value, 1.0 / 201);
    CHECK(none.p_value > 0.01);
    if (name != "cka") CHECK(std::abs(chance.mean) < 0.02);  // biased CKA is positive by chance
    if (name == "cka") CHECK(chance.mean > 0.05);

    // Same seed, any thread count: the same bits. Another seed: others.
    const int threads = max_threads();
    set_threads(3);
    const Confidence again = bootstrap(metric, related, high);
    set_threads(threads);
    CHECK(again.draws == a.draws);
    CHECK(bootstrap(metric, related, high, {.seed = 1}).draws != a.draws);
  }
}

TEST_CASE("confidence: the interval's width is that of fresh samples") {
  // Twenty fresh probes of one population: their spread against the bootstrap's mean standard error. A standard
  // deviation from 20 samples is uncertain by 1/sqrt(38) = 16 %, so three of those: a factor between 0.52 and 1.48,
  // widened for the bootstrap's own error to 0.5 and 1.6.
  double sum = 0, squares = 0, std = 0;
  Rng rng(5);
  std::vector<double> centres(4 * 10);
  for (double& value : centres) value = rng.normal();
  for (int sample = 0; sample < 20; ++sample) {
    std::vector<double> x;
    std::vector<int> labels;
    for (int i = 0; i < 80; ++i) {
      labels.push_back(i % 4);
      for (int k = 0; k < 10; ++k) x.push_back(rng.normal() + 0.7 * centres[std::size_t(i % 4 * 10 + k)]);
    }
    const Probe probe{Array::from(x, {80, 10}), labels, 4};
    const double value = parc(probe).value;
    sum += value;
    squares += value * value;
    std += bootstrap(find_metric("parc"), probe, value, {.replicates = 100}).std / 20;
  }
  const double fresh = std::sqrt((squares - sum * sum / 20) / 19);
  CAPTURE(fresh);
  CAPTURE(std);
  CHECK(std > 0.5 * fresh);
  CHECK(std < 1.6 * fresh);
}

TEST_CASE("confidence: a lead that the draws do not agree on is told of, with its share and its rival's") {
  const std::vector<std::string> names = {"far", "first", "rival"};
  const std::vector<double> values = {0.1, 0.5, 0.4};
  const auto line = [&](std::vector<double> shares) { return disputed_lead("parc", names, values, shares); };
  CHECK_EQ(
      line({0.05, 0.55, 0.4}),
      "first is the most similar source by parc, but wins only 55 % of the bootstrap draws, rival 40 %: with these "
      "labels it is unsure which one is nearest");
  CHECK(line({0.0, 0.6, 0.4}).empty());  // just enough
  CHECK(line({0.0, 1.0, 0.0}).empty());
  CHECK(has(line({0.0, 0.599, 0.401}), "first"));
  // Who wins more draws than the most similar one is its rival.
  CHECK(has(line({0.6, 0.1, 0.3}),
            "first is the most similar source by parc, but wins only 10 % of the bootstrap draws, far 60 %"));
  CHECK(line({not_measured, not_measured, not_measured}).empty());
  CHECK(disputed_lead("parc", std::vector<std::string>{"one"}, std::vector{0.5}, std::vector{0.5}).empty());
  CHECK(disputed_lead("parc", {}, {}, {}).empty());
  // One without a value takes no part.
  CHECK(has(disputed_lead("parc", names, std::vector{not_measured, 0.5, 0.4}, std::vector{not_measured, 0.5, 0.5}),
            "rival 50 %"));

  // From measured rows: two sources that are one win half of the draws each, one beside noise all of them.
  const Probe near = random_probe(60, 8, 3, 1.0, 1), noise = random_probe(60, 8, 3, 0.0, 3);
  const auto rows = [](const Probe& a, const Probe& b) {
    return measure(find_metric("parc"), std::vector<Candidate>{{"a", a}, {"b", b}}, {.replicates = 40}).rows;
  };
  CHECK(has(disputed_lead(rows(near, near)),
            "a is the most similar source by parc, but wins only 50 % of the bootstrap draws, b 50 %"));
  CHECK(disputed_lead(rows(near, noise)).empty());
  CHECK(disputed_lead(rows(noise, near)).empty());
}

TEST_CASE("confidence: thin probes are named, a metric without a resampler is gathered") {
  const Probe thin = random_probe(6, 8, 3, 1.0, 41);  // two labels a class
  const double value = parc(thin).value;
  const Confidence confidence = bootstrap(find_metric("parc"), thin, value);
  REQUIRE_EQ(confidence.warnings.size(), 1u);  // all classes collapse in one draw of eight
  CHECK(confidence.warnings[0].find("undefined and left out") != std::string::npos);
  CHECK(std::isfinite(confidence.low));
  CHECK_FALSE(bootstrap(find_metric("parc"), find_case("class_of_one").probe(), 0).warnings.empty());
  CHECK_THROWS_AS(bootstrap(find_metric("parc"), thin, value, {.replicates = 0}), UsageError);
  CHECK_THROWS_AS(chance_level(find_metric("parc"), thin, value, {.level = 1}), UsageError);

  const Probe probe = random_probe(40, 5, 4, 1.0, 42);
  Metric plain = find_metric("cka");
  const Confidence cheap = bootstrap(plain, probe, 0.5, {.replicates = 20});
  plain.resampler = {};
  const Confidence gathered = bootstrap(plain, probe, 0.5, {.replicates = 20});
  for (std::size_t i = 0; i < 20; ++i) CHECK(close(cheap.draws[i], gathered.draws[i]));
}
