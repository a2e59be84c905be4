// The metrics of features other than PARC and CKA: golden values, invariances, undefined cases, chance.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "distill/similarity/metrics/gbc.hpp"
#include "distill/similarity/metrics/knn.hpp"
#include "distill/similarity/metrics/leep.hpp"
#include "distill/similarity/metrics/linalg.hpp"
#include "distill/similarity/metrics/mixture.hpp"
#include "distill/similarity/metrics/reference.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/gram.hpp"
#include "kernels/rank.hpp"
#include "tests/similarity_cases.hpp"

using namespace akin;
using namespace akin::test;

namespace {

const std::vector<std::string>& names() {
  static const std::vector<std::string> all{
      "logme",         "hscore", "hscore-reg", "transrate", "transrate:0.5", "gbc",   "gbc:full", "gbc:diagonal",
      "gbc:spherical", "knn",    "knn:3",      "knn:5",     "knn:13",        "nleep", "rsa",      "dds"};
  return all;
}

Probe with_reference(const Case& c) {
  Probe probe = c.probe();
  probe.reference = c.columns(0, c.d / 2 + 1);
  return probe;
}

double mixture_value(const Case& c) {
  std::vector<double> starts;
  for (const int row : {0, 11, 22})
    starts.insert(starts.end(), &c.features[std::size_t(row * c.d)], &c.features[std::size_t(row * c.d)] + c.d);
  const Mixture mixture = fit_mixture(c.features, c.n, c.d, starts, {.tolerance = -1e300, .steps = 7});
  return leep({{}, c.labels, c.classes, Array::from(posteriors(mixture, c.features, c.n), {c.n, 3})}).value;
}

}  // namespace

TEST_CASE("metrics: every value of the independent reference") {
  const auto cases = read_cases("metrics.txt");
  CHECK_EQ(cases.size(), 13u);
  int compared = 0, refused = 0;
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Probe probe = with_reference(c);
    for (const auto& [key, expected] : c.expect) {
      CAPTURE(key);
      const auto value = [&, k = key] { return k == "mixture" ? mixture_value(c) : similarity(k, probe).value; };
      if (std::isnan(expected)) {
        CHECK_THROWS_AS(value(), Error);
        ++refused;
        continue;
      }
      const double got = value();
      CAPTURE(got);
      CAPTURE(expected);
      // Eigenvalues of X^T X are exact to eps times the largest. A column of 1e6 among others of order 1 makes that
      // 15e12 eps = 3e-3 for eigenvalues of 15; LogME, which does not centre, holds half their logarithms over N.
      const bool large = key == "logme" && c.name == "constant_columns";
      CHECK(close(got, expected, large ? 1e-4 : 1e-9 * std::max(1.0, std::abs(expected))));
      ++compared;
    }
  }
  MESSAGE(compared << " compared, " << refused << " refused");
  CHECK_EQ(compared, 148);
  CHECK_EQ(refused, 37);
}

