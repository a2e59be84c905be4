// `auto`: LEEP or PARC by the labels and heads at hand, in one place, and every output says which and why.
#include "distill/similarity/metric_choice.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "distill/grid/origin.hpp"
#include "tests/experiment_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Two budgets on either side of the choice, methods that look at similarities and one that does not.
std::string auto_grid() {
  std::string text = ExperimentFixture::all();
  text = replaced(text, "seeds = [0, 1]", "seeds = [0]");
  text = replaced(text, "\"scratch\", \"transfer\", \"fixmatch\", \"probe\", \"weighted\", \"oracle\"",
                  "\"scratch\", \"nearest\", \"weighted\"");
  text = replaced(text, "metrics = [\"parc\", \"cka\", \"leep\"]\n", "");
  text = replaced(text, "flip = \"h\"\n", "flip = \"h\"\nmetric = \"auto\"\nreplicates = 20\n");
  text = replaced(text, "[[variants]]\nname = \"weighted-p1\"\nmethod = \"weighted\"\np = 1\nlambda = 0.8\n",
                  "[[budgets]]\nname = \"five\"\nper_class = 5\nunlabelled = 20\nvalidation = 2\n");
  return text;
}

Json cell_of(const std::filesystem::path& run, const std::string& name) {
  return Json::parse(read_text(run / "cells" / (name + ".json")));
}

}  // namespace

TEST_CASE("auto is LEEP below five labels a class where every source has a head, else PARC") {
  const std::vector<std::string> none, one = {"dino"}, two = {"dino", "clip"};
  for (const auto& [labelled, name] :
       {std::pair{10, "leep"}, {20, "leep"}, {49, "leep"}, {50, "parc"}, {500, "parc"}}) {
    CAPTURE(labelled);
    CHECK_EQ(choose_metric("auto", labelled, 10, none).name, name);
    CHECK_EQ(choose_metric("auto", labelled, 10, one).name, "parc");
    // Every other name stands for itself, and needs no reason.
    for (const char* other : {"parc", "leep", "cka", "parc:8"}) {
      CHECK_EQ(choose_metric(other, labelled, 10, none).name, other);
      CHECK(choose_metric(other, labelled, 10, one).why.empty());
    }
  }
  CHECK_EQ(choose_metric("auto", 20, 10, none).why,
           "auto chose LEEP: 2 labels a class, fewer than 5, and every source has a head");
  CHECK(has(choose_metric("auto", 49, 10, none).why, "4.9 labels a class"));
  CHECK_EQ(choose_metric("auto", 50, 10, none).why, "auto chose PARC: 5 labels a class, not fewer than 5");
  CHECK(has(choose_metric("auto", 20, 10, one).why, "LEEP needs the heads that dino lacks"));
  CHECK(has(choose_metric("auto", 20, 10, two).why, "LEEP needs the heads that dino and 1 more lack"));
  for (const std::string_view name : auto_metrics()) CHECK_EQ(find_metric(name).name, name);
  CHECK(has(error_of([] { find_metric("auto"); }), "stands for leep or parc"));
  CHECK(has(error_of([] { find_metric("plasticity:auto"); }), "stands for leep or parc"));
}

TEST_CASE_FIXTURE(ExperimentFixture, "a ranking by auto is that of the metric it stands for, to the bit") {
  std::vector<Source> sources;
  for (const char* name : {"four", "three"})
    sources.push_back(open_source(ctx, folder / (std::string(name) + ".safetensors")));
  const auto images = target_images(toy_set(60, 4, 1), toy_set(24, 4, 2));
  for (const auto& [k, name] : {std::pair{3, "leep"}, {5, "parc"}}) {
    CAPTURE(k);
    LabelManifest labels;
    labels.draw.labels_per_class = k;
    const Task task = make_task(images, labels);
    CHECK_EQ(count_labelled(*images, labels), static_cast<std::int64_t>(task.split.labelled.size()));
    const auto rank = [&](const char* metric) {
      return rank_sources(ctx, task, sources, {.metric = metric, .replicates = 20}, {}, 3);
    };
    const Ranking chosen = rank("auto"), named = rank(name);
    CHECK_EQ(chosen.metric.name, name);
    CHECK_FALSE(chosen.metric.why.empty());
    CHECK(named.metric.why.empty());
    CHECK_EQ(name_of(chosen.mapping), name_of(named.mapping));
    for (std::size_t s = 0; s < 2; ++s) {
      CHECK_EQ(chosen.rows[s].similarity.metric, name);
      CHECK_EQ(chosen.rows[s].similarity.value, named.rows[s].similarity.value);
      CHECK_EQ(chosen.rows[s].best_share, named.rows[s].best_share);
    }
    const std::string csv = similarity_csv(chosen.rows);
    CHECK(has(csv, "," + std::string(name) + ","));
    CHECK(has(csv, chosen.metric.why.substr(0, 20)));
    CHECK_FALSE(has(similarity_csv(named.rows), "auto chose"));
    // What counts is the images that are measured: 3 of the 5 a class.
    CHECK_EQ(rank_sources(ctx, task, sources, {.metric = "auto", .probe_limit = 12, .replicates = 20}, {}, 3).metric.name,
             "leep");
  }
}

