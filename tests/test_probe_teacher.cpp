// The probe that stands for all sources: against fits and folds worked out here, without the rotation that makes it
// fast.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "distill/student/probe_teacher.hpp"
#include "kernels/common/rng.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

struct Data {
  std::vector<Array> features;
  std::vector<std::string> names;
  std::vector<int> labels;
  std::int64_t classes = 3;
};

/// Source s has `width` columns, of which the first three show the class, `signal[s]` of the noise high.
Data data_of(std::int64_t N, const std::vector<std::int64_t>& width, const std::vector<float>& signal,
             std::uint64_t seed) {
  Data d;
  for (std::int64_t i = 0; i < N; ++i) d.labels.push_back(static_cast<int>(i % d.classes));
  for (std::size_t s = 0; s < width.size(); ++s) {
    Rng rng(seed, static_cast<std::uint32_t>(s), 9);
    Array a(DType::f32, {N, width[s]});
    for (std::int64_t i = 0; i < N; ++i)
      for (std::int64_t k = 0; k < width[s]; ++k)
        a.as<float>()[static_cast<std::size_t>(i * width[s] + k)] =
            5 + static_cast<float>(k + 1) *
                    (rng.normal() + (k == d.labels[static_cast<std::size_t>(i)] ? signal[s] : 0.0f));
    d.features.push_back(std::move(a));
    d.names.push_back("s" + std::to_string(s));
  }
  return d;
}

ProbeTeacher choose(const Data& d) { return choose_probe_teacher(d.features, d.names, d.labels, d.classes); }

/// Standardised columns, each source by 1 / sqrt(D), all scaled to a mean squared length of 1: [N, sum D].
std::vector<double> plain(const Data& d, const std::vector<std::size_t>& sources) {
  const auto N = d.labels.size();
  std::vector<std::vector<double>> rows(N);
  for (const std::size_t s : sources) {
    const auto D = static_cast<std::size_t>(d.features[s].shape()[1]);
    for (std::size_t k = 0; k < D; ++k) {
      double mean = 0, square = 0;
      const auto at = [&](std::size_t i) { return static_cast<double>(d.features[s].as<float>()[i * D + k]); };
      for (std::size_t i = 0; i < N; ++i) mean += at(i) / static_cast<double>(N);
      for (std::size_t i = 0; i < N; ++i) square += (at(i) - mean) * (at(i) - mean) / static_cast<double>(N);
      for (std::size_t i = 0; i < N; ++i)
        rows[i].push_back((at(i) - mean) / std::sqrt(square) / std::sqrt(static_cast<double>(D)));
    }
  }
  std::vector<double> x;
  for (const auto& row : rows) x.insert(x.end(), row.begin(), row.end());
  double all = 0;
  for (const double v : x) all += v * v;
  for (double& v : x) v *= std::sqrt(static_cast<double>(N) / all);
  return x;
}

std::vector<double> softmaxed(std::vector<double> z, std::size_t C) {
  for (std::size_t row = 0; row < z.size(); row += C) {
    double sum = 0;
    for (std::size_t c = 0; c < C; ++c) sum += std::exp(z[row + c]);
    for (std::size_t c = 0; c < C; ++c) z[row + c] = std::exp(z[row + c]) / sum;
  }
  return z;
}