TEST_CASE("metrics: free of the order of images, of scaling and of rotation where they should be") {
  const Case c = find_case("wide");
  const Probe probe = with_reference(c);
  // Exchanged rows.
  std::vector<double> x, r;
  std::vector<int> labels;
  for (std::int64_t i = 0; i < c.n; ++i) {
    const std::int64_t from = (i * 5 + 3) % c.n;  // 17 rows: a permutation
    labels.push_back(c.labels[std::size_t(from)]);
    x.insert(x.end(), &c.features[std::size_t(from * c.d)], &c.features[std::size_t(from * c.d)] + c.d);
    const auto reference = probe.reference.as<double>().subspan(std::size_t(from * 16), 16);
    r.insert(r.end(), reference.begin(), reference.end());
  }
  Probe exchanged{Array::from(x, {c.n, c.d}), labels, c.classes};
  exchanged.reference = Array::from(r, {c.n, 16});
  // Scaled by a number that is no power of two.
  Probe scaled = probe;
  std::vector<double> large = c.features;
  for (double& value : large) value *= 3.7;
  scaled.features = Array::from(large, {c.n, c.d});
  // Rotated: by the reflection 1 - 2 v v^T / v^T v.
  std::vector<double> turned = c.features, v(std::size_t(c.d));
  double vv = 0;
  for (std::size_t k = 0; k < v.size(); ++k) v[k] = std::sin(double(k + 1)), vv += v[k] * v[k];
  for (std::size_t i = 0; i < std::size_t(c.n); ++i) {
    double xv = 0;
    for (std::size_t k = 0; k < v.size(); ++k) xv += turned[i * v.size() + k] * v[k];
    for (std::size_t k = 0; k < v.size(); ++k) turned[i * v.size() + k] -= 2 * xv / vv * v[k];
  }
  Probe rotated = probe;
  rotated.features = Array::from(turned, {c.n, c.d});
  // A column of zeros says nothing.
  std::vector<double> padded(std::size_t(c.n * (c.d + 9)), 0.0);
  for (std::size_t i = 0; i < std::size_t(c.n); ++i)
    std::copy_n(&c.features[i * v.size()], v.size(), &padded[i * (v.size() + 9)]);
  Probe wider = probe;
  wider.features = Array::from(padded, {c.n, c.d + 9});

  for (const std::string& name : names()) {
    if (name == "gbc:full") continue;  // singular here
    CAPTURE(name);
    const double value = similarity(name, probe).value;
    const auto same = [&](const Probe& other) { return close(similarity(name, other).value, value, 1e-9); };
    if (name != "nleep") CHECK(same(exchanged));  // k-means++ starts from rows by number
    const bool in_units = name.starts_with("transrate");
    CHECK_EQ(same(scaled), !in_units);
    const bool by_column = name == "rsa" || name == "dds";
    CHECK_EQ(same(rotated), !by_column);
    const bool counts_columns = name == "hscore-reg" || name == "rsa";  // mean variance; mean over a row
    CHECK_EQ(same(wider), !counts_columns);  // fails for LogME where (D - k) log alpha is left out
  }
  CHECK_EQ(similarity("transrate", probe).value,
           doctest::Approx(similarity(fmt::format("transrate:{}", 1e-4 * 3.7 * 3.7), scaled).value).epsilon(1e-12));
}

TEST_CASE("metrics: resamplers agree with the metric on the rows drawn") {
  const Case c = find_case("tall");
  for (const std::string& name : names()) {
    CAPTURE(name);
    const Metric metric = find_metric(name);
    const bool full = name == "gbc:full";
    Probe probe = full ? random_probe(33, 3, 3, 0.5, 8) : with_reference(c);
    const std::int64_t d = probe.features.shape()[1];
    const Resampler resampled = metric.resampler(probe);
    CHECK(close(resampled(std::vector<int>(33, 1), probe.labels), metric.score(probe).value, 1e-10));
    std::vector<int> shuffled = probe.labels;
    std::rotate(shuffled.begin(), shuffled.begin() + 5, shuffled.end());
    if (!metric.needs_reference) {
      const double with_shuffled = resampled(std::vector<int>(33, 1), shuffled);
      probe.labels = shuffled;
      CHECK(close(with_shuffled, metric.score(probe).value, 1e-10));
    }
    // These keep principal components or z-scores of the whole probe, or leave out copies.
    if (metric.needs_reference || name == "nleep" || name.starts_with("knn") || (name.starts_with("gbc") && !full)) {
      std::vector<int> thin(33, 1);
      thin[2] = 0;
      thin[7] = 2;
      CHECK(std::isfinite(resampled(thin, probe.labels)));
      continue;
    }
    std::vector<int> counts, labels;
    std::vector<double> x;
    for (std::size_t i = 0; i < 33; ++i) {
      counts.push_back(i % 4 == 0 ? 0 : 1 + int(i % 3));
      for (int k = 0; k < counts.back(); ++k) {
        labels.push_back(probe.labels[i]);
        for (std::size_t j = 0; j < std::size_t(d); ++j)
          x.push_back(probe.features.as<double>()[i * std::size_t(d) + j]);
      }
    }
    const auto rows = std::int64_t(labels.size());
    const Probe gathered{Array::from(x, {rows, d}), labels, probe.classes};
    CHECK(close(resampled(counts, probe.labels), metric.score(gathered).value, 1e-10));
  }
  // Wide features are turned into fewer columns first, which must not show.
  const Probe wide = find_case("wide").probe();
  for (const char* name : {"logme", "hscore", "hscore-reg", "transrate", "gbc"}) {
    CAPTURE(name);
    CHECK(close(find_metric(name).resampler(wide)(std::vector<int>(17, 1), wide.labels), similarity(name, wide).value,
                1e-10));
    std::vector<int> thin(17, 1);
    thin[3] = 0;
    thin[5] = 2;
    CHECK(std::isfinite(find_metric(name).resampler(wide)(thin, wide.labels)));
  }
}

