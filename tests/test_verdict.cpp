#include "distill/report/verdict.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/io/json.hpp"
#include "tests/report_example.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using akin::test::has;
using akin_test::example_run;

namespace {

MethodResult method(const char* name, MethodRole role, double validation, double test, std::int64_t cost) {
  Figures f;
  f.val_accuracy = validation;
  f.test_accuracy = test;
  f.parameters = f.multiply_adds = cost;
  f.file_bytes = 4 * cost;
  f.ms_per_image = 1e-3 * static_cast<double>(cost);
  return {name, role, {f}};
}

/// A probe that is best, and a taught student that is not.
ReportData run_with_probe() {
  ReportData d;
  d.classes = {"a", "b", "c", "d"};
  d.validation_images = 40;
  d.test_images = 160;
  d.methods = {method("Scratch", MethodRole::labels_only, 0.30, 0.35, 1000),
               method("LinearProbe", MethodRole::reference, 0.80, 0.75, 90000),
               method("ProbeCV", MethodRole::reference, 0.90, 0.80, 180000),
               method("ProbeTaught", MethodRole::taught, 0.60, 0.55, 1000)};
  d.student = "ProbeTaught";
  d.delivered = "LinearProbe";
  d.agreement = {40, 48, 16, 56};
  return d;
}

std::string all_lines(const ReportData& d) {
  std::string text;
  for (const std::string& line : verdict_lines(d)) text += line + "\n";
  return text;
}

}  // namespace

TEST_CASE("Wilson's interval is that of scipy's binomtest(k, n).proportion_ci(method='wilson')") {
  struct Row {
    int right;
    std::int64_t n;
    double low, high;
  };
  for (const Row& r : {Row{7, 10, 0.39677814746114526, 0.892208732593699}, Row{0, 5, 0.0, 0.43448246478317476},
                       Row{160, 160, 0.9765538048284947, 1.0}}) {
    const auto [low, high] = wilson_interval(static_cast<double>(r.right) / static_cast<double>(r.n), r.n);
    CHECK_EQ(low, doctest::Approx(r.low).epsilon(1e-12));
    CHECK_EQ(high, doctest::Approx(r.high).epsilon(1e-12));
  }
  CHECK(std::isnan(wilson_interval(0.5, 0).first));
}

TEST_CASE("the sign test is the exact binomial one, by counting outcomes") {
  for (std::int64_t a = 0; a <= 9; ++a)
    for (std::int64_t b = 0; b <= 9; ++b) {
      const std::int64_t n = a + b, low = std::min(a, b);
      double as_far = 0;
      for (std::int64_t outcome = 0; outcome < (std::int64_t{1} << n); ++outcome) {
        const std::int64_t heads = __builtin_popcountll(static_cast<unsigned long long>(outcome));
        as_far += std::min(heads, n - heads) <= low ? 1 : 0;
      }
      CHECK_EQ(sign_test(a, b), doctest::Approx(as_far / static_cast<double>(std::int64_t{1} << n)).epsilon(1e-12));
    }
  CHECK(sign_test(700, 500) < 1e-7);
  CHECK(sign_test(100000, 100000) == 1);
}

TEST_CASE("validation chooses among what has a file, and of equals the cheapest") {
  ReportData d = run_with_probe();
  CHECK_EQ(best_by_validation(d.methods, {true, true, true, true}), 2);
  CHECK_EQ(best_by_validation(d.methods, {true, true, false, true}), 1);
  d.methods[3].seeds[0].val_accuracy = 0.80;  // as the probe
  CHECK_EQ(best_by_validation(d.methods, {true, true, false, true}), 3);
  for (MethodResult& m : d.methods) m.seeds[0].val_accuracy = not_measured;
  CHECK_EQ(best_by_validation(d.methods, {true, true, true, true}), -1);
}

