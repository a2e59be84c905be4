// What moved between two result files, beyond the noise of their rounds.
//
// A row moved when both hold:
//   - its rounds before and after could hardly be shuffled draws of one and the same thing: the exact two-sided
//     rank-sum test (Wilcoxon 1945; ties share their mean rank) gives p <= kLevel. It asks for 7 rounds on either side;
//     with 12, a single wild round seldom hides a change of several spreads;
//   - its medians are at least `least` apart, relative to the smaller.
// Rounds of one file share the state of the machine while it was written, which no test of them can see: alternate runs
// of before and after, or compare rows that are ratios of two sides taking turns (bench/peers).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bench/result_file.hpp"

namespace akin::bench {

constexpr double kLevel = 0.001;

enum class Moved { no, faster, slower, too_few_rounds };

struct RowChange {
  std::string name, unit;
  std::vector<double> before, after;  ///< rounds
  double ratio = 1;                   ///< median after / median before
  double p = 1;
  Moved moved = Moved::no;
};

struct Changes {
  std::vector<RowChange> rows = {};  ///< those in both files, in the order of the first
  std::vector<std::string> only_before = {}, only_after = {};
  double least = 0;
};

struct CompareOptions {
  double least = 0.03;
  bool across = false;  ///< also between machines and numbers of threads
};

/// Chance that random halves of these rounds lie as far apart in their ranks as these two, or farther.
double rank_sum_p(std::span<const double> a, std::span<const double> b);

/// Error where the files do not fit together: machine, threads (unless `across`), no row in common, a row in two units.
Changes changes(const ResultFile& before, const ResultFile& after, const CompareOptions& options);

/// As a table. `all`: with the rows that did not move.
std::string table_of(const Changes& changes, bool all);

}  // namespace akin::bench