/// Probabilities of each image by a probe that had not seen it, in the five folds that the contract says.
std::vector<double> out_of_fold(const Data& d, const std::vector<std::size_t>& sources, double l2) {
  const std::vector<double> x = plain(d, sources);
  const std::size_t N = d.labels.size(), D = x.size() / N;
  const auto C = static_cast<std::size_t>(d.classes);
  std::vector<std::size_t> fold(N);
  std::size_t turn = 0;
  for (int c = 0; c < d.classes; ++c)
    for (std::size_t i = 0; i < N; ++i)
      if (d.labels[i] == c) fold[i] = turn++ % 5;
  std::vector<double> p(N * C);
  for (std::size_t f = 0; f < 5; ++f) {
    std::vector<double> train;
    std::vector<int> labels;
    for (std::size_t i = 0; i < N; ++i)
      if (fold[i] != f) {
        train.insert(train.end(), x.begin() + static_cast<std::ptrdiff_t>(i * D),
                     x.begin() + static_cast<std::ptrdiff_t>((i + 1) * D));
        labels.push_back(d.labels[i]);
      }
    const LogisticFit fit = fit_logistic(train, labels, static_cast<int>(d.classes), {.l2 = l2, .tolerance = 1e-6 * l2});
    const std::vector<double> all = softmaxed(logistic_logits(fit, x, static_cast<std::int64_t>(N)), C);
    for (std::size_t i = 0; i < N; ++i)
      if (fold[i] == f)
        std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(i * C), C,
                    p.begin() + static_cast<std::ptrdiff_t>(i * C));
  }
  return p;
}

double likelihood(const Data& d, const std::vector<double>& p) {
  double sum = 0;
  for (std::size_t i = 0; i < d.labels.size(); ++i)
    sum += std::log(p[i * static_cast<std::size_t>(d.classes) + static_cast<std::size_t>(d.labels[i])]);
  return sum / static_cast<double>(d.labels.size());
}

std::vector<double> said(const ProbeTeacher& t, const Data& d) {
  std::vector<const Array*> all;
  for (const Array& a : d.features) all.push_back(&a);
  const Array p = t.log_probabilities(all).cast(DType::f64);
  std::vector<double> out;
  for (const double v : p.as<double>()) out.push_back(std::exp(v));
  return out;
}

double apart(const std::vector<double>& a, const std::vector<double>& b) {
  double most = a.size() == b.size() ? 0 : NAN;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

}  // namespace

TEST_CASE("probe teacher: likelihoods, penalty and probabilities are those of fits worked out plainly") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  // Fewer and more columns than images, and one column that says nothing.
  for (const auto& [widths, signals] :
       {std::pair<std::vector<std::int64_t>, std::vector<float>>{{7, 40, 5}, {1.0f, 1.5f, 0.0f}},
        {{40, 6}, {0.2f, 2.5f}}}) {
    const Data d = data_of(31, widths, signals, seed);
    const ProbeTeacher t = choose(d);
    const std::size_t S = widths.size();
    REQUIRE_EQ(t.trials.size(), S + 2);
    std::vector<std::vector<double>> folds;
    std::vector<std::size_t> everyone;
    for (std::size_t s = 0; s <= S; ++s) {
      if (s < S) everyone.push_back(s);
      const std::vector<std::size_t> sources = s < S ? std::vector<std::size_t>{s} : everyone;
      const ProbeTrial& trial = t.trials[s];
      folds.push_back(out_of_fold(d, sources, trial.l2));
      CAPTURE(s);
      CAPTURE(trial.l2);
      CHECK_EQ(trial.log_likelihood, doctest::Approx(likelihood(d, folds[s])).epsilon(1e-4));
      // No neighbouring penalty does better.
      for (const double other : {trial.l2 * 3, trial.l2 / 3})
        if (other < 0.2 && other > 5e-7 && trial.l2 < 0.05)
          CHECK(likelihood(d, out_of_fold(d, sources, other)) <= trial.log_likelihood + 0.02);
    }
    CHECK_EQ(t.trials[S].name, "concat");
    CHECK_EQ(t.trials[S + 1].name, "stack");
    // No mixture of the sources' probes is likelier than the stack.
    Rng rng(seed, 1, 1);
    for (int k = 0; k < 200; ++k) {
      std::vector<double> w, p(folds[0].size(), 0.0);
      double sum = 0;
      for (std::size_t s = 0; s < S; ++s) sum += w.emplace_back(-std::log(1 - static_cast<double>(rng.uniform())));
      for (std::size_t s = 0; s < S; ++s)
        for (std::size_t i = 0; i < p.size(); ++i) p[i] += w[s] / sum * folds[s][i];
      CHECK(likelihood(d, p) <= t.trials[S + 1].log_likelihood + 1e-4);
    }
    for (const ProbeTrial& trial : t.trials) CHECK(trial.log_likelihood <= t.trial().log_likelihood);
    // What it says of the images it was fitted to.
    const std::size_t chosen = t.chosen;
    const auto fitted = [&](const std::vector<std::size_t>& sources, double l2) {
      const std::vector<double> x = plain(d, sources);
      const LogisticFit fit = fit_logistic(x, d.labels, 3, {.l2 = l2, .tolerance = 1e-6 * l2});
      return softmaxed(logistic_logits(fit, x, 31), 3);
    };
    std::vector<double> wanted;
    if (chosen < S) {
      wanted = fitted({chosen}, t.trial().l2);
    } else if (chosen == S) {
      wanted = fitted(everyone, t.trial().l2);
    } else {
      wanted.assign(93, 0.0);
      for (const ProbeTeacher::Part& part : t.parts) {
        const std::vector<double> one = fitted({part.source}, t.trials[part.source].l2);
        for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] += part.weight * one[i];
      }
    }
    CHECK(apart(said(t, d), wanted) <= 2e-5);
  }
}

