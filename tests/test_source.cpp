// Task and sources: what the teachers say of the target's images, from models and from tables, with the cache.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "distill/similarity/measure.hpp"
#include "distill/task/outputs.hpp"
#include "engine/io/npy.hpp"
#include "engine/io/seal.hpp"
#include "kernels/common/rng.hpp"
#include "nn/data/image_set.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

Task toy_task(std::uint64_t seed = 0, std::int64_t channels = 1) {
  return make_task(toy_set(40, 3, 1, channels), toy_set(12, 3, 2, channels), {},
                   {.labels_per_class = 3, .unlabelled = 20, .validation = 4, .seed = seed});
}

struct Fixture {
  TempFolder folder;
  Context ctx;
  Task task = toy_task();
  std::filesystem::path path = folder / "digits.safetensors";
  Fixture() { save(1, 5); }
  void save(std::int64_t channels, std::uint64_t seed) {
    const auto net = make_network(ctx, {.name = "resnet8", .width = 4, .channels = channels, .classes = 6});
    initialize(net->parameters(), seed);
    ModelInfo info;
    info.normalization = {std::vector<float>(static_cast<std::size_t>(channels), 0.3f),
                          std::vector<float>(static_cast<std::size_t>(channels), 0.4f)};
    save_model(path, *net, info);
  }
};

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> out;
  if (!std::filesystem::exists(folder)) return out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

bool same(const Outputs& a, const Outputs& b) {
  return same_bits(a.features, b.features) && same_bits(a.logits, b.logits);
}

}  // namespace

TEST_CASE("task: target, probe and normalisation are those of the labelled and unlabelled images") {
  const Task t = toy_task();
  CHECK_EQ(t.split.labelled.size(), 9);
  CHECK_EQ(t.target.size(), 29);
  CHECK(std::is_sorted(t.target.begin(), t.target.end()));
  double mean = 0;
  for (const std::int64_t i : t.target)
    for (std::int64_t p = 0; p < 144; ++p)
      mean += t.pool().images.as<std::uint8_t>()[static_cast<std::size_t>(i * 144 + p)] / 255.0 / (29 * 144);
  CHECK(std::abs(mean - static_cast<double>(t.normalization.mean[0])) <= 1e-7);
  CHECK_EQ(probe_of(t), t.split.labelled);
  const Indices few = probe_of(t, 7);
  std::map<int, int> count;
  for (const std::int64_t i : few) ++count[t.labels[static_cast<std::size_t>(i)]];
  CHECK_EQ(few.size(), 7);
  for (int c = 0; c < 3; ++c) CHECK(count[c] >= 2);
}

TEST_CASE("task: an unlabelled split joins, is drawn from at random, and needs no rest of the training images") {
  const ImageSet train = toy_set(9, 3, 1), test = toy_set(6, 3, 2);
  ImageSet more = toy_set(50, 3, 3);
  more.labels.clear();
  const auto make = [&](std::int64_t unlabelled, std::int64_t per_class, std::uint64_t seed = 0) {
    return make_task(train, test, more, {.labels_per_class = per_class, .unlabelled = unlabelled, .seed = seed});
  };
  const Task all = make(0, 3);  // every training image is labelled
  CHECK_EQ(all.split.unlabelled.size(), 50);
  CHECK_EQ(all.split.unlabelled.front(), 9);
  CHECK_EQ(all.pool().labels[9], -1);
  CHECK_EQ(all.pool().images.shape()[0], 59);
  CHECK_EQ(make(0, 2).split.unlabelled.size(), 53);
  const Task some = make(20, 2), other = make(20, 2, 1);
  CHECK_EQ(some.split.unlabelled.size(), 20);
  CHECK_NE(some.split.unlabelled, other.split.unlabelled);
  CHECK(some.split.unlabelled.back() > 30);  // not the first ones: all below 31 has a chance below 1e-5
  for (const std::int64_t i : some.split.unlabelled)
    CHECK_FALSE(std::binary_search(some.split.labelled.begin(), some.split.labelled.end(), i));
  CHECK_THROWS_AS(make_task(train, test, {}, {.labels_per_class = 3}), Error);
  CHECK_THROWS_AS(make_task(train, toy_set(6, 3, 2, 1, 10), {}, {.labels_per_class = 1}), Error);
  CHECK_THROWS_AS(make_task(train, test, toy_set(6, 3, 2, 3), {.labels_per_class = 1}), Error);
}

