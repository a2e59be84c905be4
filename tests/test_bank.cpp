// The bank that akin trains itself: characters and data sets, kept while recipe and data are the same.
#include <doctest/doctest.h>

#include "distill/demo/bank.hpp"
#include "distill/demo/digits.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("a bank: characters and data sets, kept while the recipe is the same") {
  Context ctx;
  const TempFolder folder;
  save_images(toy_set(30, 3, 1, 1, 28), Split::train, folder / "data/fashion");
  save_images(toy_set(12, 3, 2, 1, 28), Split::test, folder / "data/fashion");
  BankOptions o;
  o.folder = folder / "bank";
  o.data = folder / "data";
  o.glyphs = {"digits"};
  o.images = 40;
  o.test_images = 20;
  o.side = 12;
  o.settings.student_width = 4;
  o.settings.epochs = 1;
  o.settings.batch = 10;
  std::string lines;
  int steps = 0;
  Events events;
  events.stage = [&](const std::string& line) { lines += line + "\n"; };
  events.progress = [&](const std::string&, std::int64_t, std::int64_t, const std::string&, const std::string&) {
    ++steps;
  };
  const auto make = [&] {
    std::vector<std::string> missing;
    lines.clear();
    steps = 0;
    const auto files = make_bank(ctx, o, events, missing);
    CHECK_EQ(missing, std::vector<std::string>{"cifar10"});
    return files;
  };
  const auto files = make();
  REQUIRE_EQ(files.size(), 2);
  CHECK_EQ(files[0], folder / "bank/digits.safetensors");
  CHECK_EQ(files[1], folder / "bank/fashion.safetensors");
  CHECK_EQ(steps, 4 + 3);
  const Model digits = load_model(ctx, files[0]);
  CHECK_EQ(digits.info.architecture.classes, 10);
  CHECK_EQ(digits.info.height, 12);
  CHECK(digits.info.test_accuracy >= 0);
  const auto before = files_of(o.folder);
  CHECK_EQ(make(), files);
  CHECK_EQ(steps, 0);
  CHECK(has(lines, "source digits: there from an earlier run"));
  CHECK(files_of(o.folder) == before);
  o.settings.warmup = 1;  // another recipe
  make();
  CHECK_EQ(steps, 7);
  // Other images under the same name are another data set; the same ones again are not.
  const ImageSet first = toy_set(30, 3, 1, 1, 28);
  ImageSet other = first;
  std::swap(other.labels[0], other.labels[1]);
  for (const ImageSet& set : {other, first}) {
    save_images(set, Split::train, folder / "data/fashion");
    make();
    CHECK_EQ(steps, 3);
    CHECK(has(lines, "source digits: there from an earlier run"));
    CHECK_FALSE(has(lines, "source fashion: there"));
    save_images(set, Split::train, folder / "data/fashion");
    make();
    CHECK_EQ(steps, 0);
  }
  // A source's file is the one that was made, not another of the bank.
  const Bytes good = read_file(files[0]);
  std::filesystem::copy_file(files[1], files[0], std::filesystem::copy_options::overwrite_existing);
  make();
  CHECK_EQ(steps, 4);
  CHECK(has(lines, "digits.safetensors is not the file that was made by it"));
  CHECK(read_file(files[0]) == good);
  std::string mark = read_text(folder / "bank/digits.recipe");
  mark[mark.find("\"side\"") + 9] = '9';
  write_file_atomic(folder / "bank/digits.recipe", std::string_view(mark));
  lines.clear();
  make();
  CHECK_EQ(steps, 4);
  CHECK_MESSAGE(has(lines, "digits.recipe"), lines);
  std::filesystem::remove(folder / "bank/digits.recipe");
  make();
  CHECK_EQ(steps, 4);
  std::filesystem::remove(folder / "bank/fashion.safetensors");
  events.stop = [&] { return true; };
  CHECK(make().empty());
  CHECK_FALSE(std::filesystem::exists(folder / "bank/fashion.safetensors"));
  // Stopped on the way, a source goes on from there, and is to the bit the one that was not stopped.
  events.stop = {};
  make();
  const Bytes whole = read_file(files[1]);
  std::filesystem::remove(files[1]);
  events.stop = [&] { return steps == 2; };
  CHECK(make().empty());
  CHECK(std::filesystem::exists(folder / "bank/fashion.checkpoint"));
  events.stop = {};
  make();
  CHECK_EQ(steps, 1);
  CHECK(read_file(files[1]) == whole);
  CHECK_FALSE(std::filesystem::exists(folder / "bank/fashion.checkpoint"));
  // Not where it was another one, or is damaged.
  for (const bool damaged : {false, true}) {
    events.stop = [&] { return steps == 2; };
    std::filesystem::remove(files[1]);
    CHECK(make().empty());
    if (damaged) write_file_atomic(folder / "bank/fashion.checkpoint", std::string_view("no checkpoint"));
    events.stop = {};
    o.settings.seed += damaged ? 0 : 1;
    if (!damaged) o.glyphs.clear();
    make();
    CHECK_EQ(steps, 3);
    CHECK_EQ(has(lines, "source fashion is trained anew"), damaged);
  }
  o.glyphs.clear();
  o.data = folder / "nowhere";
  std::vector<std::string> missing;
  CHECK(has(error_of([&] { make_bank(ctx, o, {}, missing); }), "no source"));
}

TEST_CASE("the demo looks at its target before it makes a bank, and keeps a bank that was stopped") {
  Context ctx;
  const TempFolder folder;
  DemoOptions d = demo_options();
  d.data = folder / "data";
  save_images(toy_set(60, 3, 1, 1, 28), Split::train, folder / "data/mnist");
  save_images(toy_set(12, 3, 2, 1, 28), Split::test, folder / "data/mnist");
  d.seeds = {0};
  d.methods = {Method::scratch, Method::equal};
  d.unlabelled = 20;
  d.validation = 3;
  d.bank.glyphs = {"digits"};
  d.bank.images = 40;
  d.bank.test_images = 10;
  d.bank.side = 12;
  d.bank.settings.student_width = d.settings.student_width = 4;
  d.bank.settings.epochs = 1;
  d.bank.settings.batch = 10;
  d.bank.settings.warmup = 0;
  d.settings.steps = 2;
  d.settings.replicates = 0;
  PipelineOptions place{.run_folder = folder / "run"};
  int opened = 0;
  place.opened = [&](const Task&) { ++opened; };
  d.labels_per_class = 1000;
  CHECK(has(error_of([&] { run_demo(ctx, d, place, {}); }), "1000"));
  CHECK_EQ(opened, 0);
  CHECK_FALSE(std::filesystem::exists(folder / "run"));
  d.labels_per_class = 2;
  int steps = 0;
  Events events;
  events.progress = [&](const std::string& label, std::int64_t, std::int64_t, const std::string&, const std::string&) {
    steps += label.starts_with("source ") ? 1 : 0;
  };
  events.stop = [&] { return steps == 3; };
  CHECK_FALSE(run_demo(ctx, d, place, events).finished);
  events.stop = {};
  CHECK(run_demo(ctx, d, place, events).finished);
  CHECK_EQ(steps, 4);
}
