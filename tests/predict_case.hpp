// A model of a small data set of pictures as files, for the tests of akin predict and akin label.
#pragma once

#include <cstring>

#include "engine/io/csv.hpp"
#include "tests/cli_process.hpp"
#include "tests/pictures.hpp"

namespace akin::test {

inline const char* const kNames[] = {"low", "middle", "high"};

/// Picture i of a set, larger by `scale` and wider by a margin on both sides that the middle does not show.
inline Array large(const ImageSet& set, std::int64_t i, int scale, int margin) {
  const Shape& s = set.images.shape();
  const int side = static_cast<int>(s[1]) * scale;
  Array small(DType::u8, {s[1], s[2], s[3]});
  std::memcpy(small.bytes(), set.images.bytes() + static_cast<std::size_t>(i) * small.byte_size(), small.byte_size());
  const Array square = resize_and_crop(small, side, side);
  Array out(DType::u8, {side, side + 2 * margin, s[3]});
  for (int y = 0; y < side; ++y)
    std::memcpy(out.bytes() + static_cast<std::size_t>((y * (side + 2 * margin) + margin) * s[3]),
                square.bytes() + static_cast<std::size_t>(y * side * s[3]), static_cast<std::size_t>(side * s[3]));
  return out;
}

/// Pictures of several sizes as files <folder>/<class>/<i>.png, .jpg or .bmp, or all in the folder itself.
inline void write_pictures(const std::filesystem::path& folder, int per_class, unsigned seed, bool by_class) {
  const ImageSet set = bars(per_class, seed, false);
  for (std::int64_t i = 0; i < std::ssize(set.labels); ++i) {
    const std::string kind = i % 4 == 3 ? "jpg" : i % 4 == 2 ? "bmp" : "png";
    const std::filesystem::path into = by_class ? folder / kNames[set.labels[static_cast<std::size_t>(i)]] : folder;
    make_folder(into);
    write_file_atomic(into / fmt::format("{}{}.{}", kNames[set.labels[static_cast<std::size_t>(i)]], i, kind),
                      encode(large(set, i, 2 + static_cast<int>(i % 3), static_cast<int>(i % 5)), kind));
  }
}

/// A data set of pictures, and a model that knows it: <folder>/data, <folder>/run/model.safetensors.
struct Trained {
  TempFolder folder;
  std::string data, model;
  Trained() : data((folder / "data").string()), model((folder / "run/model.safetensors").string()) {
    write_pictures(folder / "data/train", 40, 1, true);
    write_pictures(folder / "data/test", 10, 2, true);
    write_pictures(folder / "data/unlabeled", 8, 3, false);
    const Finished f = akin_(folder, with(train_arguments(data, folder / "run"), {"--size", "12x12"}));
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
  }
};

inline std::vector<std::vector<std::string>> rows_of(const std::string& csv) {
  CsvRows rows(csv, "answer");
  std::vector<std::vector<std::string>> out;
  for (std::vector<std::string> cells; rows.next(cells);) out.push_back(cells);
  return out;
}

/// "…/low12.png" was drawn as "low".
inline bool right(const std::string& file, const std::string& said) {
  return std::filesystem::path(file).filename().string().starts_with(said);
}

}  // namespace akin::test