TEST_CASE("a source has one name, however its path is spelt") {
  const TempFolder folder;
  const auto here = std::filesystem::current_path();
  make_folder(folder / "a/students");
  make_folder(folder / "b");
  std::filesystem::current_path(folder / "a");
  for (const char* path :
       {"model.safetensors", "./model.safetensors", "../a/model.safetensors", ".././a//model.safetensors",
        "students/../model.safetensors", "student.safetensors", ".", "./", "../a", "../a/", "../b/../a", "students/.."})
    CHECK_MESSAGE(source_name(path) == "a", path);
  CHECK_EQ(source_name((folder / "a/model.safetensors").string()), "a");
  CHECK_EQ(source_name("./student_best.safetensors"), "a_best");
  CHECK_EQ(source_name("students/scratch-seed0.safetensors"), "scratch-seed0");
  CHECK_EQ(last_name("."), "a");  // of data sets
  CHECK_EQ(last_name("../b/"), "b");
  CHECK_EQ(source_name("/model.safetensors"), "model");
  std::filesystem::current_path(here);
}

TEST_CASE_FIXTURE(Fixture, "a model and tables of its outputs say the same") {
  Source model = open_source(ctx, path);
  CHECK_EQ(model.name, "digits");
  CHECK_EQ(model.classes(), 6);
  CHECK_FALSE(model.is_table());
  const Outputs want = source_outputs(ctx, model, task);
  CHECK(want.logits.shape() == Shape{29, 6});
  const Outputs whole =
      run_network(ctx, *model.model.network, task.pool().images, all_indices(40), model.model.info.normalization);
  SafeTensors t;
  t.add("features", whole.features);
  t.add("logits", whole.logits);
  write_safetensors(folder / "table.safetensors", t);
  make_folder(folder / "tables");
  write_npy(folder / "tables/features.npy", whole.features.cast(DType::f64));
  write_npy(folder / "tables/logits.npy", whole.logits);
  for (const char* name : {"table.safetensors", "tables", "tables/"}) {
    CAPTURE(name);
    Source table = open_source(ctx, folder / name);
    CHECK(table.is_table());
    CHECK(table.name == std::string(name).substr(0, table.name.size()));
    CHECK_EQ(table.classes(), 6);
    const Outputs got = source_outputs(ctx, table, task);
    CHECK(got.logits.shape() == want.logits.shape());
    // One network, other batches: convolutions may sum in another order. Values are below 10, sums of up to 144 terms.
    for (std::size_t i = 0; i < static_cast<std::size_t>(want.logits.numel()); ++i)
      CHECK(std::abs(got.logits.as<float>()[i] - want.logits.as<float>()[i]) <= 1e-5f);
    for (std::size_t i = 0; i < static_cast<std::size_t>(want.features.numel()); ++i)
      CHECK(std::abs(got.features.as<float>()[i] - want.features.as<float>()[i]) <= 1e-5f);
  }
  const Probe p = make_probe(want, task, probe_of(task));
  CHECK(p.features.shape() == Shape{9, 16});
  CHECK_EQ(p.classes, 3);
  for (std::size_t i = 0; i < 9; ++i) {
    const std::int64_t image = task.split.labelled[i];
    CHECK_EQ(p.labels[i], task.labels[static_cast<std::size_t>(image)]);
    const auto row =
        static_cast<std::size_t>(std::find(task.target.begin(), task.target.end(), image) - task.target.begin());
    CHECK_EQ(p.features.as<float>()[i * 16 + 3], want.features.as<float>()[row * 16 + 3]);
    double sum = 0;
    for (std::size_t c = 0; c < 6; ++c) sum += static_cast<double>(p.probabilities.as<float>()[i * 6 + c]);
    CHECK(std::abs(sum - 1) <= 6 * 6e-8);
  }
  CHECK(has(error_of([&] { make_probe(want, task, task.split.validation); }), "not one of the target's"));
}

TEST_CASE_FIXTURE(Fixture, "wrong tables are refused with their name") {
  const auto error = [&](const Array& features, const Array& logits) {
    SafeTensors t;
    t.add("features", features);
    t.add("logits", logits);
    write_safetensors(folder / "table.safetensors", t);
    return error_of([&] {
      Source s = open_source(ctx, folder / "table.safetensors");
      source_outputs(ctx, s, task);
    });
  };
  const auto table = [](std::int64_t rows, std::int64_t columns) { return Array(DType::f32, {rows, columns}); };
  CHECK_EQ(error(table(40, 3), table(40, 5)), "");
  CHECK(has(error(table(39, 3), table(39, 5)), "source table: its table has 39 rows, the target 40"));
  CHECK(has(error(table(40, 3), table(39, 5)), "table.safetensors"));
  CHECK(has(error(Array(DType::f32, {40}), table(40, 5)), "features have shape [40], expected [rows, columns]"));
  CHECK(has(error(table(40, 3), Array(DType::f32, {40, 0})), "logits have shape [40, 0]"));
  Array bad = table(40, 3);
  bad.as<float>()[7] = NAN;
  for (const std::string& e : {error(bad, table(40, 5)), error(table(40, 5), bad)}) {
    CHECK(has(e, "table.safetensors"));
    CHECK(has(e, "nan"));
  }
  SafeTensors half;
  half.add("logits", table(40, 3));
  write_safetensors(folder / "half.safetensors", half);
  CHECK(has(error_of([&] { open_source(ctx, folder / "half.safetensors"); }), "holds logits without features"));
  make_folder(folder / "empty");
  CHECK(has(error_of([&] { open_source(ctx, folder / "empty"); }), "features.npy and"));
  CHECK(has(error_of([&] { open_source(ctx, folder / "none.safetensors"); }), "none.safetensors"));
}