TEST_CASE("metrics: kNN leaves out an image by its number and breaks ties as stated") {
  // 0 and 1 are one image: each finds its copy. Image 4 is as far from 2 (label 1) as from 3 (label 0): the lower
  // index.
  const Probe probe{Array::from(std::vector<double>{0, 0, 10, 14, 12}, {5, 1}), {0, 0, 1, 0, 1}, 2};
  // nearest: 0 -> 1 right, 1 -> 0 right, 2 -> 4 (distance 2) right, 3 -> 4 wrong, 4 -> 2 right
  CHECK_EQ(knn(probe, 1).value, 0.8);
  // two votes, a tie of labels goes to the smallest: 0 -> {1, 2} 0 right, 1 right, 2 -> {4, 3} 0 wrong, 3 -> {4, 2} 1
  // wrong, 4 -> {2, 3} 0 wrong
  CHECK_EQ(knn(probe, 2).value, 0.4);
  // Image 0 drawn twice: its copies do not vote for it, and image 1 is not drawn.
  const double drawn = knn_resampler(probe, 1)(std::vector<int>{2, 0, 1, 1, 1}, probe.labels);
  CHECK_EQ(drawn, doctest::Approx(2.0 / 5));  // image 0 finds 2: wrong, twice
  const Similarity cut = knn(probe, 9);
  REQUIRE_EQ(cut.warnings.size(), 2u);
  CHECK(cut.warnings[0].find("every image has 4 others") != std::string::npos);
  CHECK(cut.warnings[1].find("votes equal") != std::string::npos);
}

TEST_CASE("metrics: weighted RSA pairs against an explicit list, shuffled references against the metric") {
  const Case c = find_case("square");
  const Probe probe = with_reference(c);
  const auto keys = [&](const Array& values) {
    const std::int64_t d = values.shape()[1];
    std::vector<double> z(std::size_t(c.n * d));
    zscore_columns<double>(kSpec, c.n, d, values.as<double>(), z);
    std::int32_t flat = 0;
    standardise_rows(kSpec, c.n, d, z, z, &flat);
    std::vector<double> g(std::size_t(c.n * c.n));
    gram_xxt<double>(kSpec, c.n, d, z, g);
    return g;
  };
  const auto a = keys(probe.features), b = keys(probe.reference);
  std::vector<int> counts;
  for (int i = 0; i < 12; ++i) counts.push_back((i * 5) % 4);
  std::vector<double> left, right;
  for (std::size_t i = 0; i < 12; ++i)
    for (std::size_t j = i + 1; j < 12; ++j)
      for (int k = 0; k < counts[i] * counts[j]; ++k) left.push_back(-a[i * 12 + j]), right.push_back(-b[i * 12 + j]);
  std::vector<double> ra(left.size()), rb(left.size());
  average_ranks(left, ra);
  average_ranks(right, rb);
  const double mean = 0.5 * double(left.size() + 1);
  double aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    aa += (ra[i] - mean) * (ra[i] - mean);
    bb += (rb[i] - mean) * (rb[i] - mean);
    ab += (ra[i] - mean) * (rb[i] - mean);
  }
  CHECK(close(rsa_resampler(probe)(counts, c.labels), ab / std::sqrt(aa * bb)));

  std::vector<std::size_t> order(12);
  for (std::size_t i = 0; i < 12; ++i) order[i] = (i * 7 + 2) % 12;
  Probe shuffled = probe;
  const std::size_t columns = std::size_t(probe.reference.shape()[1]);
  for (std::size_t i = 0; i < 12; ++i)
    for (std::size_t k = 0; k < columns; ++k)
      shuffled.reference.as<double>()[i * columns + k] = probe.reference.as<double>()[order[i] * columns + k];
  CHECK(close(rsa_shuffler(probe)(order), rsa(shuffled).value));
  CHECK(close(dds_shuffler(probe)(order), dds(shuffled).value));
}

