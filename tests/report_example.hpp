// A small made-up run that the report and table tests share.
#pragma once

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
    d.samples.push_back(image);
  }
  d.agreement = {30, 50, 5, 15};
  d.confusions = {{"Weighted", 0, 3, {91, 4, 5, 0, 88, 12, 1, 2, 97}}};
  d.notes = {"A note."};
  d.command = "akin demo";
  d.config = "lambda = 0.2\n";
  d.tables = {{"similarity.csv", "seed,source\n0,\"a, b\"\n"}, {"log.jsonl", "{}\n"}};
  return d;
}

}  // namespace akin_test
