// Picture sheets become the same images in IDX files, and wrong sheets are refused before anything is written.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/io/idx.hpp"
#include "engine/io/image.hpp"
#include "nn/data/png_sheets.hpp"
#include "tests/temp_folder.hpp"

namespace fs = std::filesystem;
using namespace akin;
using akin::test::error_of;
using akin::test::has;
using akin::test::TempFolder;

namespace {

std::uint8_t pixel(int sheet, int row, int column, int channel) {
  return static_cast<std::uint8_t>(sheet * 53 + row * 31 + column * 7 + channel * 101);
}

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

/// Sheet s has s + 1 rows; label of the k-th image of a split: k % 10.
void write_sheets(const fs::path& folder, int columns = 1024) {
  int train = 0;
  for (int s = 0; s < 6; ++s) {
    std::vector<std::uint8_t> values;
    for (int r = 0; r <= s; ++r)
      for (int x = 0; x < columns; ++x)
        for (int c = 0; c < 3; ++c) values.push_back(pixel(s, r, x, c));
    write_png(folder / (s == 5 ? std::string("test_batch.png") : fmt::format("data_batch_{}.png", s + 1)),
              Array::from(values, Shape{s + 1, columns, 3}));
    if (s < 5) train += s + 1;
  }
  const auto list = [](int n) {
    std::string text = "[";
    for (int k = 0; k < n; ++k) text += fmt::format("{}{}", k > 0 ? "," : "", k % 10);
    return text + "]";
  };
  write_text(folder / "train_lables.json", list(train));
  write_text(folder / "test_lables.json", list(6));
}

std::string message_of(const fs::path& from, const fs::path& to) {
  return error_of([&] { convert_cifar10_sheets(from, to); });
}

}  // namespace

TEST_CASE("sheets: every pixel and label arrives, in order") {
  TempFolder f;
  write_sheets(f.path());
  convert_cifar10_sheets(f.path(), f / "idx");
  const Array train = read_idx(f / "idx/train-images-idx4-ubyte"), test = read_idx(f / "idx/t10k-images-idx4-ubyte");
  REQUIRE(train.shape() == Shape{15, 32, 32, 3});
  REQUIRE(test.shape() == Shape{6, 32, 32, 3});
  std::size_t at = 0;
  int wrong = 0;
  for (int s = 0; s < 5; ++s)
    for (int r = 0; r <= s; ++r)
      for (int y = 0; y < 32; ++y)
        for (int x = 0; x < 32; ++x)
          for (int c = 0; c < 3; ++c) wrong += train.as<std::uint8_t>()[at++] != pixel(s, r, y * 32 + x, c);
  CHECK(wrong == 0);
  CHECK(test.as<std::uint8_t>()[3 * 3072 + 3 * (5 * 32 + 7) + 2] == pixel(5, 3, 5 * 32 + 7, 2));
  const Array labels = read_idx(f / "idx/train-labels-idx1-ubyte");
  REQUIRE(labels.shape() == Shape{15});
  for (std::size_t k = 0; k < 15; ++k) CHECK(labels.as<std::uint8_t>()[k] == k % 10);
  CHECK(read_idx(f / "idx/t10k-labels-idx1-ubyte").shape() == Shape{6});
  std::ifstream classes(f / "idx/classes.txt");
  std::string first;
  std::getline(classes, first);
  CHECK(first == "airplane");
}

TEST_CASE("sheets: what is wrong is named, and nothing is written") {
  const auto check = [](const std::string& what, auto&& damage, const std::string& file, const std::string& says) {
    INFO(what);
    TempFolder f;
    write_sheets(f.path());
    damage(f.path());
    const std::string message = message_of(f.path(), f / "idx");
    INFO(message);
    CHECK(has(message, file));
    CHECK(has(message, says));
    CHECK(!fs::exists(f / "idx"));
  };
  check(
      "missing", [](const fs::path& p) { fs::remove(p / "data_batch_3.png"); }, "data_batch_3.png", "");
  check(
      "narrow", [](const fs::path& p) { write_sheets(p, 1023); }, "test_batch.png", "1023");
  check(
      "cut off",
      [](const fs::path& p) { fs::resize_file(p / "data_batch_5.png", fs::file_size(p / "data_batch_5.png") / 2); },
      "data_batch_5.png", "");
  check(
      "no list", [](const fs::path& p) { write_text(p / "test_lables.json", "{\"a\": 1}"); }, "test_lables.json",
      "list");
  check(
      "cut list", [](const fs::path& p) { write_text(p / "test_lables.json", "[1,2,3"); }, "test_lables.json", "no JSON");
  check(
      "too few", [](const fs::path& p) { write_text(p / "test_lables.json", "[1,2,3]"); }, "test_lables.json",
      "3 labels for 6");
  check(
      "too large", [](const fs::path& p) { write_text(p / "test_lables.json", "[1,2,3,4,5,10]"); }, "test_lables.json",
      "label of image 5 is 10");
  check(
      "negative", [](const fs::path& p) { write_text(p / "test_lables.json", "[-1,2,3,4,5,1]"); }, "test_lables.json",
      "label of image 0 is -1");
  check(
      "a fraction", [](const fs::path& p) { write_text(p / "test_lables.json", "[1,2.5,3,4,5,1]"); },
      "test_lables.json", "image 1 is 2.5");
}
