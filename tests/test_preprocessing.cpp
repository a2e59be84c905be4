// How a picture becomes a network's input: one description, stated by the model file, that everything follows.
#include "nn/data/preprocessing.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "nn/classifier.hpp"
#include "tests/pictures.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Pixels h, w of the picture of gradients: a value tells its place.
Array gradient(int h, int w) {
  Array a(DType::u8, {h, w, 1});
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x)
      a.as<std::uint8_t>()[static_cast<std::size_t>(y * w + x)] = static_cast<std::uint8_t>(2 * x + 20 * (y / 16));
  return a;
}

Model small_model(Context& ctx, std::int64_t channels = 1) {
  Model m;
  m.network = make_network(ctx, {.name = "resnet8", .width = 4, .channels = channels, .classes = 3});
  randomise(m.network->parameters(), 1);
  m.info.architecture = m.network->architecture();
  m.info.height = m.info.width = 12;
  m.info.classes = {"a", "b", "c"};
  return m;
}

std::string description_of(const std::filesystem::path& file) { return read_safetensors(file).metadata.at("model"); }

}  // namespace

TEST_CASE("preprocessing: a plain fit is the largest centred part, bilinear, and the default") {
  const Array wide = gradient(32, 96);
  const Array plain = resize_and_crop(wide, 16, 16);
  CHECK_EQ(max_difference(plain, resize_and_crop(wide, 16, 16, Fit{})), 0);
  // Columns 32 to 63 of 96: means of two, 2 * 32.5 first.
  CHECK_EQ(int{plain.as<std::uint8_t>()[1]}, 2 * 34 + 1);
  CHECK_EQ(int{plain.as<std::uint8_t>()[14]}, 2 * 60 + 1);
  CHECK_EQ(max_difference(resize_and_crop(wide, 32, 96), wide), 0);
}

TEST_CASE("preprocessing: a share is cut out of the middle, a stretched picture is whole, bicubic is another filter") {
  const Array square = gradient(64, 64);
  // Half of 64 columns: 16 to 47, as they are at 32.
  const Array half = resize_and_crop(square, 32, 32, {.crop = 0.5});
  CHECK_EQ(int{half.as<std::uint8_t>()[0]}, 2 * 16 + 20);
  CHECK_EQ(int{half.as<std::uint8_t>()[31]}, 2 * 47 + 20);
  // Also where the size is right already.
  CHECK_GT(max_difference(resize_and_crop(square, 64, 64, {.crop = 0.5}), square), 20);
  CHECK_EQ(max_difference(resize_and_crop(square, 64, 64, {.stretch = true}), square), 0);
  const Array wide = gradient(32, 96), whole = resize_and_crop(wide, 32, 32, {.stretch = true});
  CHECK_LE(std::abs(int{whole.as<std::uint8_t>()[16]} - 2 * 49), 2);
  CHECK_GT(int{whole.as<std::uint8_t>()[31]}, 2 * 90);
  const Array noisy = picture(40, 40, 3, 1);
  const int apart =
      max_difference(resize_and_crop(noisy, 17, 17), resize_and_crop(noisy, 17, 17, {.filter = Filter::bicubic}));
  CHECK_GT(apart, 1);
  CHECK_LT(apart, 60);
  CHECK(has(error_of([&] { resize_and_crop(square, 8, 8, {.crop = 0}); }), "a crop of 0"));
  CHECK(has(error_of([&] { resize_and_crop(square, 8, 8, {.crop = 1.5}); }), "a crop of 1.5"));
}

TEST_CASE("preprocessing: a model file states what is unlike the default, and an older file means the default") {
  const TempFolder folder;
  Context ctx;
  Model m = small_model(ctx);
  save_model(folder / "plain.safetensors", *m.network, m.info);
  for (const char* key : {"crop", "stretch", "filter"}) {
    CAPTURE(key);
    CHECK_FALSE(parse_json(description_of(folder / "plain.safetensors"), "").contains(key));
  }
  CHECK(load_model(ctx, folder / "plain.safetensors").info.fit == Fit{});
  m.info.fit = {.crop = 0.875, .filter = Filter::bicubic};
  save_model(folder / "m.safetensors", *m.network, m.info);
  const Preprocessing p = preprocessing_of(load_model(ctx, folder / "m.safetensors").info);
  CHECK(p.fit == m.info.fit);
  CHECK_EQ(p.height, 12);
  CHECK_EQ(p.channels, 1);
  CHECK_EQ(p.normalization.mean, std::vector<float>{0.5f});
  CHECK(has(fit_in_words(p), "the middle 0.875 of the largest part in the shape of 12x12"));
  CHECK(has(prepare_in_python(p), "Image.BICUBIC"));
  const Json j = parse_json(preprocessing_json(p), "");
  CHECK_EQ(j["crop"], 0.875);
  CHECK_EQ(j["filter"], "bicubic");
  m.info.fit = {.stretch = true};
  save_model(folder / "m.safetensors", *m.network, m.info);
  CHECK(load_model(ctx, folder / "m.safetensors").info.fit == m.info.fit);
  for (const char* wrong : {R"("crop":2)", R"("crop":0)", R"("filter":"lanczos")"}) {
    SafeTensors file = read_safetensors(folder / "plain.safetensors");
    file.metadata.erase("sha256");
    std::string& said = file.metadata.at("model");
    said.insert(1, std::string(wrong) + ",");
    write_safetensors(folder / "wrong.safetensors", file);
    CAPTURE(wrong);
    CHECK(has(error_of([&] { load_model(ctx, folder / "wrong.safetensors"); }), "expected"));
  }
}

TEST_CASE("preprocessing: run_model shows a network what its file says, and prepared images as they are") {
  Context ctx;
  Model m = small_model(ctx);
  m.info.fit = {.crop = 0.5};
  const Array one = picture(40, 60, 1, 3);
  Array images(DType::u8, {1, 40, 60, 1}), prepared(DType::u8, {1, 12, 12, 1});
  std::copy_n(one.bytes(), one.byte_size(), images.bytes());
  const Array small = resize_and_crop(one, 12, 12, m.info.fit);
  std::copy_n(small.bytes(), small.byte_size(), prepared.bytes());
  const Array a = run_model(ctx, m, images, all_indices(1)).logits;
  const Array b = run_model(ctx, m, prepared, all_indices(1), {}, true).logits;
  CHECK(std::equal(a.as<float>().begin(), a.as<float>().end(), b.as<float>().begin()));
  // One of its size is cut, too, unless it is prepared.
  const Array c = run_model(ctx, m, prepared, all_indices(1)).logits;
  CHECK_FALSE(std::equal(a.as<float>().begin(), a.as<float>().end(), c.as<float>().begin()));
}