TEST_CASE_FIXTURE(ExperimentFixture, "an experiment by auto: each cell depends on the metric that it stands for") {
  const GridOutcome first = run(read(auto_grid()));
  CAPTURE(lines);
  REQUIRE(first.finished);
  CHECK(first.failed.empty());
  // Target one has a table with a head, so LEEP is had by all.
  const auto metric = [&](const std::string& name) { return cell_of(folder / "run", name)["settings"]["metric"]; };
  CHECK_EQ(metric("one/three/nearest-seed0"), "leep");
  CHECK_EQ(metric("one/five/nearest-seed0"), "parc");
  CHECK_EQ(metric("two/three/weighted-seed0"), "leep");
  CHECK(has(cell_of(folder / "run", "one/three/weighted-seed0")["metric_why"].get<std::string>(), "3 labels a class"));
  CHECK_FALSE(cell_of(folder / "run", "one/three/scratch-seed0").contains("metric_why"));
  const std::string page = read_text(folder / "run/results.md");
  CHECK(has(page, "- one, three: auto chose LEEP: 3 labels a class, fewer than 5, and every source has a head\n"));
  CHECK(has(page, "- two, five: auto chose PARC: 5 labels a class, not fewer than 5\n"));
  CHECK_EQ(first.chosen_metrics.size(), 4);
  // Both are measured for every source.
  const auto sources = table_of(folder / "run/sources.csv");
  for (const char* name : {"leep", "parc"})
    for (std::size_t i = 1; i < sources.size(); ++i) CHECK(std::isfinite(std::stod(sources[i][column(sources, name)])));

  SUBCASE("again: nothing runs, nothing changes") {
    const auto before = files_of(folder / "run");
    CHECK_EQ(run(read(auto_grid())).ran, 0);
    CHECK(files_of(folder / "run") == before);
  }
  SUBCASE("the name instead of auto makes stale what auto had chosen otherwise, and no more") {
    const Grid named = read(replaced(auto_grid(), "\"auto\"", "\"leep\""));
    std::vector<std::string> stale;
    for (const auto& c : survey_grid(ctx, named, options).cells)
      if (c.state == GridSurvey::Cell::State::stale) {
        stale.push_back(c.label);
        CHECK_EQ(c.changed, "metric was \"parc\" and is \"leep\"");
      }
    CHECK_EQ(stale.size(), 2 * 2);
    for (const std::string& label : stale) CHECK(has(label, ", five, "));
    // What an experiment by name has finished, auto takes over; a table of some targets cannot tell, and says so.
    options.redo_stale = true;
    CHECK_EQ(run(named).ran, 4);
    options.only = {};
    add_filter(options.only, "budget=three", read(auto_grid()));
    CHECK_EQ(run(read(auto_grid())).ran, 0);
    CHECK(has(read_text(folder / "run/results.md"), "- one, five, seed 0, nearest: metric was \"leep\" and is \"auto\""));
    options.only = {};
    CHECK_EQ(run(read(auto_grid())).ran, 4);
  }
  SUBCASE("of another metric's cells no table is made") {
    options.redo_stale = true;
    REQUIRE_EQ(run(read(replaced(auto_grid(), "\"auto\"", "\"cka\""))).ran, 8);
    const Grid e = read(auto_grid());
    add_filter(options.only, "budget=five", e);
    CHECK_EQ(run(e).ran, 4);
    CHECK(
        has(read_text(folder / "run/results.md"), "- one, three, seed 0, nearest: metric was \"cka\" and is \"auto\""));
  }
  SUBCASE("a source without a head: PARC, also with few labels") {
    SafeTensors t = read_safetensors(folder / "tables/one.safetensors");
    SafeTensors bare;
    bare.add("features", t.at("features"));
    write_safetensors(folder / "tables/one.safetensors", bare);
    options.redo_stale = true;
    CHECK(run(read(auto_grid())).finished);
    CHECK_EQ(metric("one/three/nearest-seed0"), "parc");
    CHECK_EQ(metric("two/three/nearest-seed0"), "leep");
    CHECK(has(read_text(folder / "run/results.md"), "LEEP needs the heads that table lacks"));
  }
}
