#include "distill/similarity/metrics.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "distill/similarity/metrics/cka.hpp"
#include "distill/similarity/metrics/leep.hpp"
#include "distill/similarity/metrics/parc.hpp"
#include "distill/similarity/metrics/pca.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/gram.hpp"
#include "kernels/rank.hpp"
#include "tests/gpu_case.hpp"
#include "tests/similarity_cases.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// PARC by its definition with B given: double loops, ranks on both sides.
double parc_by_definition(const Probe& probe, const std::vector<double>& b) {
  const std::int64_t n = probe.features.shape()[0], d = probe.features.shape()[1];
  std::vector<double> z(std::size_t(n * d)), a;
  zscore_columns<double>(kSpec, n, d, probe.features.as<double>(), z);
  std::int32_t flat = 0;
  standardise_rows(kSpec, n, d, z, z, &flat);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = i + 1; j < n; ++j) {
      double sum = 0;
      for (std::int64_t c = 0; c < d; ++c) sum += z[std::size_t(i * d + c)] * z[std::size_t(j * d + c)];
      a.push_back(1 - sum);
    }
  }
  std::vector<double> ra(a.size()), rb(b.size());
  average_ranks(a, ra);
  average_ranks(b, rb);
  const double mean = 0.5 * double(a.size() + 1);
  double aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    aa += (ra[i] - mean) * (ra[i] - mean);
    bb += (rb[i] - mean) * (rb[i] - mean);
    ab += (ra[i] - mean) * (rb[i] - mean);
  }
  return ab / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("similarity: CKA against labels is CKA against their one-hot rows, for fewer images than columns and more") {
  for (const auto& [n, d] : std::vector<std::pair<int, int>>{{9, 31}, {30, 8}, {130, 257}, {33, 33}})
    for (const int classes : {2, 5})
      for (const CkaForm form : {CkaForm::biased, CkaForm::debiased}) {
        CAPTURE(n);
        CAPTURE(d);
        const Probe probe = random_probe(n, d, classes, 0.5, static_cast<std::uint64_t>(n));
        std::vector<double> rows(std::size_t(n * classes), 0.0);
        for (int i = 0; i < n; ++i) rows[std::size_t(i * classes + probe.labels[std::size_t(i)])] = 1;
        const double expected = cka(probe.features, Array::from(rows, {n, classes}), form).value;
        // Sums of n d products in another order.
        CHECK(std::fabs(cka(probe, form).value - expected) <= 4 * double(n + d) * 0x1p-52);
        const int threads = max_threads();
        const double one = cka(probe, form).value;
        set_threads(3);
        CHECK_EQ(cka(probe, form).value, one);
        set_threads(threads);
      }
}

