// What must not matter to a metric: the table of docs/method.md, cell by cell.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "distill/similarity/measure.hpp"
#include "distill/similarity/metrics/linalg.hpp"
#include "tests/similarity_cases.hpp"

using namespace akin;
using namespace akin::test;

namespace {

using Values = std::vector<double>;

/// [N, D] with each row replaced by f(row, i).
Array by_row(const Array& x, const std::function<Values(const Values&, std::size_t)>& f) {
  const Array wide = x.cast(DType::f64);
  const auto D = static_cast<std::size_t>(x.shape()[1]), N = static_cast<std::size_t>(x.shape()[0]);
  Values out;
  for (std::size_t i = 0; i < N; ++i) {
    const auto row = wide.as<double>().subspan(i * D, D);
    const Values changed = f({row.begin(), row.end()}, i);
    out.insert(out.end(), changed.begin(), changed.end());
  }
  return Array::from(out, {x.shape()[0], static_cast<std::int64_t>(out.size() / N)});
}

Array rows_in(const Array& x, const std::vector<std::size_t>& order) {
  const Array wide = x.cast(DType::f64);
  const auto D = static_cast<std::size_t>(x.shape()[1]);
  return by_row(x, [&](const Values&, std::size_t i) {
    const auto row = wide.as<double>().subspan(order[i] * D, D);
    return Values(row.begin(), row.end());
  });
}

Array turned_round(const Array& x) {
  return by_row(x, [](const Values& row, std::size_t) { return Values(row.rbegin(), row.rend()); });
}

/// The columns of the table in docs/method.md, each a change of the probe.
std::vector<std::pair<std::string, std::function<void(Probe&)>>> changes() {
  const auto features = [](std::function<Values(const Values&, std::size_t)> f) {
    return [f](Probe& p) { p.features = by_row(p.features, f); };
  };
  return {
      {"order of images",
       [](Probe& p) {
         std::vector<std::size_t> order;
         for (std::size_t i = 0; i < p.labels.size(); ++i) order.push_back((i * 5 + 3) % p.labels.size());
         std::vector<int> labels;
         for (const std::size_t i : order) labels.push_back(p.labels[i]);
         p.labels = labels;
         p.features = rows_in(p.features, order);
         p.reference = rows_in(p.reference, order);
         p.probabilities = rows_in(p.probabilities, order);
       }},
      {"unit", features([](Values row, std::size_t) {
         for (double& x : row) x *= 3.7;
         return row;
       })},
      {"zero", features([](Values row, std::size_t) {
         for (double& x : row) x += 2.3;
         return row;
       })},
      {"unit of a column", features([](Values row, std::size_t) {
         row[0] *= 3.7;
         return row;
       })},
      {"rotation", features([](Values row, std::size_t) {  // by the reflection 1 - 2 v v^T / v^T v
         double vv = 0, xv = 0;
         for (std::size_t k = 0; k < row.size(); ++k) {
           vv += std::sin(double(k + 1)) * std::sin(double(k + 1));
           xv += row[k] * std::sin(double(k + 1));
         }
         for (std::size_t k = 0; k < row.size(); ++k) row[k] -= 2 * xv / vv * std::sin(double(k + 1));
         return row;
       })},
      {"order of columns",
       [](Probe& p) {
         p.features = turned_round(p.features);
         p.reference = turned_round(p.reference);
         p.probabilities = turned_round(p.probabilities);
       }},
      {"columns twice", features([](Values row, std::size_t) {
         const Values once = row;
         row.insert(row.end(), once.begin(), once.end());
         return row;
       })},
      {"a constant column", features([](Values row, std::size_t) {
         row.push_back(0);
         return row;
       })},
      {"numbering of classes",  // turned round, and from 1 on
       [](Probe& p) {
         for (int& label : p.labels) label = p.classes - label;
         ++p.classes;
       }},
  };
}

/// | metric | cell | ... of the table that begins with this first cell.
std::vector<std::vector<std::string>> table_of(const std::string& first) {
  std::ifstream in(std::string(AKIN_SOURCE_DIR) + "/docs/method.md");
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(in, line);) {
    if (rows.empty() && !line.starts_with("| " + first + " |")) continue;
    if (!line.starts_with("|")) break;
    std::vector<std::string> cells;
    for (std::size_t at = 1; at < line.size();) {
      const std::size_t end = line.find('|', at);
      std::string cell = line.substr(at, end - at);
      cell.erase(0, cell.find_first_not_of(' '));
      cell.resize(cell.find_last_not_of(' ') + 1);
      cells.push_back(cell);
      at = end + 1;
    }
    rows.push_back(cells);
  }
  REQUIRE(rows.size() > 3);
  return rows;
}

}  // namespace

TEST_CASE("invariance: what matters to each metric is what docs/method.md says") {
  const auto table = table_of("does it matter?");
  const auto all = changes();
  REQUIRE_EQ(table[0].size(), all.size() + 1);
  for (std::size_t c = 0; c < all.size(); ++c) REQUIRE_EQ(table[0][c + 1], all[c].first);
  std::size_t said = 0;
  std::vector<std::string> covered;
  for (std::size_t r = 2; r < table.size(); ++r) {
    std::string name = table[r][0];
    std::erase(name, '`');
    covered.push_back(name);
    for (std::size_t c = 0; c < all.size(); ++c) {
      CAPTURE(name);
      CAPTURE(all[c].first);
      bool matters = false;
      for (const char* which : {"wide", "tall"}) {
        const Case example = find_case(which);
        Probe probe = example.probe();
        probe.reference = example.columns(0, example.d / 2 + 1);
        const double before = similarity(name, probe).value;
        all[c].second(probe);
        const double after = similarity(name, probe).value;
        matters = matters || !close(after, before, 1e-9 * std::max(1.0, std::abs(before)));
      }
      const std::string& cell = table[r][c + 1];
      REQUIRE((cell.starts_with("no") || cell.starts_with("yes")));
      CHECK_EQ(matters, cell.starts_with("yes"));
      ++said;
    }
  }
  CHECK_EQ(said, covered.size() * all.size());
  for (const Metric& metric : metrics())  // a z-score over a bank is as free as the metric in it
    if (metric.name != "plasticity")
      CHECK_MESSAGE(std::count(covered.begin(), covered.end(), metric.name) == 1, metric.name);
}