TEST_CASE("probe teacher: chooses what says most, whatever stands beside it") {
  // One good source among three of noise: itself, or a stack that is all but it.
  const Data one = data_of(60, {20, 20, 20, 20}, {0.0f, 3.0f, 0.0f, 0.0f}, 1);
  const ProbeTeacher a = choose(one);
  double weight = 0;
  for (const ProbeTeacher::Part& part : a.parts)
    if (part.source == 1) weight += part.weight;
  CHECK_NE(a.trial().name, "concat");
  CHECK(weight > 0.8);
  CHECK(a.trial().accuracy > 0.8);
  CHECK(has(a.summary(), "of the labelled images in cross-validation (next: "));
  // Sources that each see another class well: together.
  Data many = data_of(60, {20, 20, 20}, {0.0f, 0.0f, 0.0f}, 2);
  for (std::size_t s = 0; s < 3; ++s)
    for (std::size_t i = 0; i < 60; ++i)
      if (many.labels[i] == static_cast<int>(s)) many.features[s].as<float>()[i * 20] += 3;
  const ProbeTeacher b = choose(many);
  CHECK_EQ(b.trial().name, "concat");
  CHECK_EQ(b.parts.size(), 3u);
  CHECK(b.trial().accuracy > b.trials[0].accuracy);
  // The same bits again; a single source has no company.
  CHECK(said(choose(many), many) == said(b, many));
  const ProbeTeacher single = choose(data_of(9, {4}, {2.0f}, 3));
  CHECK_EQ(single.trials.size(), 1u);
  CHECK_EQ(single.trial().name, "s0");
}

TEST_CASE("probe teacher: constant columns, a class of one image, two images") {
  Data d = data_of(31, {5, 9}, {1.5f, 1.0f}, 4);
  for (std::size_t i = 0; i < 31; ++i) d.features[0].as<float>()[i * 5 + 4] = 7;
  d.classes = 4;
  d.labels[0] = 3;
  const ProbeTeacher t = choose(d);
  const std::vector<double> p = said(t, d);
  for (std::size_t i = 0; i < 31; ++i)
    CHECK_EQ(p[4 * i] + p[4 * i + 1] + p[4 * i + 2] + p[4 * i + 3], doctest::Approx(1));
  Data two = data_of(2, {3}, {1.0f}, 5);
  two.classes = 2;
  CHECK(std::isfinite(choose(two).trial().log_likelihood));
  two.labels.pop_back();
  CHECK(has(error_of([&] { choose(two); }), "1 labelled images"));
}
