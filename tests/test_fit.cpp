// What akin fit decides before it trains, and its bank.
#include "distill/fit/fit_plan.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "distill/fit/model_bank.hpp"
#include "tests/pipeline_case.hpp"
#include "tests/small_nets.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Images of classes 0 .. counts.size() - 1, so many of each, and `unlabelled` more.
std::shared_ptr<const TargetImages> images_of(const std::vector<int>& counts, std::int64_t unlabelled) {
  ImageSet train;
  std::int64_t n = 0;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    train.classes.push_back("class" + std::to_string(c));
    for (int i = 0; i < counts[c]; ++i) train.labels.push_back(static_cast<int>(c));
    n += counts[c];
  }
  std::mt19937 random(std::random_device{}());
  const auto fill = [&](Array& a) {
    for (std::uint8_t& v : a.as<std::uint8_t>()) v = static_cast<std::uint8_t>(random());
  };
  train.images = Array(DType::u8, {n, 8, 8, 3});
  fill(train.images);
  ImageSet test = train, more;
  more.classes = train.classes;
  if (unlabelled > 0) {
    more.images = Array(DType::u8, {unlabelled, 8, 8, 3});
    fill(more.images);
  }
  return target_images(train, test, more);
}

}  // namespace

TEST_CASE("fit: every labelled picture is learnt from or held out, a fifth of each class, and none is both") {
  const std::vector<int> counts{12, 3, 2, 1, 40};
  const auto images = images_of(counts, 7);
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{5}}) {
    LabelManifest m = fit_labels(*images, seed);
    const Task task = make_task(images, m);
    CHECK_EQ(task.split.labelled.size() + task.split.validation.size(), 58u);
    CHECK_EQ(task.split.unlabelled.size(), 7u);
    std::set<std::int64_t> all;
    std::map<int, int> held_out;
    for (const Indices* part : {&task.split.labelled, &task.split.validation, &task.split.unlabelled})
      all.insert(part->begin(), part->end());
    CHECK_EQ(all.size(), 65u);
    for (const std::int64_t i : task.split.validation) ++held_out[task.labels[static_cast<std::size_t>(i)]];
    CHECK(held_out == std::map<int, int>{{0, 2}, {1, 1}, {4, 8}});
  }
  CHECK(make_task(images, fit_labels(*images, 0)).split.validation !=
        make_task(images, fit_labels(*images, 1)).split.validation);
  CHECK_THROWS_WITH_AS(fit_labels(*images_of({2, 2}, 3), 0), doctest::Contains("no class has three labelled pictures"),
                       Error);
  CHECK_THROWS_WITH_AS(fit_labels(*images_of({4, 0}, 3), 0), doctest::Contains("'class1' has no labelled picture"),
                       Error);
}

TEST_CASE("fit: pictures of equal pixels are all learnt from or all held out") {
  ImageSet train;
  train.classes = {"a", "b"};
  train.images = Array(DType::u8, {48, 4, 4, 1});
  for (int i = 0; i < 48; ++i) {  // each picture three times
    train.labels.push_back(i < 24 ? 0 : 1);
    auto pixels = train.images.as<std::uint8_t>();
    for (int p = 0; p < 16; ++p)
      pixels[static_cast<std::size_t>(16 * i + p)] = static_cast<std::uint8_t>(7 * (i / 3) + p);
  }
  const auto images = target_images(train, train);
  for (const std::uint64_t seed : {0u, 1u, 2u}) {
    const LabelManifest m = fit_labels(*images, seed);
    std::set<std::int64_t> learnt, held_out;
    for (const ListedImages& part : m.labelled)
      for (const std::int64_t i : part.images) learnt.insert(i / 3);
    for (const ListedImages& part : m.validation) {
      CHECK_EQ(part.images.size(), 3u);  // of 24 at most 5
      for (const std::int64_t i : part.images) held_out.insert(i / 3);
    }
    CHECK_EQ(learnt.size() + held_out.size(), 16u);
    CHECK_EQ(held_out.size(), 2u);
  }
}

