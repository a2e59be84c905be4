// What a person does with a run: which model to take, how good it is, what the others give and cost.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "distill/report/report.hpp"

namespace akin {

/// 95 % interval of a share `right` in [0, 1] of n images, by Wilson's score (Wilson, "Probable inference, the law of
/// succession, and statistical inference", JASA 1927). {not_measured, not_measured} for n < 1.
std::pair<double, double> wilson_interval(double right, std::int64_t n);

/// How likely counts as far apart as these, or farther, are where neither side is better: the two-sided exact sign test
/// of pictures that only one of two models is right on. 1 without any.
double sign_test(std::int64_t only_a, std::int64_t only_b);

/// What needs no look at a picture: guessing, or always saying the commonest class where that is more. 0 where the
/// classes are not told.
double chance_level(const ReportData& data);
/// "guessing 25.0 %" or "always saying the commonest class 60.0 %"; "" where the classes are not told.
std::string chance_words(const ReportData& data);

/// The position in `methods` of the model to take: largest validation accuracy of the first seed; of equals the one of
/// fewest multiply-adds. `kept[i]`: there is a model file of method i. -1: nothing was validated.
std::ptrdiff_t best_by_validation(const std::vector<MethodResult>& methods, const std::vector<bool>& kept);

/// Plain sentences, the first one says which model to take; empty where the run names none (ReportData::delivered).
std::vector<std::string> verdict_lines(const ReportData& data);

/// cost_table and the sentences below it, for a terminal of so many columns (0: any).
std::string verdict_text(const ReportData& data, std::size_t columns = 0);

/// Test accuracy (mean over seeds), parameters, multiply-adds, file and time a picture of a method, for people.
std::vector<std::string> cost_cells(const MethodResult& method);

/// Every method's accuracy beside its cost, for a terminal; the delivered one is marked.
std::string cost_table(const ReportData& data, std::size_t columns = 0);

}  // namespace akin
