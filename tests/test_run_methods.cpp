// Runs of all methods, and of one that needs no more than a table of features.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/methods_case.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("probe-taught: a table of features without a head teaches, and nothing else has to be there") {
  Bench b;
  const TempFolder folder;
  b.how.steps = 30;
  const auto images = target_images(toy_set(90, 4, 1), toy_set(40, 4, 2));
  make_folder(folder / "table");
  write_npy(folder / "table/features.npy", source_outputs(b.ctx, b.sources[0], whole_pool(images)).features);
  LabelManifest labels;
  labels.draw = {.labels_per_class = 4, .unlabelled = 40, .validation = 0};
  const auto run = [&](const std::vector<Method>& all, const std::string& out) {
    const Grid grid = single_grid({.name = "toy", .load = [&] { return images; }}, labels,
                                  {(folder / "table").string()}, all, {0}, b.how);
    return run_pipeline(b.ctx, grid, {.run_folder = folder / out, .cache = folder / "cache"}, {});
  };
  const PipelineResult r = run({Method::scratch, Method::probe_taught}, "run");
  const Figures& f = r.report.methods.back().seeds[0];
  CHECK(f.test_accuracy > 0.25 + 4 * 0.07);
  CHECK(f.teacher_cv_accuracy > 0.25);
  CHECK(std::isnan(f.teacher_accuracy));  // a table says nothing of test images
  const Model student = load_model(b.ctx, folder / "run/student.safetensors");
  CHECK_EQ(student.info.architecture.taught_share, doctest::Approx(1 - b.how.lambda));
  CHECK_EQ(evaluate_model(b.ctx, student, toy_set(40, 4, 2)), f.test_accuracy);
  CHECK(has(error_of([&] { run({Method::weighted}, "w"); }), "has features and no head"));
  CHECK(has(error_of([&] { run({Method::probe_cv}, "p"); }), "asks a table"));
  b.how.teacher_view = "same";
  CHECK(has(error_of([&] { run({Method::probe_taught}, "v"); }), "--teacher-view clean"));
}

TEST_CASE("a run with all methods: the oracle is its best single student, and everything is kept on resume") {
  Bench b;
  const TempFolder folder;
  b.how.steps = 8;
  std::vector<std::string> files;
  for (const Source& s : b.sources) {
    files.push_back((folder / (s.name + ".safetensors")).string());
    save_model(files.back(), *s.model.network, s.model.info);
  }
  std::vector<Method> all;
  for (const MethodTraits& m : methods()) all.push_back(m.method);
  const auto images = target_images(toy_set(90, 4, 1), toy_set(40, 4, 2));
  LabelManifest labels;
  labels.draw = {.labels_per_class = 4, .unlabelled = 40, .validation = 12};
  const Grid grid = single_grid({.name = "toy", .load = [&] { return images; }}, labels, files, all, {0, 1}, b.how);
  PipelineOptions o{.run_folder = folder / "run", .cache = folder / "cache"};
  int steps = 0;
  Events events;
  events.progress = [&](const std::string&, std::int64_t, std::int64_t, const std::string& unit, const std::string&) {
    steps += unit == "steps";
  };
  const auto make = [&](std::uint64_t seed) {
    LabelManifest own = labels;
    own.draw.seed = seed;
    return make_task(images, own);
  };
  const PipelineResult r = run_pipeline(b.ctx, grid, o, events);
  REQUIRE(r.finished);
  CHECK_EQ(steps, 2 * (13 + 3) * 8);  // the probes take no steps, the oracle three students
  CHECK_EQ(r.report.methods.size(), 16);
  const std::string oracle = read_text(folder / "run/oracle.csv");
  CHECK_EQ(std::count(oracle.begin(), oracle.end(), '\n'), 1 + 2 * 3);
  for (std::size_t i = 0; i < 2; ++i) {
    double best = 0;
    for (const char* name : {"narrow4", "narrow3", "wide"}) {
      Model m = load_model(b.ctx, folder / "run" / fmt::format("students/oracle-seed{}-{}.safetensors", i, name));
      best = std::max(best, m.info.test_accuracy);
    }
    CHECK_EQ(r.report.methods.back().seeds[i].test_accuracy, best);
    const Model chosen = load_model(b.ctx, folder / "run" / fmt::format("students/oracle-seed{}.safetensors", i));
    CHECK_EQ(chosen.info.test_accuracy, best);
    // The split of each seed, to be used again.
    LabelManifest m = read_manifest(folder / "run" / fmt::format("labels-seed{}.json", i), {});
    const Task again = make_task(images, m);
    CHECK(again.target == make(i).target);
    CHECK(again.split.validation == make(i).split.validation);
  }
  // Headline and rivals: neither the oracle nor a larger network counts.
  const Contest contest = contest_of(r.report);
  REQUIRE(contest.strongest != nullptr);
  CHECK(contest.strongest->role != MethodRole::reference);
  const auto before = files_of(folder.path());
  o.resume = true;
  steps = 0;
  CHECK(run_pipeline(b.ctx, grid, o, events).finished);
  CHECK_EQ(steps, 0);
  for (const auto& [name, content] : files_of(folder.path()))
    CHECK_MESSAGE((before.contains(name) && before.at(name) == content), name);
}
