// akin data check's findings: all of them in one go, and near copies that are told from pictures that only resemble.
#include <doctest/doctest.h>

#include <algorithm>

#include "nn/data/image_set.hpp"
#include "nn/data/near_copies.hpp"
#include "nn/data/set_check.hpp"
#include "tests/pictures.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;
namespace fs = std::filesystem;

namespace {

void put(const fs::path& path, const Bytes& bytes) {
  make_folder(path.parent_path());
  write_file_atomic(path, bytes);
}

/// A scene of a few soft patches of its own, unlike the others: not noise, which no photograph is.
Array scene(std::uint64_t seed, int h = 96, int w = 96) {
  Array a(DType::u8, {h, w, 3});
  Rng rng(seed);
  struct Patch {
    float y, x, size, value[3];
  };
  std::vector<Patch> patches(14);
  for (Patch& p : patches)
    p = {rng.uniform(0.0f, 1.0f),
         rng.uniform(0.0f, 1.0f),
         rng.uniform(0.05f, 0.3f),
         {rng.uniform(-90.0f, 90.0f), rng.uniform(-90.0f, 90.0f), rng.uniform(-90.0f, 90.0f)}};
  std::uint8_t* to = a.as<std::uint8_t>().data();
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x)
      for (int c = 0; c < 3; ++c) {
        float v = 128;
        for (const Patch& p : patches) {
          const float dy = static_cast<float>(y) / static_cast<float>(h) - p.y,
                      dx = static_cast<float>(x) / static_cast<float>(w) - p.x;
          v += p.value[c] * std::exp(-(dy * dy + dx * dx) / (p.size * p.size));
        }
        *to++ = static_cast<std::uint8_t>(std::clamp(v, 0.0f, 255.0f));
      }
  return a;
}

Array brighter(Array a) {
  for (std::uint8_t& v : a.as<std::uint8_t>()) v = static_cast<std::uint8_t>(std::min(255.0, 8 + 1.05 * v));
  return a;
}

const RepeatKind* kind(const std::vector<RepeatKind>& kinds, const std::string& words) {
  const auto at = std::find_if(kinds.begin(), kinds.end(), [&](const RepeatKind& k) { return has(k.what, words); });
  return at != kinds.end() ? &*at : nullptr;
}

bool any_has(const std::vector<std::string>& lines, const std::string& words) {
  return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) { return has(line, words); });
}

}  // namespace

TEST_CASE("near copies: saved anew, made smaller, brighter, a little cut; other pictures are none") {
  std::vector<Look> looks;
  constexpr std::uint64_t kScenes = 60;
  for (std::uint64_t s = 0; s < kScenes; ++s) looks.push_back(look_of(scene(s)));
  int false_pairs = 0;
  find_near_copies(looks, [&](std::size_t, std::size_t) { ++false_pairs; });
  CHECK(false_pairs == 0);
  for (std::uint64_t s = 0; s < kScenes; ++s) {
    CAPTURE(s);
    const Array own = scene(s);
    CHECK(look_alike(looks[s], look_of(decode_image(encode(own, "jpg"), "x"))));
    CHECK(look_alike(looks[s], look_of(resize_and_crop(own, 40, 40))));
    CHECK(look_alike(looks[s], look_of(brighter(own))));
    CHECK(look_alike(looks[s], look_of(convert_channels(own, 1))));
    CHECK(look_alike(looks[s], look_of(resize_and_crop(own, 96, 94))));
  }
  // What shows nothing is like nothing.
  Array blank(DType::u8, {9, 9, 1});
  std::fill(blank.as<std::uint8_t>().begin(), blank.as<std::uint8_t>().end(), std::uint8_t{200});
  CHECK_FALSE(look_alike(look_of(blank), look_of(blank)));
  CHECK(look_of(scene(1, 1, 1)).plain);
}

