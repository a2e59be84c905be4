// Image files, resizing, and image folders.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/io/image.hpp"
#include "nn/data/image_folder.hpp"
#include "tests/pictures.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using akin::test::encode;
using akin::test::error_of;
using akin::test::has;
using akin::test::max_difference;
using akin::test::picture;
using akin::test::TempFolder;
namespace fs = std::filesystem;

namespace {

const std::string kGolden = std::string(AKIN_SOURCE_DIR) + "/tests/golden/golden_";

/// Triangle filter by its definition: weight max(0, 1 - |distance| / radius), radius 1 output pixel in input pixels,
/// at least 1; weights made to sum to 1; coordinates clamped to the edge. {position, weight} of the n pixels of an axis
/// for an output of `size` pixels whose centre lies at `at`.
std::vector<std::pair<int, double>> filter_weights(int n, int size, double at) {
  const double radius = std::max(1.0, static_cast<double>(n) / size);
  std::vector<std::pair<int, double>> list;
  double sum = 0;
  for (int i = static_cast<int>(std::floor(at - radius)) - 1; i <= at + radius + 1; ++i) {
    list.emplace_back(std::clamp(i, 0, n - 1), std::max(0.0, 1 - std::abs(i + 0.5 - at) / radius));
    sum += list.back().second;
  }
  for (auto& [i, weight] : list) weight /= sum;
  return list;
}

/// h x w pixels of `a` from row y and column x on.
Array part_of(const Array& a, int y, int x, int h, int w) {
  const std::int64_t C = a.shape()[2], row = a.shape()[1] * C;
  Array out(DType::u8, {h, w, C});
  for (std::int64_t i = 0; i < h; ++i)
    std::memcpy(out.bytes() + i * w * C, a.bytes() + (y + i) * row + x * C, static_cast<std::size_t>(w * C));
  return out;
}

}  // namespace

TEST_CASE("PNG written by Python's zlib, pixel for pixel; grey and colour conversions") {
  const Array rgb = read_image(kGolden + "rgb.png");
  CHECK(rgb.shape() == Shape{5, 7, 3});
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 7; ++x) {
      const std::uint8_t* p = rgb.as<std::uint8_t>().data() + (y * 7 + x) * 3;
      CHECK(p[0] == x * 36);
      CHECK(p[1] == y * 50);
      CHECK(p[2] == (x + y) * 20);
    }
  }
  const Array grey = read_image(kGolden + "grey.png");
  CHECK(grey.shape() == Shape{5, 7, 1});
  CHECK(grey.as<std::uint8_t>()[8] == 31);
  CHECK(max_difference(read_image(kGolden + "rgb.png", 1), convert_channels(rgb, 1)) == 0);
  CHECK(max_difference(read_image(kGolden + "grey.png", 3), convert_channels(grey, 3)) == 0);
  CHECK(max_difference(convert_channels(convert_channels(grey, 3), 1), grey) == 0);
  CHECK(has(error_of([&] { convert_channels(Array(DType::u8, {2, 2, 4}), 3); }), "4 channels to 3"));
}

TEST_CASE("PNG round trip through memory and file, odd sizes") {
  const TempFolder t;
  for (const int c : {1, 3}) {
    for (const auto& [h, w] : {std::pair{1, 1}, {7, 31}, {33, 10}, {257, 3}}) {
      const Array a = picture(h, w, c, 3);
      CHECK(max_difference(decode_image(to_png(a), "x"), a) == 0);
      write_png(t / "a.png", a);
      CHECK(max_difference(read_image(t / "a.png"), a) == 0);
    }
  }
  CHECK(max_difference(decode_image(to_png(picture(4, 5, 4, 1)), "x"),
                       decode_image(to_png(picture(4, 5, 4, 1)), "x", 3)) == 0);
  CHECK(to_png(picture(5, 6, 1, 1).reshaped({5, 6})) == to_png(picture(5, 6, 1, 1)));
  CHECK(has(error_of([&] { to_png(Array(DType::u8, {2, 2, 2})); }), "1, 3 or 4 channels"));
  CHECK(has(error_of([&] { to_png(Array(DType::f32, {2, 2, 1})); }), "u8"));
  CHECK(has(error_of([&] { to_png(Array(DType::u8, {0, 2, 1})); }), "not empty"));
}

TEST_CASE("JPEG and BMP are decoded; a lossy file stays close") {
  for (const int c : {1, 3}) {
    const Array a = picture(24, 17, c, 5);
    const Array jpeg = decode_image(encode(a, "jpg"), "x", c);
    CHECK(max_difference(jpeg, a) <= 60);  // quality 95 on noise of +-20; a shifted or mixed image differs by about 200
    double sum = 0;
    for (std::size_t i = 0; i < a.byte_size(); ++i)
      sum += std::abs(int{a.as<std::uint8_t>()[i]} - int{jpeg.as<std::uint8_t>()[i]});
    CHECK(sum / static_cast<double>(a.byte_size()) < 8);
    CHECK(max_difference(decode_image(encode(a, "bmp"), "x", c), a) == 0);
  }
}