TEST_CASE_FIXTURE(Fixture, "channels: refused with the remedy, matched on request, impossible ones said so") {
  save(3, 5);
  Source colour = open_source(ctx, path);
  const std::string e = error_of([&] { source_outputs(ctx, colour, task); });
  CHECK(has(e, "source digits expects colour images, the target's are grey"));
  CHECK(has(e, "--match-channels"));
  const Outputs matched = source_outputs(ctx, colour, task, {.match_channels = true});
  // Grey repeated three times, made here by hand.
  Array rgb(DType::u8, {40, 12, 12, 3});
  for (std::size_t i = 0; i < static_cast<std::size_t>(rgb.numel()); ++i)
    rgb.as<std::uint8_t>()[i] = task.pool().images.as<std::uint8_t>()[i / 3];
  CHECK(same(matched, run_network(ctx, *colour.model.network, rgb, task.target, colour.model.info.normalization,
                                  {.whole_batches = true})));
  const Task two = toy_task(0, 2);
  CHECK(has(error_of([&] { source_outputs(ctx, colour, two, {.match_channels = true}); }), "leave this source out"));
  save(1, 5);
  Source grey = open_source(ctx, path);
  CHECK(source_outputs(ctx, grey, two, {.match_channels = true}).logits.shape() == Shape{29, 6});
}

TEST_CASE_FIXTURE(Fixture, "the cache: used the second time, keyed by source, data, split and preprocessing") {
  const std::filesystem::path cache = folder / "cache/deep";
  const auto files = [&] { return files_in(cache).size(); };
  int runs = 0;
  std::string told;
  const OutputOptions options{.cache = cache,
                              .progress = [&](std::int64_t) { ++runs; },
                              .tell = [&](const std::string& line) { told += line; }};
  const auto outputs = [&](const Task& t) {
    Source s = open_source(ctx, path);
    runs = 0;
    return source_outputs(ctx, s, t, options);
  };
  const Outputs first = outputs(task);
  CHECK(runs > 0);
  CHECK_EQ(files(), 1);
  const std::filesystem::path file = files_in(cache)[0];
  const Bytes good = read_file(file);
  CHECK(same(outputs(task), first));
  CHECK_EQ(runs, 0);

  SUBCASE("a damaged, foreign or lying file is made anew") {
    const auto edited = [&](const std::function<void(SafeTensors&)>& edit) {
      SafeTensors t = parse_safetensors(good, "memory");
      edit(t);
      seal(t);
      return to_safetensors(t);
    };
    CHECK_EQ(told, "");
    const auto logits = [](SafeTensors& t) -> Array& {
      return t.tensors[t.tensors[0].first == "logits" ? 0 : 1].second;
    };
    std::vector<Bytes> bad = {Bytes(good.begin(), good.end() - 1),
                              Bytes(good.begin(), good.begin() + 9),
                              {},
                              edited([](SafeTensors& t) { t.tensors.pop_back(); }),
                              edited([&](SafeTensors& t) { logits(t).as<float>()[3] = NAN; }),
                              edited([&](SafeTensors& t) {
                                logits(t) = Array(DType::f32, {28, 6});
                              }),
                              edited([&](SafeTensors& t) { logits(t) = logits(t).cast(DType::f64); })};
    Rng rng(3, 0, 0);
    for (int i = 0; i < 24; ++i) {  // one bit of the numbers
      Bytes flipped = good;
      flipped[good.size() - 1 - rng.below(static_cast<std::uint32_t>(first.logits.byte_size()))] ^= 1u << rng.below(8);
      bad.push_back(flipped);
    }
    bad.push_back(edited([](SafeTensors& t) { t.metadata["key"] = "another source's"; }));
    bad.push_back(edited([](SafeTensors& t) { t.metadata.erase("format"); }));
    for (const Bytes& content : bad) {
      write_file_atomic(file, ByteView(content));
      told.clear();
      CHECK(same(outputs(task), first));
      CHECK(runs > 0);
      CHECK_MESSAGE(has(told, file.string()), told);
      CHECK(read_file(file) == good);
    }
  }
  SUBCASE("the outputs of two sources, exchanged") {
    save(1, 6);
    const Outputs second = outputs(task);
    const std::vector<std::filesystem::path> two = files_in(cache);
    REQUIRE_EQ(two.size(), 2);
    std::filesystem::rename(two[0], folder / "aside");
    std::filesystem::rename(two[1], two[0]);
    std::filesystem::rename(folder / "aside", two[1]);
    CHECK(same(outputs(task), second));
    CHECK(runs > 0);
    CHECK(has(told, "another source"));
  }
  SUBCASE("another split, other images, another source, another preprocessing") {
    outputs(toy_task(1));
    CHECK(runs > 0);
    CHECK_EQ(files(), 2);
    Task changed =
        make_task(toy_set(40, 3, 8), toy_set(12, 3, 2), {}, {.labels_per_class = 3, .unlabelled = 20, .validation = 4});
    outputs(changed);
    CHECK(runs > 0);
    CHECK_EQ(files(), 3);
    save(1, 6);
    CHECK_FALSE(same(outputs(task), first));
    CHECK(runs > 0);
    CHECK_EQ(files(), 4);
    Source s = open_source(ctx, path);
    s.model.info.normalization.mean[0] = 0.5f;
    runs = 0;
    source_outputs(ctx, s, task, options);
    CHECK(runs > 0);
    CHECK_EQ(files(), 5);
    outputs(task);
    CHECK_EQ(runs, 0);
  }
  SUBCASE("what is said of a file that does not say it itself") {
    const auto net = make_network(ctx, {.name = "mobilenet_v1", .width = 8, .channels = 1, .classes = 4});
    initialize(net->parameters(), 3);
    save_model(path, *net, {});
    SafeTensors bare = read_safetensors(path);
    bare.metadata.clear();
    write_safetensors(path, bare);
    std::vector<Outputs> all;
    for (const auto& [stem, mean] : {std::pair{"", 0.5f}, {"small", 0.5f}, {"small", 0.4f}}) {
      ModelInfo said;
      said.architecture = {.name = "mobilenet_v1", .stem = stem};
      said.normalization = {{mean}, {0.5f}};
      Source s = open_source(ctx, path, &said);
      runs = 0;
      all.push_back(source_outputs(ctx, s, task, options));
      CHECK(runs > 0);
    }
    CHECK_FALSE(same(all[0], all[1]));
    CHECK_FALSE(same(all[1], all[2]));
  }
  SUBCASE("a cache that cannot be written is told of by its name") {
    write_file_atomic(folder / "file", std::string_view("x"));
    Source s = open_source(ctx, path);
    std::string lines;
    source_outputs(ctx, s, task,
                   {.cache = folder / "file/cache", .tell = [&](const std::string& line) { lines += line; }});
    CHECK(has(lines, "are not kept"));
    CHECK(has(lines, (folder / "file/cache").string()));
  }
}