TEST_CASE("data check: everything that is wrong with a folder, at once") {
  const TempFolder t;
  const auto png = [](std::uint64_t seed, int h = 96, int w = 96) { return to_png(scene(seed, h, w)); };
  for (int i = 0; i < 4; ++i) {
    put(t / fmt::format("train/cat/{}.png", i), png(10 + static_cast<std::uint64_t>(i)));
    put(t / fmt::format("train/dog/{}.png", i), png(20 + static_cast<std::uint64_t>(i)));
  }
  make_folder(t / "train/empty");
  put(t / "train/cat/small.png", png(30, 40, 50));
  put(t / "train/dog/twin.png", png(10));                                           // under two labels
  put(t / "test/cat/same.bmp", encode(scene(11), "bmp"));                           // trained on
  put(t / "test/dog/near.jpg", encode(resize_and_crop(scene(20), 60, 60), "jpg"));  // nearly
  put(t / "test/cow/0.png", png(40));
  put(t / "unlabelled/u.png", png(12));
  Bytes cut = png(50);
  cut.resize(cut.size() / 2);
  put(t / "train/cat/cut.png", cut);
  put(t / "test/dog/cut.png", cut);
  put(t / "train/cat/turned.jpg", with_exif(encode(scene(60), "jpg"), exif_of(6, true)));
  put(t / "train/cat/notes.txt", Bytes{'x'});
  const SetCheck check = check_data_set(t.path());
  CHECK_FALSE(check.usable());
  CHECK(check.faults.size() == 3);  // two that are cut, and the empty class
  CHECK(any_has(check.faults, "train/cat/cut.png"));
  CHECK(any_has(check.faults, "test/dog/cut.png"));
  CHECK(any_has(check.faults, "class \"empty\" has no image file"));
  CHECK(any_has(check.problems, "not among the training classes: cow"));
  CHECK(check.splits.at(Split::train).counts == std::vector<std::int64_t>{6, 5, 0});
  CHECK(check.splits.at(Split::test).pictures == 3);
  CHECK(check.splits.at(Split::unlabeled).pictures == 1);
  CHECK(check.sizes.at("40x50") == 1);
  CHECK(any_has(check.advice, "sizes: give --size HxW"));
  const RepeatKind* two = kind(check.exact, "under two labels, training");
  REQUIRE(two != nullptr);
  CHECK(two->harmful);
  CHECK(two->examples == std::vector<std::string>{"train/cat/0.png = train/dog/twin.png"});
  REQUIRE(kind(check.exact, "in the test split and among the training") != nullptr);
  CHECK(kind(check.exact, "unlabelled and among the training") != nullptr);
  const RepeatKind* near = kind(check.near, "in the test split and among the training");
  REQUIRE(near != nullptr);
  CHECK(near->examples == std::vector<std::string>{"train/dog/0.png ~ test/dog/near.jpg"});
  const std::vector<std::string> lines = told(check.account, "set");
  CHECK(any_has(lines, "turned upright"));
  CHECK(any_has(lines, "files that are no pictures passed over: 1 (1 .txt; train/cat/notes.txt)"));
}

TEST_CASE("data check: sound sets, the split that would be drawn, packed sets, and what is no data set") {
  const TempFolder t;
  for (std::uint64_t i = 0; i < 10; ++i) {
    put(t / fmt::format("flat/a/{}.png", i), to_png(scene(i)));
    put(t / fmt::format("flat/b/{}.png", i), to_png(scene(100 + i)));
  }
  const SetCheck flat = check_data_set(t / "flat");
  CHECK(flat.usable());
  CHECK(flat.one_size());
  CHECK(flat.held_out == load_images(t / "flat", Split::test).names);
  CHECK(flat.splits.at(Split::train).counts == std::vector<std::int64_t>{8, 8});
  CHECK(flat.splits.at(Split::test).counts == std::vector<std::int64_t>{2, 2});
  CHECK(flat.exact.empty());
  CHECK(flat.near.empty());
  for (const Split split : {Split::train, Split::test})
    save_images(load_images(t / "flat", split), split, t / "packed");
  const SetCheck packed = check_data_set(t / "packed");
  CHECK(packed.usable());
  CHECK(packed.layout == "IDX files");
  CHECK(packed.splits.at(Split::train).counts == std::vector<std::int64_t>{8, 8});
  CHECK(packed.colour == 20);
  const SetCheck none = check_data_set(t / "nowhere");
  CHECK_FALSE(none.usable());
  CHECK(any_has(none.problems, "no such folder"));
}