TEST_CASE("limits are checked before decoding, unknown files are named") {
  const Bytes png = to_png(picture(20, 30, 1, 1));
  CHECK(image_info(png, "x").width == 30);
  CHECK(
      has(error_of([&] { decode_image(png, "a.png", 0, {.max_pixels = 599}); }), "a.png: 20x30 pixels are more than"));
  CHECK(error_of([&] { decode_image(png, "a.png", 0, {.max_pixels = 600}); }).empty());
  CHECK(has(error_of([&] { decode_image(png, "a.png", 0, {.max_file_bytes = 10}); }), "more than the limit of 10"));
  Bytes huge = png;  // IHDR claims 2^30 x 2^30
  huge[16] = huge[20] = 0x40;
  CHECK_FALSE(error_of([&] { decode_image(huge, "a.png"); }).empty());
  CHECK(has(error_of([&] { decode_image(bytes_of("hello"), "a.png"); }), "a.png: not a PNG"));
  CHECK(has(error_of([&] { decode_image({}, "a.png"); }), "a.png: not a PNG"));
  CHECK(has(error_of([&] { decode_image(png, "a.png", 2); }), "2 channels"));
  Bytes table = encode(picture(8, 8, 3, 1), "jpg");  // the first Huffman table claims 255 codes of each of 16 lengths
  const std::uint8_t mark[] = {0xFF, 0xC4};
  const auto at = std::search(table.begin(), table.end(), std::begin(mark), std::end(mark)) + 5;
  std::fill(at, at + 16, std::uint8_t{255});
  CHECK(has(error_of([&] { decode_image(table, "a.jpg"); }), "a.jpg: image is damaged (Huffman table of 4080 codes"));
  const TempFolder t;
  CHECK(has(error_of([&] { read_image(t / "none.png"); }), "none.png: cannot be opened"));
}

TEST_CASE("a cut image is an error in every format; a flipped byte never more than an error") {
  for (const std::string kind : {"png", "jpg", "bmp"}) {
    const Bytes good = encode(picture(9, 11, 3, 7), kind);
    CAPTURE(kind);
    for (std::size_t n = 0; n < good.size(); ++n) {
      CAPTURE(n);
      CHECK(has(error_of([&] { decode_image(ByteView(good).first(n), "cut.img"); }), "cut.img"));
    }
    for (std::size_t i = 0; i < good.size(); ++i) {
      for (const int flip : {0x01, 0x10, 0x80, 0xff}) {
        Bytes bad = good;
        bad[i] = static_cast<std::uint8_t>(bad[i] ^ flip);
        const std::string message = error_of([&] { decode_image(bad, "bad.img", 3, {.max_pixels = 100000}); });
        if (kind == "png") CHECK_FALSE(message.empty());  // every byte of a PNG is under a check sum
      }
    }
  }
}

TEST_CASE("resize follows the definition of the triangle filter, up and down, on the middle of the wanted aspect") {
  struct Case {
    int h, w, oh, ow, ch, cw;  // of the picture, of the result, of the part of the picture that it shows
  };
  for (const auto& [h, w, oh, ow, ch, cw] : {Case{10, 10, 7, 3, 10, 4},
                                             {7, 31, 33, 10, 7, 2},
                                             {31, 7, 33, 10, 23, 7},
                                             {1, 1, 5, 7, 1, 1},
                                             {33, 33, 1, 1, 33, 33},
                                             {28, 28, 32, 32, 28, 28},
                                             {28, 28, 20, 20, 28, 28},  // weights that sum to more than 1.1
                                             {8, 10, 5, 7, 7, 10},      // or to less than 0.9
                                             {60, 60, 45, 45, 60, 60},
                                             {28, 28, 28, 28, 28, 28}}) {
    CAPTURE(oh);
    CAPTURE(ow);
    const Array whole = picture(h, w, 3, 11), out = resize_and_crop(whole, oh, ow);
    REQUIRE(out.shape() == Shape{oh, ow, 3});
    const Array a = part_of(whole, (h - ch) / 2, (w - cw) / 2, ch, cw);
    double worst = 0, shifted = 0;
    for (int y = 0; y < oh; ++y) {
      const auto rows = filter_weights(ch, oh, (y + 0.5) * ch / oh),
                 corners = filter_weights(ch, oh, 1.0 * y * ch / oh);
      for (int x = 0; x < ow; ++x) {
        const auto columns = filter_weights(cw, ow, (x + 0.5) * cw / ow);
        for (int c = 0; c < 3; ++c) {
          const auto off = [&](const auto& lines) {  // distance of the result from the definition
            double sum = 0;
            for (const auto& [i, wi] : lines)
              for (const auto& [j, wj] : columns)
                sum += wi * wj * a.as<std::uint8_t>()[static_cast<std::size_t>((i * cw + j) * 3 + c)];
            return std::abs(sum - out.as<std::uint8_t>()[static_cast<std::size_t>((y * ow + x) * 3 + c)]);
          };
          worst = std::max(worst, off(rows));
          shifted = std::max(shifted, off(corners));
        }
      }
    }
    CHECK_MESSAGE(worst <= 1.51, worst);  // rounding to a byte is 0.5; float weights and stb's cut of the window: 1
    if (h > 1 && oh != h && oh > 1) CHECK_MESSAGE(shifted > 2.51, shifted);  // pixel corners are not taken for centres
  }
  CHECK(has(error_of([&] { resize_and_crop(picture(3, 3, 1, 1), 0, 3); }), "0x3"));
}

