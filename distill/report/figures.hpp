// What a student reached, in numbers, and statistics over several. A new figure is a member of Figures and a row of the
// table in figures.cpp: records, tables, pages' data and --json follow.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "nn/curve.hpp"

namespace akin {

/// A number that was not measured. Pages and tables show it as "–", JSON as null, CSV as an empty cell.
inline constexpr double not_measured = std::numeric_limits<double>::quiet_NaN();

/// What a method learns from. The headline compares `taught` with the others, except `reference`: a larger network or a
/// choice by test accuracy, shown in the table only.
enum class MethodRole { labels_only, unlabelled, transferred, taught, reference };

/// Of one student. Accuracies are in [0, 1]: after the last step, and at the step that was best on validation images.
struct Figures {
  std::uint64_t seed = 0;
  double test_accuracy = not_measured;
  double val_accuracy = not_measured;
  std::int64_t best_step = -1;  ///< -1: no validation images to choose by
  double best_val_accuracy = not_measured;
  double best_test_accuracy = not_measured;
  double seconds = not_measured;
  double images_per_second = not_measured;
  double label_head_accuracy = not_measured;   ///< on test images, of the head that labels taught alone
  double taught_head_accuracy = not_measured;  ///< of the one that a probe taught (Network::taught_head) alone
  double teacher_cv_accuracy = not_measured;   ///< of the probe: on the labelled images, in cross-validation
  double start_cv_accuracy = not_measured;     ///< likewise of a probe of what the student starts with, untaught
  double teacher_accuracy = not_measured;      ///< of the probe: on test images
  // What it costs to run, of students that are kept (student/running_cost.hpp).
  std::int64_t parameters = -1, multiply_adds = -1;  ///< an image
  std::int64_t file_bytes = -1;                      ///< of what must be kept to run it
  double ms_per_image = not_measured;                ///< where and with the threads it was trained
};

/// How a figure is called and where it is.
struct FigureRow {
  const char* name;       ///< in the files of a run
  const char* cell_name;  ///< in those of an experiment; nullptr: only its cells have it, under `name`
  std::variant<double Figures::*, std::int64_t Figures::*> field;  ///< whole numbers: negative where there is none
};
/// All but the seed, in the order of results.csv.
std::span<const FigureRow> figure_rows();
/// The shortest text that reads back as the same number; empty where it was not measured.
std::string csv_figure(const FigureRow& row, const Figures& figures);

/// A method's students, a seed each.
struct MethodResult {
  std::string name;
  MethodRole role = MethodRole::taught;
  std::vector<Figures> seeds;
};

struct Curve {
  std::string method;
  std::uint64_t seed = 0;
  std::vector<CurvePoint> points;  ///< ascending steps
};

struct Spread {
  int n = 0;                   ///< values that are finite
  double mean = not_measured;  ///< of those
  double std = not_measured;   ///< sample standard deviation (n - 1); not measured for n < 2
};

Spread spread_of(const std::vector<double>& values);
/// Over the seeds of a method.
Spread spread_over(const MethodResult& method, double Figures::*figure);
/// Test accuracy in [0, 1], and the same at the steps that were best on validation images.
Spread test_accuracy(const MethodResult& method);
Spread best_test_accuracy(const MethodResult& method);

/// Spearman's rank correlation, ties averaged; NaN below 3 pairs or where one side is constant. Pairs with NaN are left
/// out.
double spearman(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace akin