TEST_CASE("fit: a picture under two labels is learnt from or held out under both") {
  ImageSet train;
  train.classes = {"a", "b"};
  train.images = Array(DType::u8, {20, 4, 4, 1});
  for (int i = 0; i < 20; ++i) {  // the first five of a class are those of the other
    train.labels.push_back(i < 10 ? 0 : 1);
    auto pixels = train.images.as<std::uint8_t>();
    for (int p = 0; p < 16; ++p)
      pixels[static_cast<std::size_t>(16 * i + p)] = static_cast<std::uint8_t>(9 * (i % 10 < 5 ? i % 10 : i) + p);
  }
  const auto images = target_images(train, train);
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const LabelManifest m = fit_labels(*images, seed);
    std::set<std::int64_t> held_out;
    for (const ListedImages& part : m.validation) held_out.insert(part.images.begin(), part.images.end());
    CHECK_EQ(held_out.size(), 4u);
    for (std::int64_t i = 0; i < 5; ++i) CHECK_EQ(held_out.contains(i), held_out.contains(i + 10));
  }
}

TEST_CASE("fit: grey pictures and networks for colour go together where they can") {
  Bench b;
  const auto colour = images_of({9, 9}, 6);
  std::vector<Source> grey;
  for (const std::string& file : b.sources) grey.push_back(open_source(b.ctx, file));
  REQUIRE_EQ(grey.front().model.info.architecture.channels, 1);
  CHECK_EQ(smallest_start(b.ctx, grey, 8, 8, 3), -1);
  const FitPlan plan = plan_fit(b.ctx, *colour, grey, b.sources, fit_settings(), 0);
  CHECK_EQ(plan.settings.student, "resnet8");
  // A probe of grey networks for pictures in colour, and all that is taught by it.
  const TempFolder folder;
  b.settings = plan.settings;
  b.settings.steps = 3;
  b.options.run_folder = folder / "run";
  const Grid grid = single_grid({.name = "toy", .load = [&] { return colour; }}, plan.labels, b.sources, plan.methods,
                                {0}, b.settings);
  CHECK(run_pipeline(b.ctx, grid, b.options, b.events).finished);
  CHECK_EQ(load_model(b.ctx, folder / "run/students/probe-seed0.safetensors").info.architecture.channels, 1);
}

TEST_CASE("fit: the student starts from the bank's cheapest network, and a run of it delivers what validation chose") {
  Bench b;
  const std::vector<Source> sources = [&] {
    std::vector<Source> all;
    for (const std::string& file : b.sources) all.push_back(open_source(b.ctx, file));
    return all;
  }();
  FitPlan plan = plan_fit(b.ctx, *b.images, sources, b.sources, fit_settings(), 3);
  CHECK_EQ(plan.settings.student, "init");
  CHECK_EQ(plan.settings.steps, 1200);
  CHECK(plan.seconds > 0);
  CHECK(plan.memory_bytes > b.images->pool.images.numel());
  CHECK(plan.disk_bytes > 0);
  CHECK_EQ(plan.labelled + plan.validation, 60);
  // Both sources are of one network and differ in their heads; the one of fewer classes is cheaper.
  CHECK_EQ(plan.start, "source3");
  CHECK(plan.methods == std::vector<Method>{Method::scratch, Method::probe, Method::probe_cv, Method::probe_taught});

  TempFolder folder;
  b.methods = plan.methods;
  b.settings = plan.settings;
  b.settings.steps = 5;
  b.seeds = {0};
  b.options.run_folder = folder / "run";
  const Grid grid = single_grid({.name = "toy", .load = [&] { return b.images; }}, plan.labels, b.sources, b.methods,
                                b.seeds, b.settings);
  const ReportData r = run_pipeline(b.ctx, grid, b.options, b.events).report;
  double best = -1;
  for (const MethodResult& m : r.methods) {
    const Figures& f = m.seeds.front();
    CAPTURE(m.name);
    CHECK(f.parameters > 0);
    CHECK(f.multiply_adds > 0);
    CHECK(f.file_bytes > 0);
    CHECK(f.ms_per_image > 0);
    if (m.name != "ProbeCV") best = std::max(best, f.val_accuracy);
  }
  const std::map<std::string, std::string> files{
      {"Scratch", "scratch"}, {"LinearProbe", "probe"}, {"ProbeTaught", "probe-taught"}};
  REQUIRE(files.contains(r.delivered));
  CHECK(read_file(folder / "run/student.safetensors") ==
        read_file(folder / ("run/students/" + files.at(r.delivered) + "-seed0.safetensors")));
  const auto delivered =
      std::find_if(r.methods.begin(), r.methods.end(), [&](const MethodResult& m) { return m.name == r.delivered; });
  CHECK_EQ(delivered->seeds.front().val_accuracy, best);
  CHECK_EQ(r.validation_images, plan.validation);
  CHECK_EQ(r.test_images, 24);

  // Without a bank.
  const FitPlan alone = plan_fit(b.ctx, *images_of({9, 9}, 6), {}, {}, fit_settings(), 0);
  CHECK_EQ(alone.settings.student, "resnet8");
  CHECK(alone.methods == std::vector<Method>{Method::scratch, Method::fixmatch});
}