TEST_CASE("similarity: published values for Fisher's Iris") {
  const Case iris = find_case("iris");
  std::ifstream table(std::string(AKIN_SOURCE_DIR) + "/tests/golden/iris.txt");
  std::vector<double> x;
  std::vector<int> y;
  for (double a, b, c, d; table >> a >> b >> c >> d;) {
    x.insert(x.end(), {a, b, c, d});
    int label = -1;
    table >> label;
    y.push_back(label);
  }
  REQUIRE(x == iris.features);
  REQUIRE(y == iris.labels);
  REQUIRE_EQ(x.size(), 600u);
  CHECK(std::vector<double>(x.begin() + 34 * 4, x.begin() + 35 * 4) == std::vector<double>{4.9, 3.1, 1.5, 0.2});
  CHECK(std::vector<double>(x.begin() + 37 * 4, x.begin() + 38 * 4) == std::vector<double>{4.9, 3.6, 1.4, 0.1});

  const Probe probe = iris.probe();
  // Printed digits: half a unit of the last one.
  CHECK(close(100 * similarity("parc", probe).value, 58.679784, 0.5e-6));
  CHECK(close(similarity("cka", probe).value, 0.663314246, 0.5e-9));
  CHECK(close(similarity("cka-debiased", probe).value, 0.661525584, 0.5e-9));
  CHECK(close(similarity("leep", probe).value, -0.817141466, 0.5e-9));
  CHECK(close(similarity("nce", probe).value, -0.426330043, 0.5e-9));
  // Published as ...244: the authors' iteration stops when its ratio moves by less than a thousandth.
  CHECK(close(similarity("logme", probe).value, -0.160060243, 0.5e-9));
  CHECK(close(similarity("hscore", probe).value, 1.191898825, 0.5e-9));
  CHECK(close(similarity("hscore-reg", probe).value, 1.177842500, 1e-9));  // 1.1778424993, printed with its last 0 kept
  CHECK(close(similarity("transrate", probe).value, 0.589405406, 0.5e-9));
  CHECK(close(similarity("gbc:full", probe).value, -0.280505221, 0.5e-9));
  CHECK_EQ(similarity("knn", probe).value, 0.96);
  CHECK_EQ(similarity("knn:3", probe).value, 0.96);
  CHECK(close(similarity("knn:5", probe).value, 0.966667, 0.5e-6));
  CHECK(close(similarity("knn:13", probe).value, 0.966667, 0.5e-6));
  Probe whole = probe;
  whole.reference = probe.features;
  for (const Metric& metric : metrics()) {
    CAPTURE(metric.name);
    CHECK_EQ(metric.score(whole).metric, metric.name);
    // What these depend on without end, they say every time (docs/method.md).
    const bool dependent = metric.name == "nleep" || metric.name == "logme" || metric.name == "transrate";
    CHECK_EQ(metric.score(whole).warnings.size(), dependent ? 1 : 0);
  }
}

TEST_CASE("similarity: every case of the independent reference") {
  const auto cases = read_cases();
  CHECK_EQ(cases.size(), 12u);
  int compared = 0, refused = 0;
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Probe probe = c.probe();
    for (const auto& [key, expected] : c.expect) {
      CAPTURE(key);
      const auto value = [&, k = key]() -> double {
        if (k == "parc") return parc(probe).value;
        if (k == "parc_pca") return similarity(fmt::format("parc:{}", c.expect.at("pca")), probe).value;
        if (k == "cka") return cka(probe, CkaForm::biased).value;
        if (k == "cka_debiased") return cka(probe, CkaForm::debiased).value;
        if (k == "cka_half") return cka(c.columns(0, c.d / 2), c.columns(c.d / 2, c.d), CkaForm::biased).value;
        if (k == "cka_half_debiased") {
          return cka(c.columns(0, c.d / 2), c.columns(c.d / 2, c.d), CkaForm::debiased).value;
        }
        return k == "leep" ? leep(probe).value : nce(probe).value;
      };
      if (key == "pca") continue;
      if (std::isnan(expected)) {
        CHECK_THROWS_AS(value(), Error);
        ++refused;
      } else {
        const double got = value();
        CAPTURE(got);
        CHECK(close(got, expected));
        CHECK(std::abs(got - expected) <= 1e-8 * std::abs(expected));
        ++compared;
      }
    }
  }
  CHECK_EQ(compared, 72);
  CHECK_EQ(refused, 6);
}

TEST_CASE("similarity: the feature form and the Gram form of CKA are one number") {
  // 30 columns of noise and a copy of them padded with zeros beyond N columns, which forces the Gram form.
  const Probe narrow = random_probe(41, 30, 4, 1.0, 11);
  const auto x = narrow.features.as<double>();
  std::vector<double> padded(41 * 60, 0.0);
  for (std::size_t i = 0; i < 41; ++i) std::copy_n(&x[i * 30], 30, &padded[i * 60]);
  const Probe wide{Array::from(padded, {41, 60}), narrow.labels, 4};
  for (const CkaForm form : {CkaForm::biased, CkaForm::debiased}) {
    CHECK(close(cka(wide, form).value, cka(narrow, form).value));
    CHECK(close(cka(wide.features, wide.features, form).value, 1.0));
    CHECK(close(cka(wide.features, narrow.features, form).value, 1.0));
  }
  // f32 features are accumulated in double: only the rounding of the features themselves remains.
  const Probe single{narrow.features.cast(DType::f32), narrow.labels, 4};
  CHECK(close(cka(single, CkaForm::biased).value, cka(narrow, CkaForm::biased).value, 1e-6));
  CHECK(close(parc(single).value, parc(narrow).value, 1e-3));
}

