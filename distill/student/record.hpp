// What is kept of a finished student beside its network.
#pragma once

#include <string>
#include <vector>

#include "distill/report/figures.hpp"
#include "distill/task/settings_file.hpp"
#include "engine/dtype.hpp"
#include "nn/data/split.hpp"

namespace akin {

struct StudentRecord {
  Json settings;  ///< everything that the figures depend on
  Figures figures;
  std::vector<CurvePoint> curve;
  std::string source;                         ///< what it started from, or its main teacher; "" for none
  double weight = not_measured;               ///< of that teacher
  std::string metric_why;                     ///< why sources were compared by that metric; "" where it was named
  std::int64_t labelled = 0, unlabelled = 0;  ///< images
  std::string made_by, device;                ///< version of akin, and where it ran
  std::string student_hash, best_hash;        ///< SHA-256 of the files of its networks, where they were kept
  std::string error;                          ///< why there are no figures; then only settings count
};

/// What a student said of the test images.
struct TestAnswers {
  std::vector<int> predictions;    ///< one an image
  std::vector<double> confidence;  ///< probability of each
  Indices mapped = {};             ///< some of the test images, evenly over the classes
  Array features = {};             ///< f32 [M, D] of those; empty where the student has no features of its own
};

}  // namespace akin
