// Made-up runs that the tests of report, tables and rendered pages share.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "distill/report/report.hpp"

namespace akin_test {

inline akin::ReportData example_run() {
  using namespace akin;
  ReportData d;
  d.title = "Digits, 2 labels a class";
  d.task = {{"Target", "digits"}};
  d.classes = {"zero", "one", "two"};
  d.labelled = 6;
  d.unlabelled = 1200;
  d.device = "cpu";
  d.commit = "abc1234";
  d.time = "2025-01-02T03:04:05+00:00";
  d.threads = 2;
  d.seeds = {0, 18446744073709551615ull};
  d.seconds = 62.25;
  d.sources = {{"capitals", 26, 0.94, 0.281, 0.25, 0.31, 0.01, 0.281, 0.75},
               {"digits in print", 10, not_measured, 0.312, 0.28, 0.34, 0.01, 0.312, 0.25},
               {"clothes", 10, 0.9, not_measured, not_measured, not_measured, not_measured, not_measured, 0.0}};
  d.ranking_notes = {"auto chose PARC: 6 labels a class", "digits win only 55 % of the draws"};
  const auto seed = [](std::uint64_t s, double test) {
    return Figures{s, test, 0.7 + test / 10, 900, 0.71 + test / 10, test - 0.01, 31.5, 4100.0};
  };
  d.methods = {{"Scratch", MethodRole::labels_only, {seed(0, 0.394), seed(1, 0.335)}},
               {"FixMatch", MethodRole::unlabelled, {seed(0, 0.764), seed(1, 0.754)}},
               {"Weighted", MethodRole::taught, {seed(0, 0.847), seed(1, 0.835)}}};
  for (const MethodResult& m : d.methods) {
    for (const Figures& s : m.seeds) {
      Curve c{m.name, s.seed, {}};
      for (int t = 0; t <= 500; ++t) {
        c.points.push_back({t, 2.5 / (1 + t), t % 100 == 0 ? s.test_accuracy * t / 500 : not_measured});
      }
      d.curves.push_back(c);
    }
  }
  for (int i = 0; i < 4; ++i) {
    SampleImage image{i * 7, 5, 3, i % 2 == 0 ? 1 : 3, {}, i % 3, {}};
    for (int k = 0; k < image.height * image.width * image.channels; ++k) {
      image.pixels.push_back(static_cast<std::uint8_t>(k * 37 + i));
    }
    image.predictions = {{"Weighted", i < 2 ? i % 3 : 2, 0.9}, {"Scratch", i == 1 ? 1 : (i + 1) % 3, 0.4}};
    if (i > 0) image.name = "test/a folder/picture_" + std::to_string(i) + ".png";
    d.samples.push_back(image);
  }
  d.agreement = {30, 50, 5, 15};
  d.confusions = {{"Weighted", 0, 3, {91, 4, 5, 0, 88, 12, 1, 2, 97}}};
  d.errors = {d.samples.back()};
  d.map = {"Weighted", 0, {0, 1, 2.5, -1}, {0, 2, -2, 0.5}, {0, 1, 2, 1}, {0, 1, 2, 0}, 0.5, 0.25};
  d.likeness = {200, {1, 0.5, -0.01, 0.5, 1, not_measured, -0.01, not_measured, 1}};
  d.notes = {"A note."};
  d.command = "akin demo";
  d.config = "lambda = 0.2\n";
  d.tables = {{"similarity.csv", "seed,source\n0,\"a, b\"\n"}, {"log.jsonl", "{}\n"}};
  return d;
}

/// A run as `akin fit` makes it, with all that a page can show, of so many classes.
inline akin::ReportData large_run(int classes) {
  using namespace akin;
  ReportData d;
  d.title = "birds: 400 labelled pictures";
  d.task = {{"target", "birds"}, {"images", "64 x 64, colour"}, {"labels", "400 labelled pictures"}};
  for (int c = 0; c < classes; ++c)
    d.classes.push_back(c % 3 == 0 ? "Red-winged_Blackbird_" + std::to_string(c) : "gull " + std::to_string(c));
  const auto k = static_cast<std::size_t>(classes);
  d.labelled = 400;
  d.unlabelled = 1200;
  d.validation_images = 40;
  d.test_images = 10 * classes;
  d.device = "cpu (some processor with a long name, 16 cores)";
  d.commit = "abc1234";
  d.time = "2025-01-02T03:04:05Z";
  d.threads = 2;
  d.seeds = {0};
  d.seconds = 62.25;
  for (int s = 0; s < 6; ++s)
    d.sources.push_back({(s % 2 == 0 ? "inat_bird_mobilenet_v2_" : "imagenet_") + std::to_string(s), 1000, 0.7,
                         0.3 - 0.05 * s, 0.25 - 0.05 * s, 0.35 - 0.05 * s, 0.01, 0.3, 1.0 / 6});
  for (int a = 0; a < 6; ++a)
    for (int b = 0; b < 6; ++b) d.likeness.cka.push_back(a == b ? 1 : 0.9 / (1 + std::abs(a - b)));
  d.likeness.images = 200;
  const auto method = [&](const char* name, MethodRole role, double test, std::int64_t cost) {
    Figures f{0, test, test + 0.02, 900, test + 0.03, test - 0.01, 31.5, 4100.0};
    f.parameters = cost;
    f.multiply_adds = 12 * cost;
    f.file_bytes = 4 * cost;
    f.ms_per_image = 1e-6 * static_cast<double>(cost);
    d.methods.push_back({name, role, {f}});
    Curve c{name, 0, {}};
    for (int t = 100; t <= 1000; t += 100) c.points.push_back({t, 2.5 / (1 + t), test * t / 1000});
    if (role != MethodRole::reference) d.curves.push_back(c);
  };
  method("Scratch", MethodRole::labels_only, 0.31, 220000);
  method("Transfer", MethodRole::transferred, 0.45, 220000);
  method("LinearProbe", MethodRole::reference, 0.78, 2200000);
  method("DistillNearestTransfer", MethodRole::taught, 0.52, 220000);
  method("DistillWeightedTransfer", MethodRole::taught, 0.53, 220000);
  method("ProbeTaughtTransfer", MethodRole::taught, 0.61, 220000);
  d.student = "ProbeTaughtTransfer";
  d.delivered = "LinearProbe";
  d.agreement = {30, 50, 5, 15};
  for (const char* name : {"ProbeTaughtTransfer", "Scratch", "LinearProbe"}) {
    Confusion c{name, 0, classes, std::vector<std::int64_t>(k * k, 0)};
    for (std::size_t t = 0; t < k; ++t) {
      const auto right = static_cast<std::int64_t>(2 + t % 8);
      c.counts[t * k + t] = right;
      const auto next = std::max<std::int64_t>(0, 8 - right);
      c.counts[t * k + (t + 1) % k] += next;
      c.counts[t * k + (t + k / 2) % k] += 10 - right - next;
    }
    d.confusions.push_back(std::move(c));
  }
  const auto picture = [&](int i) {
    SampleImage image{i * 7, 64, 64, 3, {}, i % classes, {}, "test/class/IMG_20240102_" + std::to_string(i) + ".jpg"};
    for (int p = 0; p < 64 * 64 * 3; ++p)  // like a photograph, smooth with some noise
      image.pixels.push_back(static_cast<std::uint8_t>(128 + 80 * std::sin(0.02 * p / (1 + i)) + p * 7919 % 17));
    return image;
  };
  for (int i = 0; i < 24; ++i) {
    d.samples.push_back(picture(i));
    d.samples.back().predictions = {{"ProbeTaughtTransfer", i < 8 || i >= 16 ? i % classes : (i + 1) % classes, 0.9},
                                    {"Scratch", i >= 8 && i < 16 ? i % classes : (i + 1) % classes, 0.4}};
  }
  for (int i = 0; i < 12; ++i) {
    d.errors.push_back(picture(30 + i));
    d.errors.back().predictions = {{"LinearProbe", (i + 2) % classes, 0.99 - 0.01 * i}};
  }
  d.map.method = "LinearProbe";
  d.map.share_x = 0.2;
  d.map.share_y = 0.1;
  for (int i = 0; i < 500; ++i) {
    const int label = i % classes;
    d.map.x.push_back(5 * std::cos(label) + std::sin(1.7 * i));
    d.map.y.push_back(5 * std::sin(label) + std::cos(2.3 * i));
    d.map.labels.push_back(label);
    d.map.predictions.push_back(i % 5 == 0 ? (label + 1) % classes : label);
  }
  d.ranking_notes = {"auto chose PARC: 6 labels a class"};
  d.notes = {"The figures of LinearProbe are of pictures brought to 64x64 first, as the student sees them."};
  d.command = "akin fit birds --out runs/birds";
  d.config = "[fit]\ndata = \"birds\"\nsteps = 1000\nlambda = 0.2\n";
  return d;
}

}  // namespace akin_test
