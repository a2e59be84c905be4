// What a run says of its inputs before it trains, and of those that change while it trains.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include "distill/similarity/ranking.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/pipeline_case.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

void save_other(const TrainedClassifier& c, const fs::path& file) { save_model(file, *c.model.network, c.model.info); }

/// Features of the pool's images that tell the classes apart.
Outputs perfect_table(const Bench& b) {
  const ImageSet& pool = b.images->pool;
  const std::int64_t n = pool.images.shape()[0];
  Outputs table{Array(DType::f32, {n, 4}), Array(DType::f32, {n, 4})};
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    const auto label = static_cast<std::size_t>(pool.labels[i]);
    table.features.as<float>()[4 * i + label] = 3 + std::sin(static_cast<float>(i)) / 50;
    table.logits.as<float>()[4 * i + label] = 3;
  }
  return table;
}

}  // namespace

TEST_CASE("run inputs: another --init while a run uses it is refused, and the old one goes on") {
  Bench b;
  const TempFolder folder;
  b.methods = {Method::scratch, Method::fixmatch};
  b.seeds = {0};
  const fs::path init = folder / "init.safetensors";
  const TrainedClassifier first = toy_source(b.ctx, 4, 11), second = toy_source(b.ctx, 4, 12);
  save_other(first, init);
  b.settings.init = init.string();
  const std::map<std::string, Bytes> wanted = [&] {
    b.run(folder / "sound");
    return students_of(folder / "sound");
  }();
  CHECK(has(b.lines, "see images normalised as the target's are"));
  const auto count = b.events.progress;
  b.events.progress = [&](const auto&... told) {
    count(told...);
    if (b.steps == 2) save_other(second, init);
  };
  const std::string error = error_of([&] { b.run(folder / "run"); });
  CAPTURE(error);
  CHECK(has(error, "init.safetensors: --init was changed while this run uses it"));
  b.events.progress = count;
  save_other(first, init);
  b.options.resume = true;
  b.run(folder / "run");
  CHECK(students_of(folder / "run") == wanted);
}

TEST_CASE("run inputs: another --reference while a run uses it, and one that can be read once only") {
  Bench b;
  const TempFolder folder;
  const fs::path file = folder / "reference.safetensors";
  save_other(toy_source(b.ctx, 4, 11), file);
  RankOptions options;
  options.reference = file;
  options.files = std::make_shared<FileDigests>();
  const std::string first = options.files->of(file);
  CHECK_EQ(first, digest_of_model(file));
  CHECK(reference_outputs(b.ctx, b.task(0), options, {}).has_value());
  save_other(toy_source(b.ctx, 4, 12), file);
  CHECK_EQ(options.files->of(file), first);
  CHECK(has(error_of([&] { reference_outputs(b.ctx, b.task(0), options, {}); }), "--reference was changed"));
  REQUIRE_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  CHECK(has(error_of([&] { options.files->of(folder / "pipe"); }), "is a pipe or a device, which can be read once"));
}

TEST_CASE("run inputs: a probe that would ask a table is refused before anything is trained") {
  Bench b;
  const TempFolder folder;
  b.methods = {Method::scratch, Method::probe_cv};
  b.seeds = {0};
  const std::vector<std::string> models = b.sources;
  b.sources.clear();
  b.add_table(perfect_table(b));
  CHECK(has(error_of([&] { b.run(folder / "tables"); }), "asks a table whichever source it chooses"));
  CHECK_EQ(b.steps, 0);
  const auto untrained = make_network(
      b.ctx,
      {.name = "resnet8", .width = 4, .channels = 1, .classes = 3});  // tells little, so that the table is chosen
  initialize(untrained->parameters(), 1);
  save_model(b.bank / "weak.safetensors", *untrained, {});
  b.sources.push_back((b.bank / "weak.safetensors").string());
  CHECK(has(error_of([&] { b.run(folder / "mixed"); }), "asks a table of the target's training images"));
  CHECK_EQ(b.steps, 0);
  b.sources = models;
  b.run(folder / "models");
  CHECK(b.steps > 0);
}

TEST_CASE("run inputs: a source without a head is told what it can do") {
  Bench b;
  const TempFolder folder;
  b.methods = {Method::weighted};
  Outputs headless = perfect_table(b);
  SafeTensors file;
  file.add("features", headless.features);
  b.sources = {(b.bank / "headless.safetensors").string()};
  write_safetensors(b.sources[0], file);
  const std::string error = error_of([&] { b.run(folder / "run"); });
  CHECK(has(error, "has features and no head"));
  CHECK(has(error, "--methods probe-taught"));
  b.methods = {Method::probe_taught};
  b.seeds = {0};
  CHECK(b.run(folder / "taught").finished);
}

TEST_CASE("run inputs: sources whose students' files differ in case alone") {
  Bench b;
  const TempFolder folder;
  b.seeds = {0};
  fs::copy_file(b.sources[1], b.bank / "SOURCE4.safetensors");
  b.sources[1] = (b.bank / "SOURCE4.safetensors").string();
  b.methods = {Method::equal};
  b.run(folder / "equal");  // no file is called by a source
  b.methods = {Method::scratch, Method::oracle};
  CHECK(has(error_of([&] { b.run(folder / "oracle"); }), "does not tell case"));
  CHECK_EQ(b.steps, 0);
}