TEST_CASE("similarity: 37 classes - labels must be compared, not correlated as one-hot rows") {
  const Case c = find_case("c37");
  const Probe probe = c.probe();
  std::vector<double> equality, arithmetic;
  const double mean = 1.0 / c.classes;
  for (std::size_t i = 0; i < c.labels.size(); ++i) {
    for (std::size_t j = i + 1; j < c.labels.size(); ++j) {
      equality.push_back(c.labels[i] == c.labels[j] ? 0 : 1 + 1.0 / (c.classes - 1));
      double ii = 0, jj = 0, ij = 0;
      for (int k = 0; k < c.classes; ++k) {
        const double a = (c.labels[i] == k) - mean, b = (c.labels[j] == k) - mean;
        ii += a * a;
        jj += b * b;
        ij += a * b;
      }
      arithmetic.push_back(1 - ij / (std::sqrt(ii) * std::sqrt(jj)));
    }
  }
  // The mutant's distances agree to 15 digits, yet its ranks do not.
  for (std::size_t i = 0; i < equality.size(); ++i) CHECK(std::abs(equality[i] - arithmetic[i]) <= 1e-14);
  const double mutant = parc_by_definition(probe, arithmetic), value = parc(probe).value;
  CHECK(close(parc_by_definition(probe, equality), value));
  CHECK(close(value, c.expect.at("parc")));
  CHECK_FALSE(close(mutant, value, 0.01));
  MESSAGE("PARC " << value << ", with arithmetic one-hot correlations " << mutant);
}

TEST_CASE("similarity: repeated images are ties, whatever their order") {
  // Exchanging rows and permuting columns must not change the value, bit for bit in the ranks.
  const Case c = find_case("ties");
  const Probe probe = c.probe();
  std::vector<double> x;
  std::vector<int> labels;
  for (std::int64_t i = c.n - 1; i >= 0; --i) {
    labels.push_back(c.labels[std::size_t(i)]);
    for (std::int64_t k = c.d - 1; k >= 0; --k) x.push_back(c.features[std::size_t(i * c.d + k)]);
  }
  CHECK_EQ(parc({Array::from(x, {c.n, c.d}), labels, c.classes}).value, parc(probe).value);
}

TEST_CASE("similarity: counted in bins, PARC stays within its stated bound") {
  const Probe probe = random_probe(300, 40, 6, 0.7, 12);
  const Similarity exact = parc(probe), binned = parc(probe, {.histogram_from = 0});
  CHECK(exact.warnings.empty());
  REQUIRE_EQ(binned.warnings.size(), 1u);
  const std::string& warning = binned.warnings[0];
  const double bound = std::stod(warning.substr(warning.rfind(' ')));
  CHECK(bound < 1e-3);
  CHECK(close(binned.value, exact.value, 1.06 * bound));  // the bound is printed with two digits
  CHECK_NE(binned.value, exact.value);
}

TEST_CASE("similarity: principal components are orthogonal, ordered and rebuild the Gram") {
  for (const auto& [n, d] : {std::pair{20, 7}, std::pair{9, 31}, std::pair{16, 16}, std::pair{5, 1}}) {
    const Probe probe = random_probe(n, d, 3, 1.0, std::uint64_t(n));
    std::vector<double> centred(std::size_t(n * d)), gram(std::size_t(n * n)), rebuilt(std::size_t(n * n));
    centre_columns<double>(kSpec, n, d, probe.features.as<double>(), centred);
    gram_xxt<double>(kSpec, n, d, centred, gram);
    std::vector<std::string> warnings;
    std::int64_t k = std::min(n, d) + 1;
    const auto scores = principal_components(probe.features.as<double>(), n, d, k, warnings);
    CHECK_EQ(warnings.size(), 1u);
    CHECK_EQ(k, std::min(n - 1, d));
    REQUIRE_EQ(scores.size(), std::size_t(n * k));
    gram_xxt<double>(kSpec, n, k, scores, rebuilt);
    for (std::size_t i = 0; i < gram.size(); ++i) CHECK(close(rebuilt[i], gram[i], 1e-12 * double(n * d)));
    std::vector<double> products(std::size_t(k * k));
    gram_xty<double>(kSpec, n, k, k, scores, scores, products);
    for (std::int64_t a = 0; a < k; ++a) {
      for (std::int64_t b = 0; b < k; ++b) {
        if (a != b) CHECK(close(products[std::size_t(a * k + b)], 0, 1e-12 * products[0]));
      }
      if (a > 0) CHECK(products[std::size_t(a * k + a)] <= products[std::size_t((a - 1) * k + a - 1)] * (1 + 1e-12));
    }
  }
}

