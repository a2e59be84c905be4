// What sources say of pictures: of the originals, whatever the student's size, and of each the same, whatever stands
// beside it.
#include "distill/task/outputs.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "distill/task/output_cache.hpp"
#include "engine/io/file.hpp"
#include "nn/classifier.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/pictures.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;
namespace fs = std::filesystem;

namespace {

bool same(const Outputs& a, const Outputs& b) {
  return same_bits(a.features, b.features) && same_bits(a.logits, b.logits);
}

/// A model as a source that looks at pictures of side x side.
Source source_of(Context& ctx, const std::string& name, std::int64_t side, std::int64_t width = 8,
                 std::int64_t channels = 3) {
  Source s;
  s.name = name;
  s.hash = name + std::to_string(side);
  s.model.network = make_network(ctx, {.name = name, .width = width, .channels = channels, .classes = 5});
  initialize(s.model.network->parameters(), 3);
  ModelInfo& info = s.model.info;
  info.architecture = s.model.network->architecture();
  info.height = info.width = side;
  info.normalization = {std::vector<float>(static_cast<std::size_t>(channels), 0.4f),
                        std::vector<float>(static_cast<std::size_t>(channels), 0.3f)};
  return s;
}

/// Two classes of pictures of several sizes, and a test split.
void write_set(const fs::path& folder, std::uint64_t seed, int each = 6) {
  for (const char* split : {"train", "test"})
    for (const char* name : {"a", "b"}) {
      make_folder(folder / split / name);
      for (int i = 0; i < each; ++i, ++seed)
        write_png(folder / split / name / (std::to_string(i) + ".png"),
                  picture(40 + static_cast<int>(seed % 3) * 9, 50 + static_cast<int>(seed % 5) * 4, 3, seed));
    }
}

struct Counted {
  std::int64_t pictures = 0;  ///< run by the last call
  OutputOptions options;
  explicit Counted(const fs::path& cache, std::int64_t at_once = 0) {
    options.cache = cache;
    options.at_once = at_once;
  }
  Outputs operator()(Context& ctx, const Source& s, const ImageSet& set, const Indices& index) {
    std::int64_t first = -1, last = -1;
    options.progress = [&](std::int64_t done) {
      if (first < 0) first = done;
      last = done;
    };
    Outputs out = outputs_of(ctx, s, set, index, options);
    pictures = first < 0 ? 0 : last - first;
    return out;
  }
};

std::size_t files_in(const fs::path& folder) {
  std::size_t n = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) n += entry.is_regular_file();
  return n;
}

}  // namespace

