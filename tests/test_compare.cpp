#include "distill/report/compare.hpp"

#include <doctest/doctest.h>

#include "engine/io/json.hpp"
#include "tests/report_example.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using akin::test::has;
using akin_test::large_run;

namespace {

std::vector<NamedRun> two_runs(double first, double second, std::int64_t images = 100) {
  std::vector<NamedRun> runs{{"a", large_run(10)}, {"b", large_run(10)}};
  for (NamedRun& run : runs) run.data.test_images = images;
  runs[0].data.methods[2].seeds[0].test_accuracy = first;  // LinearProbe, which they hand over
  runs[1].data.methods[2].seeds[0].test_accuracy = second;
  return runs;
}

std::string lines_of(const std::vector<NamedRun>& runs) {
  std::string text;
  for (const std::string& line : comparison_lines(runs)) text += line + "\n";
  return text;
}

const char* const kResults =
    "target,budget,seed,variant,method,test_last\n"
    "birds,five,0,scratch,scratch,0.40\nbirds,five,1,scratch,scratch,0.42\nbirds,five,0,best one,oracle,0.9\n"
    "birds,five,0,taught,weighted,0.50\nbirds,five,1,taught,weighted,0.54\n"
    "pets,five,0,scratch,scratch,0.30\npets,five,0,taught,weighted,0.20\n";

}  // namespace

TEST_CASE("a run is ahead only where the intervals lie apart") {
  // Wilson for 90 and 70 of 100: 82.6 to 94.5, 60.4 to 78.1; for 75: 65.7 to 82.5.
  std::string text = lines_of(two_runs(0.7, 0.9));
  CHECK(text.starts_with("b is ahead: 90.0"));
  CHECK(has(text, "lie apart"));
  text = lines_of(two_runs(0.84, 0.9));
  CHECK(text.starts_with("These runs do not tell which is better"));
  CHECK(has(text, "intervals overlap"));
  CHECK(has(text, "b hands over LinearProbe with 90.0"));
  text = lines_of(two_runs(0.1, 0.9, -1));
  CHECK(text.starts_with("These runs do not tell"));
  CHECK(has(text, "do not say how many test images"));

  std::vector<NamedRun> others = two_runs(0.1, 0.9);
  others[1].data.test_images = 50;
  CHECK(has(lines_of(others), "b was tested on 50 images, a on 100"));
  CHECK_FALSE(has(lines_of(others), "ahead"));
  others[1].data.classes.front() = "another";
  CHECK(has(lines_of(others), "b has other classes than a"));
  others = two_runs(0.1, 0.9);
  others[1].data.delivered.clear();
  CHECK(has(lines_of(others), "Fewer than two"));
}

TEST_CASE("settings are compared by table and name; the run's own place is none") {
  std::vector<NamedRun> runs = two_runs(0.7, 0.9);
  CHECK(differing_settings(runs).empty());
  CHECK(has(comparison_text(runs), "Their settings are the same."));
  CHECK(has(render_comparison(runs), "Their settings are the same."));
  runs[0].data.config = "[fit]\n# out = 3\nsteps = 100\nout = \"a\"\n[other]\nsteps = 5\n";
  runs[1].data.config = "[fit]\nsteps = 200\nout = \"b\"\ntitle = \"x = y\"\n[other]\nsteps = 5\n";
  runs[1].data.labelled = 10;
  const std::vector<SettingDifference> rows = differing_settings(runs);
  REQUIRE_EQ(rows.size(), 3);
  CHECK_EQ(rows[0].name, "fit.steps");
  CHECK_EQ(rows[0].values, std::vector<std::string>{"100", "200"});
  CHECK_EQ(rows[1].name, "fit.title");
  CHECK_EQ(rows[1].values, std::vector<std::string>{"", "\"x = y\""});
  CHECK_EQ(rows[2].name, "labelled images");
  CHECK(has(comparison_text(runs), "fit.steps"));
  CHECK(has(render_comparison(runs), "fit.<wbr>steps</th><td>100</td><td>200</td>"));
}

TEST_CASE("every method of every run stands there with its interval and its cost, and every source") {
  std::vector<NamedRun> runs = two_runs(0.7, 0.9);
  runs[1].data.sources.resize(1);
  const std::string text = comparison_text(runs);
  CAPTURE(text);
  CHECK(has(text, "82.6 to 94.5"));
  CHECK(has(text, ">  b    LinearProbe"));
  CHECK(has(text, "26.4M"));
  CHECK(has(text, "similarity"));
  CHECK(has(text, "imagenet_5"));
  const Json j = Json::parse(comparison_json(runs));
  CHECK_EQ(j["runs"].size(), 2);
  CHECK_EQ(j["runs"][1]["run"], "b");
  CHECK_EQ(j["runs"][1]["methods"].size(), runs[1].data.methods.size());
  runs[0].name = "<script>";
  CHECK_FALSE(has(render_comparison(runs), "<script>"));
}

TEST_CASE(
    "an experiment's page has means over targets that all have, spread over seeds, and no oracle among the best") {
  const std::string page = render_experiment(
      "grid", kResults, "target,budget,seed,source,parc\nbirds,five,0,net,0.25\nbirds,five,1,net,-0.75\n", "e");
  CHECK(has(page, "2 targets, 3 variants, 1 label budget, 2 seeds"));
  CHECK(has(page, "Budget five: the largest mean over all targets has taught, 36.0 %."));
  CHECK(has(page, "41.0<span class=\"under\">± 1.4</span>"));
  CHECK(has(page, "1 of 2"));  // the oracle has one target
  CHECK(has(page, "52.0 ± 2.8"));
  CHECK(has(page, "−0.25"));
  CHECK_FALSE(has(page, "nan"));
  CHECK(has(render_experiment("grid", kResults, "", "e"), "Target by target"));
}

TEST_CASE("a table that is not akin's is refused with its name") {
  const auto message = [](const std::string& results, const std::string& sources = "") {
    try {
      render_experiment("grid", results, sources, "runs/e");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(has(message(""), "runs/e/results.csv: is empty"));
  CHECK(has(message("target,budget\n"), "has no column seed"));
  CHECK(has(message("target,budget,seed,variant,method,test_last\n"), "no cell of the experiment has finished"));
  CHECK(has(message("target,budget,seed,variant,method,test_last\na,b\n"), "line 2: 2 cells, expected 6"));
  CHECK(has(message(kResults, "x\n"), "runs/e/sources.csv: has no column target"));
}
