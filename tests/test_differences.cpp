// The lines that compare two variants: which pairs, their mean, and whether what was foretold came true.
#include <doctest/doctest.h>

#include "distill/grid/tables.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

struct Example {
  GridTables t;
  Example() {
    t.title = "example";
    t.targets = {"one", "two"};
    t.budgets = {"five"};
    t.methods = {{"plain", Method::scratch},
                 {"taught", Method::probe_taught},
                 {"weighted", Method::weighted},
                 {"probe", Method::probe_cv},
                 {"tuned", Method::finetune}};
  }
  void add(const std::string& target, const std::string& variant, std::uint64_t seed, double accuracy,
           double teacher = not_measured, double start = not_measured) {
    ResultRow row{.target = target, .budget = "five", .variant = variant, .method = Method::scratch, .record = {}};
    row.record.figures = {.seed = seed, .test_accuracy = accuracy};
    row.record.figures.teacher_cv_accuracy = teacher;
    row.record.figures.start_cv_accuracy = start;
    t.rows.push_back(std::move(row));
  }
};

}  // namespace

TEST_CASE("the pairs that a file names are compared, seed by seed over the targets that both have") {
  Example e;
  for (const std::uint64_t seed : {0u, 1u}) {
    const double more = 0.01 * static_cast<double>(seed);
    e.add("one", "plain", seed, 0.50);
    e.add("two", "plain", seed, 0.30);
    // Foretold: yes (right), and at target two no: wrong at seed 0, right at seed 1.
    e.add("one", "taught", seed, 0.60 + more, 0.8, 0.7);
    e.add("two", "taught", seed, seed == 0 ? 0.40 : 0.25, 0.6, 0.6);
    e.add("one", "weighted", seed, 0.55);
    e.add("one", "probe", seed, 0.50);
    e.add("one", "tuned", seed, 0.50);
  }
  CHECK_FALSE(has(grid_markdown(e.t), "minus"));  // of the headline's pairs it has none
  e.t.differences = {
      {"taught", "plain"}, {"weighted", "plain"}, {"taught", "weighted"}, {"taught", "probe"}, {"taught", "tuned"}};
  const std::string page = grid_markdown(e.t);
  CAPTURE(page);
  // Seed 0: (10 + 10) / 2 = 10; seed 1: (11 - 5) / 2 = 3; mean 6.5, deviation 7 / sqrt(2) = 4.95.
  CHECK(has(page, "- taught minus plain: **+6.5** points ± 4.9 over seeds, mean over 2 targets, 2 seeds; does teaching "
                  "pay? foretold yes 2, right 2; no 2, right 1\n"));
  CHECK(has(page, "- weighted minus plain: **+5.0** points ± 0.0 over seeds, mean over 1 target, 2 seeds\n"));
  // Against those who are taught, who train nothing, or who start elsewhere, the forecast says nothing.
  CHECK(has(page, "- taught minus weighted: **+5.5** points ± 0.7 over seeds, mean over 1 target, 2 seeds\n"));
  CHECK(has(page, "- taught minus tuned: **+10.5** points ± 0.7 over seeds, mean over 1 target, 2 seeds\n"));
  CHECK(has(page, "- taught minus probe: **+10.5** points ± 0.7 over seeds, mean over 1 target, 2 seeds\n"));
}
