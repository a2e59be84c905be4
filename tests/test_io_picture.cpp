// What a picture file says of itself: honoured, or refused by its true name.
#include <doctest/doctest.h>

#include <cstring>

#include "engine/io/exif.hpp"
#include "tests/pictures.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Where EXIF 2.32 (table of tag 274) says that the stored pixel (row, column) of an h x w picture is seen: y, x.
std::pair<int, int> seen_at(int orientation, int row, int column, int h, int w) {
  switch (orientation) {
    case 2:
      return {row, w - 1 - column};
    case 3:
      return {h - 1 - row, w - 1 - column};
    case 4:
      return {h - 1 - row, column};
    case 5:
      return {column, row};
    case 6:
      return {column, h - 1 - row};
    case 7:
      return {w - 1 - column, h - 1 - row};
    case 8:
      return {w - 1 - column, row};
    default:
      return {row, column};
  }
}

/// `stored` as `orientation` shows it.
Array shown(const Array& stored, int orientation) {
  const int h = static_cast<int>(stored.shape()[0]), w = static_cast<int>(stored.shape()[1]);
  const auto C = static_cast<std::size_t>(stored.shape()[2]);
  const bool across = orientation >= 5;
  Array out(DType::u8, {across ? w : h, across ? h : w, stored.shape()[2]});
  for (int r = 0; r < h; ++r)
    for (int c = 0; c < w; ++c) {
      const auto [y, x] = seen_at(orientation, r, c, h, w);
      std::memcpy(out.bytes() + static_cast<std::size_t>(y * (across ? h : w) + x) * C,
                  stored.bytes() + static_cast<std::size_t>(r * w + c) * C, C);
    }
  return out;
}

ImageNotes notes_of(const Bytes& file) {
  ImageNotes notes;
  decode_image(file, "x", 0, {}, &notes);
  return notes;
}

}  // namespace

TEST_CASE("EXIF orientation: all eight, both byte orders, in JPEG and PNG, the size from the header too") {
  const Array colour = picture(5, 9, 3, 4), grey = picture(6, 3, 1, 5);
  const Bytes jpeg = encode(colour, "jpg"), png = to_png(grey);
  const Array stored = decode_image(jpeg, "x");
  for (int orientation = 1; orientation <= 8; ++orientation) {
    for (const bool little : {false, true}) {
      CAPTURE(orientation);
      const Bytes exif = exif_of(static_cast<std::uint32_t>(orientation), little);
      const Bytes turned = with_exif(jpeg, exif), chunked = with_chunk(png, "eXIf", exif);
      CHECK(max_difference(decode_image(turned, "x"), shown(stored, orientation)) == 0);
      CHECK(max_difference(decode_image(chunked, "x"), shown(grey, orientation)) == 0);
      CHECK(image_info(turned, "x").height == (orientation >= 5 ? 9 : 5));
      CHECK(image_info(chunked, "x").width == (orientation >= 5 ? 6 : 3));
      CHECK(notes_of(turned).turned == (orientation != 1));
      CHECK_FALSE(notes_of(turned).broken_exif);
    }
  }
}

TEST_CASE("EXIF data: other number types, unknown values, cut and senseless data, a thumbnail's own entry") {
  const auto value = [](const Bytes& exif) {
    const Orientation o = exif_orientation(exif);
    return o.broken ? -1 : o.value;
  };
  for (const bool little : {false, true}) {
    CHECK(value(exif_of(6, little, 4)) == 6);
    CHECK(value(exif_of(6, little, 1)) == 6);
    CHECK(value(exif_of(0, little)) == 1);   // "unknown"
    CHECK(value(exif_of(9, little)) == -1);  // no such orientation
    CHECK(value(exif_of(6, little, 2)) == -1);
    const Bytes whole = exif_of(6, little);
    for (std::size_t n = 0; n < 22; ++n) CHECK(value(Bytes(whole.begin(), whole.begin() + static_cast<long>(n))) == -1);
    Bytes other = whole;  // no orientation in the first directory, one in the next, which is the thumbnail's
    other[little ? 10 : 11] = 0x13;
    const Bytes next = exif_of(8, little);
    other[little ? 22 : 25] = 26;
    other.insert(other.end(), next.begin() + 8, next.end());
    CHECK(value(other) == 1);
    Bytes far = whole;
    far[little ? 4 : 7] = 200;
    CHECK(value(far) == -1);
  }
  CHECK(value({}) == -1);
  const Bytes jpeg = encode(picture(5, 9, 3, 4), "jpg");
  const Bytes broken = with_exif(jpeg, {'n', 'o', 'n', 's', 'e', 'n', 's', 'e'});
  CHECK(max_difference(decode_image(broken, "x"), decode_image(jpeg, "x")) == 0);
  CHECK(notes_of(broken).broken_exif);
  CHECK_FALSE(notes_of(jpeg).broken_exif);
  // The first EXIF data count; those of other kinds in the same place do not.
  CHECK_FALSE(notes_of(with_exif(with_exif(jpeg, exif_of(6, true)), exif_of(1, true))).turned);
  CHECK(notes_of(with_segment(with_exif(jpeg, exif_of(6, true)), 0xE1, {'h', 't', 't', 'p', ':'})).turned);
}
