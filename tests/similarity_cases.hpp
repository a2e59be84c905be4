// Probes with known answers, shared by the tests of the similarity metrics and of their confidence.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "distill/similarity/metrics.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/gram.hpp"

namespace akin::test {

struct Case {
  std::string name;
  std::int64_t n = 0, d = 0;
  int classes = 0;
  std::vector<int> labels;
  std::vector<double> features;
  std::map<std::string, double> expect;  ///< NaN: the metric must refuse

  Probe probe() const {
    Probe p{Array::from(features, {n, d}), labels, classes};
    std::vector<double> z(features.size());
    zscore_columns<double>(kSpec, n, d, features, z);
    for (std::int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (std::int64_t c = 0; c < d; ++c) sum += z[std::size_t(i * d + c)] = std::exp(z[std::size_t(i * d + c)]);
      for (std::int64_t c = 0; c < d; ++c) z[std::size_t(i * d + c)] /= sum;
    }
    p.probabilities = Array::from(z, {n, d});
    return p;
  }
  Array columns(std::int64_t begin, std::int64_t end) const {
    std::vector<double> part;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t c = begin; c < end; ++c) part.push_back(features[std::size_t(i * d + c)]);
    }
    return Array::from(part, {n, end - begin});
  }
};

/// tests/golden/similarity.txt or metrics.txt, made by the scripts of the same names with numpy, scipy and
/// scikit-learn. "values NAME" in the latter stands for the case of that name in the former.
inline std::vector<Case> read_cases(const std::string& file = "similarity.txt") {
  std::ifstream in(std::string(AKIN_SOURCE_DIR) + "/tests/golden/" + file);
  REQUIRE(in.good());
  std::vector<Case> cases, known;
  if (file != "similarity.txt") known = read_cases();
  for (std::string word; in >> word;) {
    if (word == "case") {
      Case c;
      in >> c.name >> c.n >> c.d >> c.classes;
      c.labels.resize(std::size_t(c.n));
      c.features.resize(std::size_t(c.n * c.d));
      cases.push_back(c);
    } else if (word == "values") {
      std::string name;
      in >> name;
      for (const Case& c : known)
        if (c.name == name) cases.push_back(c);
      REQUIRE_EQ(cases.back().name, name);
      cases.back().expect.clear();
    } else if (word == "labels") {
      for (int& label : cases.back().labels) in >> label;
    } else if (word == "features") {
      for (double& value : cases.back().features) in >> value;
    } else if (word == "expect") {
      std::string key, value;
      in >> key >> value;
      cases.back().expect[key] = value == "undefined" ? not_measured : std::stod(value);
    }
  }
  REQUIRE(in.eof());
  return cases;
}

inline Case find_case(const std::string& name) {
  for (const Case& c : read_cases()) {
    if (c.name == name) return c;
  }
  FAIL("no case " << name);
  return {};
}

inline Probe random_probe(std::int64_t n, std::int64_t d, int classes, double signal, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<double> centres(std::size_t(classes * d)), x(std::size_t(n * d));
  for (double& value : centres) value = rng.normal();
  std::vector<int> labels(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    labels[std::size_t(i)] = int(i % classes);
    for (std::int64_t c = 0; c < d; ++c) {
      x[std::size_t(i * d + c)] = rng.normal() + signal * centres[std::size_t(labels[std::size_t(i)] * d + c)];
    }
  }
  return {Array::from(x, {n, d}), labels, classes};
}

/// Rounding of these metrics: at most a few thousand additions of numbers of order 1, divided by norms not much
/// smaller, so 1e4 eps; PCA takes square roots of eigenvalues and adds its own m eps.
inline constexpr double kTolerance = 1e4 * 0x1p-52;

inline bool close(double got, double expected, double tolerance = kTolerance) {
  return std::abs(got - expected) <= tolerance;
}

}  // namespace akin::test