TEST_CASE("a source of a known size sees the pictures as their files have them") {
  const TempFolder folder;
  Context ctx;
  write_set(folder / "set", 1);
  const Source s = source_of(ctx, "resnet8", 36);
  const ImageSet small = load_images(folder / "set", Split::train, {.height = 16, .width = 16});
  const Indices all = all_indices(small.images.shape()[0]);
  const Outputs seen = outputs_of(ctx, s, small, all);

  const ImageSet whole = load_images(folder / "set", Split::train, {.height = 36, .width = 36});
  const Outputs wanted = run_model(ctx, s.model, whole.images, all),
                shrunk = run_model(ctx, s.model, small.images, all);
  for (const auto& [a, b] : {std::pair{&seen.features, &wanted.features}, std::pair{&seen.logits, &wanted.logits}})
    for (std::size_t i = 0; i < a->as<float>().size(); ++i)
      CHECK(a->as<float>()[i] == doctest::Approx(b->as<float>()[i]).epsilon(1e-4));
  CHECK_FALSE(same_bits(seen.logits, shrunk.logits));

  SUBCASE("as the model's file says: another crop is another picture") {
    Source middle = source_of(ctx, "resnet8", 36);
    middle.model.info.fit.crop = 0.8;
    CHECK_FALSE(same_bits(outputs_of(ctx, middle, small, all).logits, seen.logits));
  }
  SUBCASE("in its own colours, where a student sees grey") {
    const ImageSet grey = load_images(folder / "set", Split::train, {.height = 16, .width = 16, .channels = 1});
    CHECK(same(outputs_of(ctx, s, grey, all, {.match_channels = true}), seen));
    CHECK(has(error_of([&] { outputs_of(ctx, s, grey, all); }), "expects colour images, the target's are grey"));
  }
  SUBCASE("one that says no size sees the set's images") {
    const Source any = source_of(ctx, "resnet8", 0);
    CHECK(same(outputs_of(ctx, any, small, all), outputs_of(ctx, source_of(ctx, "resnet8", 16), small, all)));
  }
  SUBCASE("parts of a set, and pools of two, keep theirs") {
    const Indices some{5, 2, 9};
    const Outputs part = outputs_of(ctx, s, pick_images(small, some), all_indices(3));
    CHECK(same(part, {pick_rows(seen.features, some), pick_rows(seen.logits, some)}));
    make_folder(folder / "set/unlabelled");
    write_png(folder / "set/unlabelled/x.png", picture(44, 61, 3, 77));
    const ImageSet pool = load_pool(folder / "set", {.height = 16, .width = 16});
    REQUIRE_EQ(pool.originals.size(), std::ssize(all) + 1);
    Indices order = all;
    CHECK(same(outputs_of(ctx, s, pool, order), seen));
  }
  SUBCASE("a held-out test split") {
    fs::rename(folder / "set/train", folder / "flat");
    const auto sets = load_splits(folder / "flat", {Split::train, Split::test}, {.height = 16, .width = 16});
    const auto whole_sets = load_splits(folder / "flat", {Split::train, Split::test}, {.height = 36, .width = 36});
    for (std::size_t k = 0; k < 2; ++k) {
      const Indices own = all_indices(sets[k].images.shape()[0]);
      CHECK(same(outputs_of(ctx, s, sets[k], own), outputs_of(ctx, s, whole_sets[k], own)));
    }
  }
  SUBCASE("a file that is gone meanwhile is told") {
    fs::remove(folder / "set/train/a/3.png");
    CHECK(has(error_of([&] { outputs_of(ctx, s, small, all); }), "a/3.png"));
  }
  SUBCASE("a set of one file, brought to another size") {
    save_images(whole, Split::train, folder / "packed");
    const ImageSet packed = load_images(folder / "packed", Split::train, {.height = 16, .width = 16});
    CHECK(same(outputs_of(ctx, s, packed, all), outputs_of(ctx, s, whole, all)));
    CHECK(load_images(folder / "packed", Split::train).originals.empty());
  }
}

TEST_CASE("equal pictures give equal bits, whatever stands beside them and in whatever order") {
  Context ctx;
  ImageSet set;
  set.images = Array(DType::u8, {11, 32, 32, 3});
  for (int i = 0; i < 11; ++i)
    std::memcpy(set.images.bytes() + i * 3072, picture(32, 32, 3, static_cast<std::uint64_t>(i)).bytes(), 3072);
  for (const auto& [name, width] :
       {std::pair{"resnet8", 8}, std::pair{"resnet20", 16}, std::pair{"mobilenet_v1", 8}, std::pair{"mobilenet_v2", 0},
        std::pair{"mobilenet_v3_small", 0}, std::pair{"resnet18", 0}, std::pair{"squeezenet1_1", 0}}) {
    CAPTURE(name);
    const Source s = source_of(ctx, name, 32, width);
    const Outputs all = outputs_of(ctx, s, set, all_indices(11));
    for (const Indices& index : {Indices{3}, Indices{10, 0, 4, 4, 7}, Indices{10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}})
      for (const std::int64_t at_once : {std::int64_t{0}, std::int64_t{2}})
        CHECK(same(outputs_of(ctx, s, set, index, {.at_once = at_once}),
                   {pick_rows(all.features, index), pick_rows(all.logits, index)}));
  }
}