TEST_CASE("resize_and_crop keeps the middle") {
  Array a(DType::u8, {10, 40, 1});
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 40; ++x)
      a.as<std::uint8_t>()[static_cast<std::size_t>(y * 40 + x)] = x >= 15 && x < 25 ? 200 : 0;
  }
  const Array middle = resize_and_crop(a, 5, 5);
  CHECK(middle.shape() == Shape{5, 5, 1});
  CHECK(*std::min_element(middle.as<std::uint8_t>().begin(), middle.as<std::uint8_t>().end()) == 200);
  CHECK(resize_and_crop(picture(1, 5000, 1, 1), 4, 4).shape() == Shape{4, 4, 1});
  Array two(DType::u8, {2, 10, 40, 1});
  std::memcpy(two.bytes() + a.byte_size(), a.bytes(), a.byte_size());
  const Array small = resize_images(two, 5, 5);
  CHECK(small.shape() == Shape{2, 5, 5, 1});
  CHECK(small.as<std::uint8_t>()[0] == 0);
  CHECK(small.as<std::uint8_t>()[25] == 200);
}

TEST_CASE("image folder: classes sorted, nested files found, other files passed over") {
  const TempFolder t;
  make_folder(t / "set" / "dog" / "deep");
  make_folder(t / "set" / "cat");
  make_folder(t / "set" / ".hidden");
  write_png(t / "set" / "dog" / "b.png", picture(8, 8, 1, 1));
  write_png(t / "set" / "dog" / "deep" / "a.PNG", picture(8, 8, 3, 2));
  write_file_atomic(t / "set" / "cat" / "c.jpg", encode(picture(8, 8, 3, 3), "jpg"));
  write_file_atomic(t / "set" / "cat" / "notes.txt", std::string_view("no image"));
  write_file_atomic(t / "set" / "cat" / ".thumb.png", std::string_view("no image"));
  const ImageFolder f = list_image_folder(t / "set");
  CHECK(f.classes == std::vector<std::string>{"cat", "dog"});
  CHECK(f.labels == std::vector<int>{0, 1, 1});
  CHECK(f.files[1].filename() == "b.png");
  const Array all = decode_files(f.files);
  CHECK(all.shape() == Shape{3, 8, 8, 3});  // RGB because one of them is
  CHECK(decode_files(f.files, {.height = 5, .width = 4, .channels = 1}).shape() == Shape{3, 5, 4, 1});
  CHECK(has(error_of([&] { decode_files(f.files, {.height = 5}); }), "both be given"));
  CHECK(has(error_of([&] { decode_files(f.files, {.max_total_bytes = 100}); }), "more than the limit of 100"));

  SUBCASE("another size") {
    write_png(t / "set" / "dog" / "z.png", picture(9, 8, 1, 1));
    const auto files = list_image_folder(t / "set").files;
    CHECK(has(error_of([&] { decode_files(files); }), "z.png: 9x8 pixels, but"));
    CHECK(decode_files(files, {.height = 8, .width = 8}).shape() == Shape{4, 8, 8, 3});
  }
  SUBCASE("broken image") {
    Bytes cut = to_png(picture(8, 8, 1, 1));
    cut.resize(cut.size() - 20);
    write_file_atomic(t / "set" / "cat" / "broken.png", cut);
    const auto files = list_image_folder(t / "set").files;
    CHECK(has(error_of([&] { decode_files(files); }), "broken.png: image ends too early"));
  }
  SUBCASE("empty class") {
    make_folder(t / "set" / "bird");
    CHECK(has(error_of([&] { list_image_folder(t / "set"); }), "class \"bird\" has no image"));
  }
  SUBCASE("no class, no folder") {
    CHECK(has(error_of([&] { list_image_folder(t / "set" / "cat"); }), "no class folder"));
    CHECK(has(error_of([&] { list_image_folder(t / "none"); }), "no such folder"));
  }
}
