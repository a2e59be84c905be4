#include "engine/io/exif.hpp"

#include <algorithm>
#include <cstring>

namespace akin {
namespace {

constexpr std::uint16_t kOrientation = 0x0112;
enum FieldType : std::uint16_t { kByte = 1, kShort = 3, kLong = 4 };
constexpr std::size_t kEntry = 12;

/// Numbers of a TIFF file in its byte order; 0 beyond its end, which callers ask about before.
struct Tiff {
  ByteView bytes;
  bool little;
  std::uint32_t number(std::size_t at, std::size_t size) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t from = at + (little ? size - 1 - i : i);
      value = value << 8 | (from < bytes.size() ? bytes[from] : 0u);
    }
    return value;
  }
};

}  // namespace

Orientation exif_orientation(ByteView exif) {
  constexpr Orientation kBroken{.broken = true};
  if (exif.size() >= 6 && std::memcmp(exif.data(), "Exif\0", 5) == 0) exif = exif.subspan(6);
  if (exif.size() < 8 || exif[0] != exif[1] || (exif[0] != 'I' && exif[0] != 'M')) return kBroken;
  const Tiff tiff{exif, exif[0] == 'I'};
  if (tiff.number(2, 2) != 42) return kBroken;
  const std::size_t directory = tiff.number(4, 4);
  if (directory + 2 > exif.size()) return kBroken;
  const std::size_t entries = tiff.number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + kEntry * i;
    if (at + kEntry > exif.size()) return kBroken;
    if (tiff.number(at, 2) != kOrientation) continue;
    const std::uint32_t type = tiff.number(at + 2, 2), count = tiff.number(at + 4, 4);
    const std::size_t size = type == kByte ? 1 : type == kShort ? 2 : type == kLong ? 4 : 0;
    const std::uint32_t value = tiff.number(at + 8, size);
    if (count != 1 || size == 0 || value > 8) return kBroken;
    return {.value = std::max(1, static_cast<int>(value))};  // 0, "unknown", is what some cameras write
  }
  return {};
}

Array upright(const Array& image, int orientation) {
  AKIN_CHECK(image.dtype() == DType::u8 && image.shape().rank() == 3 && orientation >= 1 && orientation <= 8,
             "upright: u8 [H,W,C] and an orientation of 1 to 8 were expected, found {} {} and {}",
             name_of(image.dtype()), image.shape().str(), orientation);
  if (orientation == 1) return image;
  const std::int64_t h = image.shape()[0], w = image.shape()[1];
  const auto channels = static_cast<std::size_t>(image.shape()[2]);
  const bool across = orientation >= 5;  // rows of the file are columns of the picture
  // Where the file's first row is the picture's last row or column, and the same of its first column.
  const bool rows_back = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool columns_back = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  Array out(DType::u8, {across ? w : h, across ? h : w, image.shape()[2]});
  std::uint8_t* to = out.as<std::uint8_t>().data();
  const std::uint8_t* from = image.as<std::uint8_t>().data();
  for (std::int64_t y = 0; y < out.shape()[0]; ++y) {
    for (std::int64_t x = 0; x < out.shape()[1]; ++x, to += channels) {
      std::int64_t row = across ? x : y, column = across ? y : x;
      if (rows_back) row = h - 1 - row;
      if (columns_back) column = w - 1 - column;
      std::memcpy(to, from + static_cast<std::size_t>(row * w + column) * channels, channels);
    }
  }
  return out;
}

}  // namespace akin