TEST_CASE("fit: teachers need no unlabelled pictures, they can answer for the labelled ones") {
  Bench b;
  b.methods = {Method::weighted, Method::probe_taught};
  const auto images = target_images(toy_set(60, 4, 1), toy_set(24, 4, 2));
  TempFolder folder;
  b.options.run_folder = folder / "run";
  const Grid grid = single_grid({.name = "toy", .load = [&] { return images; }}, fit_labels(*images, 0), b.sources,
                                b.methods, {0}, b.settings);
  const ReportData r = run_pipeline(b.ctx, grid, b.options, b.events).report;
  CHECK_EQ(r.unlabelled, 0);
  CHECK_EQ(r.methods.size(), 2u);
}

TEST_CASE("bank: models are copied in as they are, listed by name, and never replaced by accident") {
  Bench b;
  const TempFolder folder;
  const auto bank = folder / "bank";
  CHECK(bank_files(bank).empty());
  const auto place = add_to_bank(b.ctx, b.sources[0], bank, "", false);
  CHECK_EQ(place.filename().string(), "source4.safetensors");
  CHECK(read_file(place) == read_file(b.sources[0]));
  CHECK_THROWS_WITH_AS(add_to_bank(b.ctx, b.sources[0], bank, "", false), doctest::Contains("is there already"), Error);
  add_to_bank(b.ctx, b.sources[1], bank, "source4", true);
  CHECK(read_file(place) == read_file(b.sources[1]));
  add_to_bank(b.ctx, b.sources[0], bank, "another", false);
  write_file_atomic(bank / "notes.txt", std::string_view("x"));
  REQUIRE_EQ(bank_files(bank).size(), 2u);
  const BankModel m = read_bank_model(b.ctx, bank_files(bank)[0]);
  CHECK_EQ(m.name, "another");
  CHECK(m.cost.parameters > 0);
  write_file_atomic(folder / "broken.safetensors", std::string_view("no model"));
  CHECK_THROWS_AS(add_to_bank(b.ctx, folder / "broken.safetensors", bank, "", false), Error);
  CHECK_EQ(bank_files(bank).size(), 2u);

  for (const char* name : {"AKIN_BANK", "XDG_DATA_HOME", "HOME"}) ::unsetenv(name);
  CHECK(default_bank().empty());
  ::setenv("HOME", "/home/me", 1);
  CHECK_EQ(default_bank().string(), "/home/me/.local/share/akin/bank");
  ::setenv("XDG_DATA_HOME", "/data", 1);
  CHECK_EQ(default_bank().string(), "/data/akin/bank");
  ::setenv("AKIN_BANK", "nets", 1);
  CHECK_EQ(default_bank().string(), "nets");
}