TEST_CASE("similarity: undefined cases say what is missing and what to use instead") {
  const Probe one_each = find_case("one_label_a_class").probe();
  CHECK_THROWS_WITH_AS(parc(one_each), doctest::Contains("at least 2 labels a class"), Error);
  CHECK_THROWS_WITH_AS(parc(one_each), doctest::Contains("leep"), Error);
  CHECK_THROWS_WITH_AS(cka(one_each, CkaForm::debiased), doctest::Contains("cka, leep"), Error);
  CHECK_EQ(cka(one_each, CkaForm::biased).warnings.size(), 1u);
  CHECK_NOTHROW(similarity("leep", one_each));
  CHECK_THROWS_WITH_AS(parc(find_case("one_class").probe()), doctest::Contains("same label"), Error);
  CHECK_THROWS_WITH_AS(cka(find_case("three_images").probe(), CkaForm::debiased), doctest::Contains("at least 4"),
                       Error);
  CHECK_THROWS_WITH_AS(similarity("vibes", one_each), doctest::Contains("parc, cka, cka-debiased, rsa, dds, leep, nce"),
                       UsageError);
  CHECK_THROWS_AS(similarity("parc:x", one_each), UsageError);
  CHECK_THROWS_AS(similarity("parc:0", one_each), UsageError);

  const Probe empty_class = find_case("empty_class").probe();
  REQUIRE_EQ(parc(empty_class).warnings.size(), 1u);
  CHECK(parc(empty_class).warnings[0].find("2 of 5 classes") == 0);

  const Case c = find_case("wide");
  const auto broken = [&](auto change) {
    Probe p = c.probe();
    change(p);
    return p;
  };
  CHECK_THROWS_WITH_AS(parc(broken([](Probe& p) { p.labels[3] = 4; })), doctest::Contains("label 4 of probe image 3"),
                       Error);
  CHECK_THROWS_AS(parc(broken([](Probe& p) { p.labels.pop_back(); })), Error);
  CHECK_THROWS_AS(parc(broken([](Probe& p) { p.classes = 1; })), Error);
  CHECK_THROWS_WITH_AS(parc(broken([](Probe& p) { p.features.as<double>()[35] = not_measured; })),
                       doctest::Contains("row 1, column 4"), Error);
  CHECK_THROWS_AS(cka(broken([](Probe& p) { p.features.as<double>()[0] = 1.0 / 0.0; }), CkaForm::biased), Error);
  CHECK_THROWS_AS(parc(broken([](Probe& p) { p.features = Array(DType::u8, {17, 31}); })), Error);
  CHECK_THROWS_AS(parc(broken([](Probe& p) { p.features = Array(DType::f32, {17, 31}); })), Error);  // all zero
  CHECK_THROWS_AS(cka(broken([](Probe& p) { p.features = Array(DType::f32, {17, 31}); }), CkaForm::biased), Error);
  CHECK_THROWS_AS(parc(broken([&](Probe& p) { p.features = c.columns(0, 1); })), Error);  // one column
  CHECK_THROWS_AS(leep(broken([](Probe& p) { p.probabilities = Array(); })), Error);
  CHECK_THROWS_WITH_AS(leep(broken([](Probe& p) { p.probabilities = p.features; })), doctest::Contains("logits"),
                       Error);

  // One image whose z-scored features are all zero: its columns' means.
  std::vector<double> x = c.features;
  for (std::int64_t k = 0; k < c.d; ++k) {
    double mean = 0;
    for (std::int64_t i = 1; i < c.n; ++i)
      x[std::size_t(i * c.d + k)] = std::round(16 * x[std::size_t(i * c.d + k)]) / 16;
    for (std::int64_t i = 1; i < c.n; ++i) mean += x[std::size_t(i * c.d + k)] / 16;
    x[std::size_t(k)] = mean;
  }
  const Similarity flat = parc({Array::from(x, {c.n, c.d}), c.labels, c.classes});
  REQUIRE_EQ(flat.warnings.size(), 1u);
  CHECK(flat.warnings[0].find("1 of 17 images") == 0);
}