TEST_CASE("metrics: with shuffled labels they say what chance says") {
  const Probe related = random_probe(90, 8, 3, 1.0, 61);
  Probe probe = related;
  probe.reference = related.features;
  for (const char* name : {"logme", "hscore", "hscore-reg", "transrate", "gbc", "knn:3", "nleep", "rsa", "dds"}) {
    CAPTURE(name);
    const Metric metric = find_metric(name);
    const double value = metric.score(probe).value;
    const Chance chance = chance_level(metric, probe, value, {.replicates = 100});
    CHECK_EQ(chance.draws.size(), 100u);
    CHECK(value > chance.high);
    CHECK_EQ(chance.p_value, 1.0 / 101);
    const Confidence confidence = bootstrap(metric, probe, value, {.replicates = 50});
    CHECK(confidence.low <= value);
    CHECK(value <= confidence.high);
    CHECK(confidence.std >= 0);
    // The mean of 100 shuffles is off by a tenth of their spread; the numbers below are the expectations on paper.
    double squares = 0;
    for (const double draw : chance.draws) squares += (draw - chance.mean) * (draw - chance.mean) / 99;
    const double error = 5 * std::sqrt(squares / 100);
    if (metric.name == "hscore") CHECK(close(chance.mean, 8 * 2.0 / 89, error));   // rank (C - 1) / (N - 1)
    if (metric.name == "knn:3") CHECK(close(chance.mean, 1.0 / 3, error + 0.03));  // ties favour the smallest label
    if (metric.needs_reference) CHECK(close(chance.mean, 0, error + 0.02));
  }
}

TEST_CASE("metrics: undefined cases say what to use instead, degenerate ones warn") {
  const Probe one_each = find_case("one_label_a_class").probe();
  for (const char* name : {"knn", "gbc", "gbc:diagonal", "nleep"}) {
    CAPTURE(name);
    CHECK_THROWS_WITH_AS(similarity(name, one_each),
                         doctest::Contains(name[0] == 'g' && name[3] == ':' ? "gbc" : "leep or logme"), Error);
  }
  CHECK_NOTHROW(similarity("logme", one_each));
  const auto warned = [](const Similarity& s, const char* text) {
    return std::any_of(s.warnings.begin(), s.warnings.end(),
                       [&](const std::string& w) { return w.find(text) != std::string::npos; });
  };
  CHECK(warned(similarity("hscore", find_case("wide").probe()), "cannot rank; use hscore-reg"));
  CHECK_FALSE(warned(similarity("hscore", find_case("tall").probe()), "cannot rank"));
  CHECK(warned(similarity("hscore-reg", find_case("class_of_one").probe()), "shrunk by 1.00"));
  CHECK(warned(similarity("transrate", one_each), "use leep or logme"));
  CHECK(warned(similarity("gbc", find_case("class_of_one").probe()), "1 class(es) have one image"));
  CHECK(warned(similarity("knn", find_case("class_of_one").probe()), "always gets wrong"));
  CHECK(warned(similarity("nleep", find_case("wide").probe()), "too high"));
  CHECK(warned(similarity("logme", find_case("constant_columns").probe()), "2 of 7 feature columns"));
  CHECK(warned(similarity("logme", find_case("empty_class").probe()), "2 of 5 classes"));
  CHECK_THROWS_WITH_AS(similarity("gbc:full", find_case("wide").probe()), doctest::Contains("use gbc"), Error);
  Probe constant = find_case("tall").probe();
  constant.features = Array(DType::f32, {33, 4});
  for (const char* name : {"logme", "hscore", "hscore-reg", "transrate", "gbc", "gbc:full", "knn", "nleep"}) {
    CAPTURE(name);
    CHECK_THROWS_WITH_AS(similarity(name, constant), doctest::Contains("the same for all 33 images"), Error);
  }
  Probe tall = find_case("tall").probe();
  CHECK_THROWS_WITH_AS(similarity("rsa", tall), doctest::Contains("--reference"), Error);
  CHECK_THROWS_WITH_AS(similarity("dds", tall), doctest::Contains("--reference"), Error);
  tall.reference = Array(DType::f32, {33, 4});
  CHECK_THROWS_WITH_AS(similarity("dds", tall), doctest::Contains("reference features are the same"), Error);
  tall.reference = Array(DType::f32, {32, 4});
  CHECK_THROWS_WITH_AS(similarity("rsa", tall), doctest::Contains("32 rows"), Error);
  for (const char* name : {"knn:0", "knn:x", "transrate:0", "transrate:nan", "transrate:", "gbc:round", "plasticity:x",
                           "plasticity:plasticity", "leep:3"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(find_metric(name), UsageError);
  }
  // All images alike but one: nothing is divided by zero.
  std::vector<double> lonely(10 * 3, 0.0);
  lonely[4] = 1;
  const Probe odd{Array::from(lonely, {10, 3}), {0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, 2};
  for (const char* name : {"logme", "hscore", "hscore-reg", "transrate", "knn", "nleep"}) {
    CAPTURE(name);
    CHECK(std::isfinite(similarity(name, odd).value));
  }
}
