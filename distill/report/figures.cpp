#include "distill/report/figures.hpp"

#include <cmath>

#include "distill/report/csv.hpp"
#include "kernels/common/error.hpp"
#include "kernels/rank.hpp"

namespace akin {

namespace {

constexpr FigureRow kFigures[] = {
    {"test_accuracy", "test_last", &Figures::test_accuracy},
    {"val_accuracy", "val_last", &Figures::val_accuracy},
    {"best_step", "best_step", &Figures::best_step},
    {"best_val_accuracy", "val_best", &Figures::best_val_accuracy},
    {"best_test_accuracy", "test_best", &Figures::best_test_accuracy},
    {"label_head_accuracy", "test_label_head", &Figures::label_head_accuracy},
    {"taught_head_accuracy", "test_taught_head", &Figures::taught_head_accuracy},
    {"teacher_cv_accuracy", "teacher_cv", &Figures::teacher_cv_accuracy},
    {"teacher_accuracy", "test_teacher", &Figures::teacher_accuracy},
    {"start_cv_accuracy", "start_cv", &Figures::start_cv_accuracy},
    {"seconds", "seconds", &Figures::seconds},
    {"images_per_second", nullptr, &Figures::images_per_second},
    {"parameters", nullptr, &Figures::parameters},
    {"multiply_adds", nullptr, &Figures::multiply_adds},
    {"file_bytes", nullptr, &Figures::file_bytes},
    {"ms_per_image", nullptr, &Figures::ms_per_image},
};

}  // namespace

std::span<const FigureRow> figure_rows() { return kFigures; }

std::string csv_figure(const FigureRow& row, const Figures& figures) {
  if (const auto* number = std::get_if<double Figures::*>(&row.field)) return csv_number(figures.**number);
  const std::int64_t whole = figures.*std::get<std::int64_t Figures::*>(row.field);
  return whole < 0 ? std::string() : std::to_string(whole);
}

Spread spread_of(const std::vector<double>& values) {
  Spread s;
  double sum = 0;
  for (double v : values) {
    if (!std::isfinite(v)) continue;
    sum += v;
    ++s.n;
  }
  if (s.n == 0) return s;
  s.mean = sum / s.n;
  if (s.n < 2) return s;
  double squares = 0;
  for (double v : values) {
    if (std::isfinite(v)) squares += (v - s.mean) * (v - s.mean);
  }
  s.std = std::sqrt(squares / (s.n - 1));
  return s;
}

Spread spread_over(const MethodResult& method, double Figures::*figure) {
  std::vector<double> values;
  for (const Figures& f : method.seeds) values.push_back(f.*figure);
  return spread_of(values);
}

Spread test_accuracy(const MethodResult& method) { return spread_over(method, &Figures::test_accuracy); }
Spread best_test_accuracy(const MethodResult& method) { return spread_over(method, &Figures::best_test_accuracy); }

double spearman(const std::vector<double>& a, const std::vector<double>& b) {
  AKIN_CHECK(a.size() == b.size(), "Spearman: {} numbers against {}", a.size(), b.size());
  std::vector<double> x, y;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!std::isnan(a[i]) && !std::isnan(b[i])) {
      x.push_back(a[i]);
      y.push_back(b[i]);
    }
  if (x.size() < 3) return not_measured;
  std::vector<double> rx(x.size()), ry(x.size());
  average_ranks(x, rx);
  average_ranks(y, ry);
  const double mean = (static_cast<double>(x.size()) + 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < rx.size(); ++i) {
    xy += (rx[i] - mean) * (ry[i] - mean);
    xx += (rx[i] - mean) * (rx[i] - mean);
    yy += (ry[i] - mean) * (ry[i] - mean);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : not_measured;
}

}  // namespace akin