TEST_CASE("the cache answers for every picture that was asked before, by whoever and in whatever set") {
  const TempFolder folder;
  Context ctx;
  write_set(folder / "set", 1);
  const Source s = source_of(ctx, "resnet8", 36);
  Counted ask(folder / "cache");
  const ImageSet train = load_images(folder / "set", Split::train, {.height = 16, .width = 16});
  const Outputs few = ask(ctx, s, train, {0, 1, 2});
  CHECK_EQ(ask.pictures, 3);
  const Outputs more = ask(ctx, s, train, {5, 1, 4, 0});
  CHECK_EQ(ask.pictures, 2);
  CHECK(same_bits(pick_rows(more.features, {1, 3}), pick_rows(few.features, {1, 0})));
  const Outputs without = outputs_of(ctx, s, train, Indices{5, 1, 4, 0});
  CHECK(same(more, without));

  SUBCASE("another size of the student, another folder, another name") {
    const ImageSet other = load_images(folder / "set", Split::train, {.height = 24, .width = 20});
    CHECK(same(ask(ctx, s, other, {5, 1, 4, 0}), without));
    CHECK_EQ(ask.pictures, 0);
    fs::rename(folder / "set", folder / "moved");
    fs::rename(folder / "moved/train/a/5.png", folder / "moved/train/a/new.png");
    const ImageSet moved = load_images(folder / "moved", Split::train, {.height = 16, .width = 16});
    CHECK(same(ask(ctx, s, moved, {5, 1, 4, 0}), without));
    CHECK_EQ(ask.pictures, 0);
  }
  SUBCASE("a changed picture is another one") {
    write_png(folder / "set/train/a/1.png", picture(40, 50, 3, 999));
    ask(ctx, s, train, {5, 1, 4, 0});
    CHECK_EQ(ask.pictures, 1);
  }
  SUBCASE("another source, and the same one that looks otherwise, are others") {
    Source other = source_of(ctx, "resnet8", 36);
    other.hash = "other";
    ask(ctx, other, train, {0, 1, 2});
    CHECK_EQ(ask.pictures, 3);
    Source middle = source_of(ctx, "resnet8", 36);
    middle.model.info.fit.crop = 0.875;
    ask(ctx, middle, train, {0, 1, 2});
    CHECK_EQ(ask.pictures, 3);
  }
  SUBCASE("a picture that is there twice is run once") {
    fs::copy_file(folder / "set/train/a/3.png", folder / "set/train/b/7.png");
    const ImageSet again = load_images(folder / "set", Split::train, {.height = 16, .width = 16});
    const Outputs out = ask(ctx, s, again, {3, 12, 8, 3});
    CHECK_EQ(ask.pictures, 2);
    CHECK(same_bits(pick_rows(out.logits, {0, 0}), pick_rows(out.logits, {1, 3})));
    CHECK(same(out, outputs_of(ctx, s, again, Indices{3, 12, 8, 3})));
  }
  SUBCASE("what was done when a person stopped is kept") {
    Counted slow(folder / "stopped", 2);
    slow.options.progress = [](std::int64_t done) {
      if (done > 4) throw Error("stopped");
    };
    CHECK(has(error_of([&] { outputs_of(ctx, s, train, all_indices(12), slow.options); }), "stopped"));
    ask.options.cache = folder / "stopped";
    CHECK(same(ask(ctx, s, train, all_indices(12)), outputs_of(ctx, s, train, all_indices(12))));
    CHECK_EQ(ask.pictures, 8);
  }
  SUBCASE("where it cannot be written, that is told once, and what it has is read") {
    const fs::path own = fs::directory_iterator(folder / "cache")->path();
    const std::size_t before = files_in(own);
    Source other = source_of(ctx, "resnet8", 36);
    other.hash = "other";
    ask(ctx, other, train, {0});
    for (const auto& entry : fs::directory_iterator(folder / "cache"))
      if (entry.path() != own) {  // a file where its folder must be
        fs::remove_all(entry.path());
        write_file_atomic(entry.path(), std::string_view("x"));
      }
    std::vector<std::string> told;
    Counted each(folder / "cache", 1);
    each.options.tell = [&](const std::string& line) { told.push_back(line); };
    CHECK(same(each(ctx, other, train, {0, 1, 2}), outputs_of(ctx, other, train, Indices{0, 1, 2})));
    REQUIRE_EQ(told.size(), 1);
    CHECK(has(told[0], "warning: outputs of resnet8 are not kept for later commands: "));
    CHECK(same(each(ctx, s, train, {5, 1, 4, 0}), without));
    CHECK_EQ(each.pictures, 0);
    CHECK_EQ(told.size(), 1);
    CHECK_EQ(files_in(own), before);
  }
  SUBCASE("it is kept below a size: what was used longest ago goes") {
    const std::size_t before = files_in(folder / "cache");
    REQUIRE_EQ(before, 2);
    std::uintmax_t bytes = 0;
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder / "cache"))
      if (entry.is_regular_file()) {
        files.push_back(entry.path());
        bytes += entry.file_size();
      }
    fs::last_write_time(files[1], fs::last_write_time(files[0]) - std::chrono::hours(1));
    CHECK_EQ(trim_output_cache(folder / "cache", bytes), 0);
    CHECK_EQ(trim_output_cache(folder / "cache", bytes - 1), 1);
    CHECK(fs::exists(files[0]));
    CHECK_FALSE(fs::exists(files[1]));
    CHECK(same(ask(ctx, s, train, {5, 1, 4, 0}), without));
  }
}