TEST_CASE("the verdict names what to take, how sure that is, what a small one gives, and whether teaching paid") {
  const std::string text = all_lines(run_with_probe());
  CAPTURE(text);
  CHECK(text.starts_with("Take LinearProbe (student.safetensors): 75.0 % of 160 test pictures right (95 % interval "));
  CHECK(has(text, "guessing 25.0 %"));
  CHECK(has(text, "chosen by 40 validation pictures, of which it gets 80.0 % right"));
  CHECK(has(text, "So few choose roughly"));
  CHECK(has(text, "best small one is ProbeTaught with 55.0 %: 1/90 of the numbers, 1/90 of the multiply-adds"));
  CHECK(has(text, "Teaching paid: ProbeTaught gets 55.0 %"));
  CHECK(has(text, "48 are right with teaching alone, 16 without it alone: more than chance does (p = "));

  ReportData d = run_with_probe();
  d.agreement = {40, 20, 18, 82};
  d.methods[3].seeds[0].test_accuracy = 0.34;
  d.validation_images = 400;
  d.delivered = "ProbeTaught";
  const std::string other = all_lines(d);
  CAPTURE(other);
  CHECK(has(other, "Take ProbeTaught"));
  CHECK(has(other, "Whether teaching paid these pictures cannot tell"));
  CHECK(has(other, "chance can do as much"));
  CHECK_FALSE(has(other, "best small one"));
  CHECK_FALSE(has(other, "So few"));
  d.agreement = {40, 10, 48, 62};
  CHECK(has(all_lines(d), "Teaching did not pay"));
  d.methods[3].seeds[0].test_accuracy = 0.28;
  CHECK(has(all_lines(d), "cannot tell that from going without looking"));

  // Of unequal classes the commonest is said for nothing.
  d.confusions = {{"ProbeTaught", 0, 4, {95, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0}}};
  d.methods[3].seeds[0].test_accuracy = 0.95;
  CHECK(has(all_lines(d), "always saying the commonest class 95.0 %"));
  CHECK(has(all_lines(d), "cannot tell that from going without looking"));

  // Nothing chose it.
  for (MethodResult& m : d.methods) m.seeds[0].val_accuracy = not_measured;
  d.validation_images = 0;
  const std::string unchosen = all_lines(d);
  CAPTURE(unchosen);
  CHECK_FALSE(has(unchosen, "Take "));
  CHECK(has(unchosen, "student.safetensors is ProbeTaught, the last method named"));

  // As quick by chance is no saving, nor is fewer numbers with more work.
  ReportData same = run_with_probe();
  same.methods[1].seeds[0].parameters = same.methods[1].seeds[0].multiply_adds = 1000;
  same.methods[1].seeds[0].ms_per_image = 9;
  CHECK_FALSE(has(all_lines(same), "best small one"));
  same.methods[1].seeds[0].parameters = 9000;
  same.methods[1].seeds[0].multiply_adds = 500;
  CHECK_FALSE(has(all_lines(same), "best small one"));
  same.methods[1].seeds[0].multiply_adds = 2000;
  CHECK(has(all_lines(same), "1/9 of the numbers, 50 % of the multiply-adds, 1/9 of the time"));

  d.delivered.clear();
  CHECK(verdict_lines(d).empty());
}

TEST_CASE("what models cost stands beside what they reach, on the page and in the report's file") {
  ReportData d = run_with_probe();
  const std::string table = cost_table(d);
  CAPTURE(table);
  CHECK(has(table, ">  LinearProbe"));
  CHECK(has(table, "180k"));
  CHECK(has(table, "720kB"));
  ReportData slow = d;
  slow.methods[1].seeds[0].ms_per_image = 123.4;
  CHECK(has(cost_table(slow), " 123\n"));
  const std::string page = render_report(d);
  CHECK(has(page, "What they cost to run"));
  CHECK(has(page, "<h1>Take LinearProbe</h1>\n<p>75.0 % of 160 test pictures right (95 % interval "));
  CHECK_FALSE(has(page, "Taught by other tasks"));  // the verdict has said it
  ReportData seeds = d;
  seeds.seeds = {0, 1};
  CHECK(has(render_report(seeds), "<p>Taught by other tasks, the student gets 55.0"));
  const ReportData again = report_from_json(report_to_json(d), "r");
  CHECK_EQ(cost_table(again), table);
  CHECK_EQ(all_lines(again), all_lines(d));

  const std::string old = render_report(example_run());  // of an akin that measured no costs
  CHECK_FALSE(has(old, "What they cost to run"));
  const auto json = nlohmann::json::parse(results_json(d));
  CHECK_EQ(json["delivered"], "LinearProbe");
  CHECK_EQ(json["methods"][0]["seeds"][0]["parameters"], 1000);
  CHECK(nlohmann::json::parse(results_json(example_run()))["methods"][0]["seeds"][0]["parameters"].is_null());
}