TEST_CASE_FIXTURE(Fixture, "the cache: what one device or precision computed serves no other") {
  const std::filesystem::path cache = folder / "cache";
  Context sim(Device::sim);
  const auto outputs = [&](Context& on) {
    bool ran = false;
    const Source s = open_source(on, path);
    const Outputs found = source_outputs(on, s, task, {.cache = cache, .progress = [&](std::int64_t) { ran = true; }});
    CHECK(ran);  // the first time
    ran = false;
    CHECK(same(found, source_outputs(on, s, task, {.cache = cache, .progress = [&](std::int64_t) { ran = true; }})));
    CHECK_FALSE(ran);
    return found;
  };
  sim.activations = DType::bf16;
  const Outputs half = outputs(sim);
  sim.activations = DType::f32;
  const Outputs full = outputs(sim), here = outputs(ctx);
  CHECK_FALSE(same(half, full));
  CHECK_EQ(files_in(cache).size(), 3);
  ctx.use_fast_paths = false;
  outputs(ctx);
  CHECK_EQ(files_in(cache).size(), 4);
}

TEST_CASE("the pool: training images, then the unlabelled ones, one label each") {
  const TempFolder folder;
  ImageSet set;
  set.images = Array::from(std::vector<std::uint8_t>(6 * 16, 3), {6, 4, 4, 1});
  set.labels = {0, 1, 0, 1, 0, 1};
  set.classes = {"a", "b"};
  save_images(set, Split::train, folder / "data");
  set.images = Array::from(std::vector<std::uint8_t>(3 * 16, 9), {3, 4, 4, 1});
  set.labels.clear();
  save_images(set, Split::unlabeled, folder / "data");
  const ImageSet pool = load_pool(folder / "data");
  REQUIRE(pool.images.shape() == Shape{9, 4, 4, 1});
  CHECK_EQ(pool.images.as<std::uint8_t>()[6 * 16 - 1], 3);
  CHECK_EQ(pool.images.as<std::uint8_t>()[6 * 16], 9);
  CHECK(pool.labels == std::vector<int>{0, 1, 0, 1, 0, 1, -1, -1, -1});
}
