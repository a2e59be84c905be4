// Experiments on toy targets: what a file asks for is what runs, nothing runs twice, and the tables are the cells'.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "distill/grid/tables.hpp"
#include "tests/experiment_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

double mean(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += x / static_cast<double>(v.size());
  return sum;
}

double deviation(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += (x - mean(v)) * (x - mean(v)) / static_cast<double>(v.size() - 1);
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE_FIXTURE(ExperimentFixture,
                  "a grid runs once; its tables are what its cells say; a seed more costs a seed more") {
  const Grid e = read(all());
  const GridOutcome first = run(e);
  CAPTURE(lines);
  REQUIRE(first.finished);
  CHECK_EQ(first.failed.size(), 0);
  // Target one has three sources with a head, two has two: 6 methods + the variant, of them one oracle.
  const std::size_t cells = 2 * (6 + 3) + 2 * (6 + 2);
  CHECK_EQ(first.cells, cells);
  CHECK_EQ(first.ran, cells);
  CHECK_EQ(steps, 2 * (5 + 3) * 5 + 2 * (5 + 2) * 5);  // the probe takes none
  const auto results = table_of(folder / "run/results.csv");
  CHECK_EQ(results.size(), 1 + 2 * 2 * 7);

  // Numbers computed again from the cells' own files.
  const auto value = [&](const std::string& cell, const char* key) {
    return nlohmann::json::parse(read_text(folder / "run/cells" / (cell + ".json")))["result"][key];
  };
  std::map<std::string, std::vector<double>> accuracy;  // by target/variant, in the order of the seeds
  for (std::size_t i = 1; i < results.size(); ++i) {
    const auto at = [&](const char* name) { return results[i][column(results, name)]; };
    const std::string place = at("target") + "/three/" + at("variant") + "-seed" + at("seed");
    if (at("method") != "oracle") {
      CHECK_EQ(std::stod(at("test_last")), value(place, "test_last").get<double>());
      CHECK_EQ(std::stod(at("test_best")), value(place, "test_best").get<double>());
      CHECK_EQ(at("top_source"), value(place, "top_source").get<std::string>());
    } else {
      double best = -1, seconds = 0;
      for (const char* s : {"four", "three", "table"}) {
        if (at("target") == "two" && std::string(s) == "table") continue;
        best = std::max(best, value(place + "@" + s, "test_last").get<double>());
        seconds += value(place + "@" + s, "seconds").get<double>();
      }
      CHECK_EQ(std::stod(at("test_last")), best);
      CHECK(std::abs(std::stod(at("seconds")) - seconds) <= 1e-9 * seconds);
    }
    CHECK_EQ(at("labelled"), "12");
    CHECK_EQ(at("unlabelled"), "20");
    const double v = std::stod(at("test_last")) * 24;  // test images
    CHECK(std::abs(v - std::round(v)) <= 1e-9);
    accuracy[at("target") + "/" + at("variant")].push_back(std::stod(at("test_last")));
  }
  const std::string page = read_text(folder / "run/results.md");
  CAPTURE(page);
  for (const auto& [key, seeds] : accuracy) {
    REQUIRE_EQ(seeds.size(), 2);
    CHECK(has(page, fmt::format("{:.1f} ± {:.1f} (2)", 100 * mean(seeds), 100 * deviation(seeds))));
  }
  for (const char* rival : {"transfer", "fixmatch"}) {
    std::vector<double> gaps;
    for (std::size_t k = 0; k < 2; ++k)
      gaps.push_back((accuracy["one/weighted"][k] - accuracy["one/" + std::string(rival)][k] +
                      accuracy["two/weighted"][k] - accuracy["two/" + std::string(rival)][k]) /
                     2);
    CHECK(
        has(page, fmt::format("weighted minus {}: **{:+.1f}** points ± {:.1f} over seeds, mean over 2 targets, 2 seeds",
                              rival, 100 * mean(gaps), 100 * deviation(gaps))));
  }
  CHECK(has(page, "oracle (analysis only)"));
  CHECK(has(page, fmt::format("{:.1f} |\n", 50 * (mean(accuracy["one/scratch"]) + mean(accuracy["two/scratch"])))));

  // sources.csv: each source's metrics, and what its student did.
  const auto sources = table_of(folder / "run/sources.csv");
  CHECK_EQ(sources.size(), 1 + 2 * 3 + 2 * 2);
  for (std::size_t i = 1; i < sources.size(); ++i) {
    const auto at = [&](const char* name) { return sources[i][column(sources, name)]; };
    CHECK_EQ(std::stod(at("student_test_last")),
             value(at("target") + "/three/oracle-seed" + at("seed") + "@" + at("source"), "test_last").get<double>());
    for (const char* m : {"parc", "cka", "leep"}) CHECK(std::isfinite(std::stod(at(m))));
  }
  // The split of each seed lies there.
  const LabelManifest used = read_manifest(folder / "run/labels/one/three/seed1.json", {});
  CHECK(used.fixed());

  SUBCASE("again: nothing runs, and nothing is looked at anew") {
    const auto before = files_of(folder / "run");
    const GridOutcome again = run(e);
    CHECK(again.finished);
    CHECK_EQ(again.ran, 0);
    CHECK_EQ(steps + outputs, 0);
    CHECK(files_of(folder / "run") == before);
  }
  SUBCASE("a seed and a variant more: only those run") {
    const Grid more = read(replaced(all(), "[0, 1]", "[0, 1, 7]"));
    const GridOutcome o = run(more);
    CHECK_EQ(o.ran, cells / 2);
    CHECK_EQ(outputs, 0);  // the sources have spoken about all images
    const Grid variant = read(replaced(all(), "[[variants]]",
                                       "[[variants]]\nname=\"hot\"\nmethod=\"nearest\"\n"
                                       "temperature=2\n[[variants]]"));
    CHECK_EQ(run(variant).ran, 4);
    CHECK_EQ(table_of(folder / "run/results.csv").size(), 1 + 2 * 2 * 8);
  }
  SUBCASE("changed settings: the cells that they concern are stale, and no other") {
    const auto stale = [&](const std::string& text) {
      std::map<std::string, int> out;
      for (const auto& c : survey_grid(ctx, read(text), options).cells)
        if (c.state == GridSurvey::Cell::State::stale) {
          ++out[c.label.substr(c.label.rfind(", ") + 2)];
          CHECK_FALSE(c.changed.empty());
        }
      return out;
    };
    CHECK(stale(all()).empty());
    CHECK(stale(replaced(all(), "p = 1", "p = 2")) == std::map<std::string, int>{{"weighted-p1", 4}});
    CHECK_EQ(stale(replaced(all(), "batch = 8", "batch = 9")).count("probe"), 0);
    CHECK_EQ(stale(replaced(all(), "batch = 8", "batch = 9"))["scratch"], 4);
    CHECK_EQ(stale(replaced(all(), "flip = \"none\"", "flip = \"v\""))["scratch"], 2);   // target two
    CHECK_EQ(stale(replaced(all(), "validation = 2", "validation = 1")).size(), 6 + 3);  // all, the oracle's by source
    write_table(60);
    CHECK(stale(all()).empty());
    const Grid changed = read(replaced(all(), "lambda = 0.8", "lambda = 0.5"));
    const std::string e2 = error_of([&] { run(changed); });
    CHECK(has(e2,
              "4 of 34 cells were made with other settings or data: one/three/weighted-p1-seed0 (lambda was 0.8 and "
              "is 0.5)"));
    CHECK_EQ(steps, 0);
    options.redo_stale = true;
    CHECK_EQ(run(changed).ran, 4);
    CHECK_EQ(steps, 4 * 5);
  }
  SUBCASE("a damaged cell is made again; other metrics cost no training") {
    const auto before = results_of(folder / "run");
    write_file_atomic(folder / "run/cells/one/three/scratch-seed0.json", std::string_view("{"));
    CHECK_EQ(run(e).ran, 1);
    CHECK(results_of(folder / "run") == before);
    const GridOutcome o = run(read(replaced(all(), "\"leep\"", "\"leep\", \"nce\"")));
    CHECK_EQ(o.ran, 0);
    CHECK_EQ(steps, 0);
    CHECK_EQ(column(table_of(folder / "run/sources.csv"), "nce"), 7);
  }
}

TEST_CASE_FIXTURE(ExperimentFixture, "interrupted anywhere and started again: the results of a run that was not") {
  const Grid e = read(replaced(all(), "[0, 1]", "[3]"));
  CHECK(run(e).finished);
  const auto whole = results_of(folder / "run");
  const int total = steps;
  for (const int at : {0, 2, 17, 43}) {
    CAPTURE(at);
    options.place.folder = folder / fmt::format("run{}", at);
    events.stop = [&] { return steps == at; };
    CHECK_FALSE(run(e).finished);
    const int before = steps;
    events.stop = {};
    CHECK(run(e).finished);
    CHECK_EQ(steps + before, total);  // a stopped cell goes on from its checkpoint
    CHECK(results_of(options.place.folder) == whole);
    CHECK(read_text(options.place.folder / "sources.csv") == read_text(folder / "run/sources.csv"));
    CHECK_FALSE(std::filesystem::exists(options.place.folder / "checkpoints"));
  }
  // Killed without a word: what was finished stays.
  struct Killed {};
  options.place.folder = folder / "killed";
  const auto counted = events.progress;
  events.progress = [&](const std::string& l, std::int64_t d, std::int64_t t, const std::string& u,
                        const std::string& n) {
    counted(l, d, t, u, n);
    if (steps > 22) throw Killed();
  };
  CHECK_THROWS_AS(run(e), Killed);
  events.progress = counted;
  CHECK(run(e).finished);
  CHECK_EQ(steps, total - 20);  // four cells of five steps were done
  CHECK(results_of(options.place.folder) == whole);
}

TEST_CASE_FIXTURE(ExperimentFixture, "a filter runs its part; the rest follows, and all is as if there had been none") {
  const Grid e = read(all());
  const auto filtered = [&](const std::vector<std::string>& parts) {
    options.only = {};
    for (const std::string& p : parts) add_filter(options.only, p, e);
    return run(e);
  };
  CHECK_EQ(filtered({"target=two", "method=weighted"}).ran, 4);
  CHECK_EQ(filtered({"target=two", "variant=weighted", "seed=0"}).cells, 1);
  CHECK_EQ(filtered({"target=two", "variant=weighted", "variant=scratch", "seed=0"}).ran, 1);
  // A target whose data is not at hand stops nobody else.
  std::filesystem::rename(folder / "one", folder / "elsewhere");
  CHECK(filtered({"target=two"}).finished);
  CHECK_FALSE(error_of([&] { filtered({}); }).empty());
  std::filesystem::rename(folder / "elsewhere", folder / "one");
  CHECK(filtered({}).finished);
  const auto pieces = results_of(folder / "run");
  options.place.folder = folder / "whole";
  CHECK(filtered({}).finished);
  CHECK(results_of(folder / "whole") == pieces);
  CHECK(has(error_of([&] { filtered({"target=twoo"}); }), "no such target; did you mean 'two'?"));
  CHECK(has(error_of([&] { filtered({"colour=red"}); }), "expected target=NAME"));
  CHECK(has(error_of([&] { filtered({"seed=5"}); }), "no such seed"));
}