TEST_CASE("metrics: LogME is the largest evidence, whatever the unit of the features") {
  for (const bool wide : {true, false}) {
    const Probe probe = random_probe(60, wide ? 64 : 8, 3, 0.3, 12);
    const double value = similarity("logme", probe).value;
    for (const double unit : {1e-6, 10.0, 255.0, 1000.0, 1e9}) {
      CAPTURE(unit);
      Probe other = probe;
      other.features = probe.features.cast(DType::f64);
      for (double& x : other.features.as<double>()) x *= unit;
      CHECK(close(similarity("logme", other).value, value, 1e-10));
      CHECK(close(find_metric("logme").resampler(other)(std::vector<int>(60, 1), probe.labels), value, 1e-10));
    }
    // Against the evidence written out, log N(y | 0, X X^T / alpha + 1 / beta), on a grid that meets the top to 1e-4.
    double sum = 0;
    for (int c = 0; c < 3; ++c) {
      double best = -1e300;
      for (double log_t = -12; log_t < 25; log_t += 0.02) {
        std::vector<double> k(60 * 60);
        gram_xxt<double>(kSpec, 60, probe.features.shape()[1], probe.features.as<double>(), k);
        std::vector<double> y(60);
        for (std::size_t i = 0; i < 60; ++i) {
          for (std::size_t j = 0; j < 60; ++j) k[i * 60 + j] /= std::exp(log_t);
          k[i * 60 + i] += 1;
          y[i] = probe.labels[i] == c;
        }
        const Cholesky factor(k, 60);
        const double variance = factor.inverse_form(y) / 60;
        best = std::max(best, -0.5 * (std::log(2 * std::numbers::pi * variance) + 1 + factor.log_det() / 60));
      }
      sum += best / 3;
    }
    CHECK(close(value, sum, 1e-5));
  }
  // Features that say nothing: the evidence without any. Features that are the labels: a number all the same.
  const Probe one = random_probe(400, 1, 2, 0, 5);
  CHECK(similarity("logme", one).value >= -0.5 * std::log(2 * std::numbers::pi * 0.5) - 0.5 - 1e-6);
  std::vector<double> told;
  for (const int label : one.labels) told.insert(told.end(), {double(label == 0), double(label == 1)});
  const double fit = similarity("logme", {Array::from(told, {400, 2}), one.labels, 2}).value;
  CHECK(std::isfinite(fit));
  CHECK(fit > 1);
}

TEST_CASE("invariance: where the order, unit or zero matters, a warning says so") {
  const Probe probe = find_case("tall").probe();
  const auto warned = [&](const char* name, const char* text) {
    const Similarity s = similarity(name, probe);
    return std::any_of(s.warnings.begin(), s.warnings.end(),
                       [&](const std::string& w) { return w.find(text) != std::string::npos; });
  };
  CHECK(warned("nleep", "depends on the order of the images"));
  CHECK(warned("transrate", "depends on the unit of the features"));
  CHECK(warned("logme", "depends on where the features' zero is"));
  Probe constant = probe;
  constant.features = by_row(probe.features, [](Values row, std::size_t) {
    row.push_back(7);
    return row;
  });
  constant.reference = probe.features;
  CHECK(similarity("parc", constant).warnings.at(0).find("1 of 6 feature columns are the same") != std::string::npos);
  CHECK(similarity("rsa", constant).warnings.at(0).find("1 of 6 columns of features are the same") !=
        std::string::npos);
  CHECK_FALSE(warned("knn", "equally far"));
  // Two images of different classes are as far from a third: which one counts is a matter of order.
  const Probe tied{Array::from(Values{0, 1, -1, 5, 6}, {5, 1}), {0, 0, 1, 1, 1}, 2};
  const Similarity s = similarity("knn", tied);
  REQUIRE_EQ(s.warnings.size(), 1u);
  CHECK(s.warnings[0].find("neighbours are equally far") != std::string::npos);
}

TEST_CASE("warnings of many sources are told once, with their number") {
  const auto row = [](const std::string& source, std::vector<std::string> warnings) {
    return SimilarityRow{.source = source, .similarity = {"parc", 1, std::move(warnings)}};
  };
  using Lines = std::vector<std::string>;
  CHECK(shared_warnings(std::vector{row("a", {"w"}), row("b", {"w"}), row("c", {"w"})}) == Lines{"all 3 sources: w"});
  CHECK(shared_warnings(std::vector{row("a", {}), row("b", {"w", "v"}), row("c", {"w"})}) ==
        Lines{"b and 1 other of 3 sources: w", "b: v"});
  CHECK(shared_warnings(std::vector{row("a", {"2 of 7 columns"}), row("b", {"3 of 9 columns"})}) ==
        Lines{"all 2 sources: 2 of 7 columns (of a; the others likewise)"});
  CHECK(shared_warnings(std::vector<SimilarityRow>{}).empty());
}
