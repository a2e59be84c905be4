// Logistic regression against scikit-learn, and against the condition that defines its solution.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/common/rng.hpp"
#include "nn/logistic.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

struct Problem {
  std::string name;
  std::size_t N = 0, D = 0, C = 0;
  double l2 = 0;
  std::vector<double> x, weight, bias;
  std::vector<int> labels;
};

std::vector<Problem> golden() {
  std::ifstream in(std::string(AKIN_SOURCE_DIR) + "/tests/golden/logistic.txt");
  std::vector<Problem> out;
  for (std::string word; in >> word;) {
    Problem p;
    in >> p.name >> p.N >> p.D >> p.C >> p.l2;
    const auto read = [&](std::vector<double>& to, std::size_t n) {
      for (double v; n > 0 && in >> v; --n) to.push_back(v);
    };
    for (std::size_t i = 0; i < p.N; ++i) {
      int label = -1;
      in >> label;
      p.labels.push_back(label);
      read(p.x, p.D);
    }
    read(p.weight, p.D * p.C);
    read(p.bias, p.C);
    REQUIRE(in.good());
    out.push_back(std::move(p));
  }
  return out;
}

/// Largest element of the gradient of the objective at a fit, by its definition.
double gradient_at(const Problem& p, const LogisticFit& fit, double bias_penalty = 0) {
  std::vector<double> g(p.D * p.C, 0.0), gb(p.C, 0.0);
  for (std::size_t i = 0; i < p.N; ++i) {
    std::vector<double> e(p.C);
    double sum = 0;
    for (std::size_t c = 0; c < p.C; ++c) {
      double z = fit.bias[c];
      for (std::size_t d = 0; d < p.D; ++d) z += p.x[i * p.D + d] * fit.weight[d * p.C + c];
      sum += e[c] = std::exp(z);
    }
    for (std::size_t c = 0; c < p.C; ++c) {
      const double r = (e[c] / sum - (p.labels[i] == static_cast<int>(c))) / static_cast<double>(p.N);
      gb[c] += r;
      for (std::size_t d = 0; d < p.D; ++d) g[d * p.C + c] += r * p.x[i * p.D + d];
    }
  }
  double worst = 0;
  for (std::size_t k = 0; k < g.size(); ++k) worst = std::max(worst, std::abs(g[k] + p.l2 * fit.weight[k]));
  for (std::size_t c = 0; c < p.C; ++c) worst = std::max(worst, std::abs(gb[c] + bias_penalty * fit.bias[c]));
  return worst;
}

double worst_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE_EQ(a.size(), b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

}  // namespace

TEST_CASE("logistic regression: scikit-learn's solutions, and the condition that defines them") {
  const std::vector<Problem> problems = golden();
  CHECK_EQ(problems.size(), 5);
  for (const Problem& p : problems) {
    CAPTURE(p.name);
    const LogisticFit fit = fit_logistic(p.x, p.labels, static_cast<int>(p.C), {.l2 = p.l2, .tolerance = 1e-10});
    CHECK(fit.converged);
    // Both gradients are below 1e-9; the penalty curves the objective by l2, so weights are off by 2e-9 sqrt(D C) / l2.
    const double tol = 2e-9 * std::sqrt(static_cast<double>(p.D * p.C)) / p.l2 + 1e-9;
    CHECK_FALSE(!(worst_difference(fit.weight, p.weight) <= tol));
    CHECK_FALSE(!(worst_difference(fit.bias, p.bias) <= 20 * tol));  // the bias follows the weights
    CHECK_FALSE(!(gradient_at(p, fit) <= 2e-10));
    // A penalised bias would be another method, and this tells them apart where the bias is not 0.
    if (std::abs(p.bias[0]) > 1e-3) CHECK(gradient_at(p, fit, p.l2) > 1e-6 * p.l2);
    // From another start to the same place; logits are the affine map.
    LogisticFit start = fit;
    for (double& w : start.weight) w = 1 - w;
    const LogisticFit again =
        fit_logistic(p.x, p.labels, static_cast<int>(p.C), {.l2 = p.l2, .tolerance = 1e-10}, &start);
    CHECK_FALSE(!(worst_difference(again.weight, fit.weight) <= tol));
    const std::vector<double> z = logistic_logits(fit, p.x, static_cast<std::int64_t>(p.N));
    double want = fit.bias[1];
    for (std::size_t d = 0; d < p.D; ++d) want += p.x[(p.N - 1) * p.D + d] * fit.weight[d * p.C + 1];
    CHECK_FALSE(!(std::abs(z[(p.N - 1) * p.C + 1] - want) <= 1e-12 * (1 + std::abs(want))));
  }
}

TEST_CASE("logistic regression: many features and classes converge; ill-scaled columns too") {
  Problem p{
      .name = "wide", .N = 60, .D = 257, .C = 20, .l2 = 1.0 / 60, .x = {}, .weight = {}, .bias = {}, .labels = {}};
  for (std::size_t i = 0; i < p.N; ++i) {
    p.labels.push_back(static_cast<int>(i % p.C));
    Rng rng(1, 2, i);
    for (std::size_t d = 0; d < p.D; ++d)
      p.x.push_back((static_cast<double>(rng.normal()) + (d % p.C == i % p.C ? 0.5 : 0.0)) * (d < 3 ? 10 : 1));
  }
  const LogisticFit fit = fit_logistic(p.x, p.labels, 20, {.l2 = p.l2});
  CHECK(fit.converged);
  CHECK_FALSE(!(gradient_at(p, fit) <= 1.1e-7));
  CHECK(fit.iterations < 500);
}

TEST_CASE("logistic regression: bad input is refused") {
  const std::vector<double> x = {1, 2, 3, 4};
  const std::vector<int> y = {0, 1};
  CHECK_THROWS_AS(fit_logistic(x, y, 2, {.l2 = 0}), UsageError);
  CHECK_THROWS_AS(fit_logistic(x, y, 2, {.l2 = NAN}), UsageError);
  CHECK(has(error_of([&] { fit_logistic(x, std::vector<int>{0, 2}, 2); }), "label 2 of 2 classes"));
  CHECK(has(error_of([&] { fit_logistic(x, std::vector<int>{0, 1, 1}, 2); }), "4 numbers for 3 labels"));
  CHECK(has(error_of([&] { fit_logistic(std::vector<double>{1, NAN}, y, 2); }), "finite"));
}