TEST_CASE("similarity: the table as text") {
  Confidence confidence;
  confidence.low = 0.25;
  confidence.high = 0.75;
  const std::vector<SimilarityRow> rows{{"digits", {"parc", 0.5, {}}, confidence, {0.0, 0.125, 0.01}, 1.0, 0.5},
                                        {.source = "a, \"b\"",
                                         .similarity = {"parc", not_measured, {"first", "second"}},
                                         .undefined = "why, indeed",
                                         .metric_why = "auto, by 5 labels"}};
  CHECK_EQ(similarity_csv(rows),
           "source,metric,value,low,high,chance_mean,chance_high,p_value,best_share,ranking_tau,undefined,warnings,"
           "metric_why\n"
           "digits,parc,0.5,0.25,0.75,0,0.125,0.01,1,0.5,,,\n"
           "\"a, \"\"b\"\"\",parc,,,,,,,,,\"why, indeed\",first; second,\"auto, by 5 labels\"\n");
}

TEST_CASE("similarity: PARC sees the classes in 500 images of 2048 features") {
  const Probe probe = random_probe(500, 2048, 10, 0.3, 51);
  CHECK(parc({probe.features.cast(DType::f32), probe.labels, 10}).value > 0.1);
}

TEST_CASE("similarity: on a GPU, PARC and CKA are the CPU's") {
  const auto agree = [](Context& ctx, const Metric& metric, Probe probe) {
    const auto value = [&] {
      try {
        return std::pair{metric.score(probe).value, std::string()};
      } catch (const Error& e) {
        return std::pair{not_measured, std::string(e.what())};
      }
    };
    const auto [expected, refusal] = value();
    probe.ctx = &ctx;
    const auto [found, device_refusal] = value();
    CHECK_EQ(device_refusal, refusal);
    if (!std::isnan(expected)) CHECK(close(found, expected, 1e-10));
  };
  on_gpus([&](Context& ctx) {
    std::vector<Metric> those;
    for (const char* name : {"parc", "parc:3", "cka", "cka-debiased"}) those.push_back(find_metric(name));
    for (const Case& c : read_cases()) {
      if (c.n > 100) continue;
      CAPTURE(c.name);
      for (const Metric& metric : those) agree(ctx, metric, c.probe());
    }
    Probe probe = random_probe(70, 33, 5, 0.7, 12);
    for (const Metric& metric : those) {
      CAPTURE(metric.name);
      agree(ctx, metric, probe);
      const Resampler here = metric.resampler(probe);
      probe.ctx = &ctx;
      const Resampler there = metric.resampler(probe);
      probe.ctx = nullptr;
      std::vector<int> counts(70, 1);
      CHECK(close(there(counts, probe.labels), here(counts, probe.labels), 1e-10));
      counts[3] = 0;
      counts[9] = 2;
      CHECK(close(there(counts, probe.labels), here(counts, probe.labels), 1e-10));
    }
    const Similarity binned = parc(probe, {.histogram_from = 0});
    probe.ctx = &ctx;
    const Similarity binned_there = parc(probe, {.histogram_from = 0});
    CHECK_EQ(binned_there.warnings, binned.warnings);
    CHECK(close(binned_there.value, binned.value, 1e-10));
  });
}
