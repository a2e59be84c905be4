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

TEST_CASE("EXIF data in ImageMagick's text of a PNG are heeded, plain; the eXIf chunk comes before them") {
  const Bytes png = to_png(picture(6, 3, 1, 5)), exif = exif_of(6, true);
  std::string hex = "\nexif\n      32\n";
  for (std::size_t i = 0; i < exif.size(); ++i) hex += fmt::format("{:02x}{}", exif[i], i == 20 ? "\n" : "");
  const auto text = [&](const std::string& key, const std::string& value) {
    Bytes data(key.begin(), key.end());
    data.push_back(0);
    data.insert(data.end(), value.begin(), value.end());
    return with_chunk(png, "tEXt", data);
  };
  CHECK(image_info(text("Raw profile type exif", hex), "x").width == 6);
  CHECK(image_info(text("Title", hex), "x").width == 3);
  CHECK(notes_of(text("Raw profile type exif", "\nexif\n 3\nno digits")).broken_exif);
  CHECK_FALSE(notes_of(with_chunk(text("Raw profile type exif", hex), "eXIf", exif_of(1, true))).turned);
}

TEST_CASE("JPEG: what lies behind the end mark, or in segments, is not looked at") {
  const Bytes jpeg = encode(picture(16, 9, 3, 8), "jpg");
  const Array plain = decode_image(jpeg, "x");
  Bytes film = jpeg;  // of a motion photo: markers of every kind, and tables that are none
  for (int i = 0; i < 5000; ++i)
    film.insert(film.end(), {0xFF, static_cast<std::uint8_t>(0xC0 + i % 64), 255, 255, 255});
  CHECK(max_difference(decode_image(film, "x"), plain) == 0);
  Bytes nonsense;
  for (int i = 0; i < 300; ++i) nonsense.insert(nonsense.end(), {0xFF, 0xC4, 255, 255, 255, 0xFF, 0xD9, 0xFF, 0xDA});
  CHECK(max_difference(decode_image(with_segment(jpeg, 0xE2, nonsense), "x"), plain) == 0);
  CHECK(max_difference(decode_image(with_segment(jpeg, 0xFE, nonsense), "x"), plain) == 0);
  CHECK(max_difference(decode_image(with_segment(jpeg, 0xE1, nonsense), "x"), plain) == 0);
}

TEST_CASE("JPEG: kinds that the decoder does not know, and damage that it does not see, by their true names") {
  const Bytes jpeg = encode(picture(16, 24, 3, 8), "jpg");
  const auto find = [&](std::uint8_t marker) {
    const std::uint8_t mark[] = {0xFF, marker};
    const auto at = std::search(jpeg.begin(), jpeg.end(), std::begin(mark), std::end(mark));
    REQUIRE(at != jpeg.end());
    return at - jpeg.begin();
  };
  const auto refusal = [](const Bytes& file) { return error_of([&] { decode_image(file, "x.jpg"); }); };
  const auto with_byte = [&](std::ptrdiff_t at, int value) {
    Bytes out = jpeg;
    out[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
    return out;
  };
  const auto without = [&](std::uint8_t marker) {
    Bytes out = jpeg;
    for (std::size_t at = 2; out[at + 1] != 0xDA;) {
      const std::size_t length = 2 + (std::size_t{out[at + 2]} << 8 | out[at + 3]);
      if (out[at + 1] == marker)
        out.erase(out.begin() + static_cast<std::ptrdiff_t>(at),
                  out.begin() + static_cast<std::ptrdiff_t>(at + length));
      else
        at += length;
    }
    return out;
  };
  const std::ptrdiff_t frame = find(0xC0), scan = find(0xDA);
  for (const auto& [file, why] :
       {std::pair{with_byte(frame + 1, 0xC3),
                  "x.jpg: a JPEG without loss (lossless coding) cannot be read; convert it"},
        {with_byte(frame + 1, 0xC5), "of the hierarchical kind"},
        {with_byte(frame + 1, 0xC9), "with arithmetic coding"},
        {with_byte(frame + 1, 0xF7), "of the JPEG-LS kind"},
        {with_byte(frame + 4, 12), "of 12 bits a sample"},
        {with_byte(frame + 6, 0), "that does not say its size"},
        {with_byte(frame + 9, 2), "of 2 channels"},
        {without(0xC4), "its Huffman tables are missing"},
        {without(0xDB), "its quantisation tables are missing"},
        {with_segment(jpeg, 0xDD, {0, 2}), "0 of 2 restart marks"},  // 6 blocks, a mark after every second
        {with_byte(scan + 5, 9), "a scan of a component 9 that there is not"}})
    CHECK_MESSAGE(has(refusal(file), why), why, " in ", refusal(file));
  Bytes four = jpeg;  // two more bytes, and four components
  four[static_cast<std::size_t>(frame + 3)] = static_cast<std::uint8_t>(four[static_cast<std::size_t>(frame + 3)] + 3);
  four[static_cast<std::size_t>(frame + 9)] = 4;
  four.insert(four.begin() + frame + 19, {4, 0x11, 0});
  CHECK(has(refusal(four), "four inks (CMYK) without Adobe's mark"));
  CHECK(has(refusal(with_segment(four, 0xEE, {'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 2})),
            "the data of one of its components are missing"));
  // Marks that contradict each other: the ids of R, G and B in a file of JFIF.
  Bytes rgb = jpeg;
  for (int c = 0; c < 3; ++c) {
    rgb[static_cast<std::size_t>(frame + 10 + 3 * c)] = static_cast<std::uint8_t>("RGB"[c]);
    rgb[static_cast<std::size_t>(scan + 5 + 2 * c)] = static_cast<std::uint8_t>("RGB"[c]);
  }
  CHECK(has(refusal(rgb), "calls its channels both RGB and YCbCr"));
}

TEST_CASE("PNG and BMP: notes of what is dropped, colours beyond a palette, kinds of others") {
  Array clear = picture(5, 4, 4, 3);
  for (std::size_t i = 3; i < clear.byte_size(); i += 4) clear.as<std::uint8_t>()[i] = 255;
  CHECK_FALSE(notes_of(to_png(clear)).transparent);  // an alpha channel, and nothing transparent
  clear.as<std::uint8_t>()[3] = 254;
  CHECK(notes_of(to_png(clear)).transparent);
  const Array grey = decode_image(to_png(clear), "x", 1), colour = decode_image(to_png(clear), "x", 3);
  CHECK(max_difference(grey, convert_channels(colour, 1)) == 0);
  for (std::size_t p = 0; p < 20; ++p) CHECK(colour.as<std::uint8_t>()[3 * p] == clear.as<std::uint8_t>()[4 * p]);
  const Bytes png = to_png(picture(4, 4, 3, 1));
  CHECK(notes_of(with_chunk(png, "acTL", {0, 0, 0, 2, 0, 0, 0, 0})).animated);
  CHECK(has(error_of([&] { decode_image(with_chunk(png, "CgBI", {0, 0, 0, 0}), "x"); }), "Apple's own kind (CgBI)"));

  // A BMP of OS/2, 3x1 pixels of 8 bits, as it was written by hand: palette of four colours, then the pixels.
  const auto bmp = [](std::uint8_t third) {
    return Bytes{'B', 'M', 42, 0, 0, 0, 0, 0, 0, 0, 38, 0, 0, 0, 12, 0,  0,  0, 3, 0,     1,
                 0,   1,   0,  8, 0, 1, 2, 3, 4, 5, 6,  7, 8, 9, 10, 11, 12, 0, 1, third, 0};
  };
  const Array pixels = decode_image(bmp(3), "x");
  REQUIRE(pixels.shape() == Shape{1, 3, 3});
  const std::uint8_t wanted[] = {3, 2, 1, 6, 5, 4, 12, 11, 10};
  CHECK(std::memcmp(pixels.bytes(), wanted, 9) == 0);
  CHECK(has(error_of([&] { decode_image(bmp(4), "x"); }), "a pixel of colour 4 in a palette of 4"));
  Bytes packed = encode(picture(4, 4, 3, 1), "bmp");
  packed[30] = 1;
  CHECK(has(error_of([&] { decode_image(packed, "x"); }), "a BMP packed by run lengths (RLE) cannot be read"));
  CHECK(has(error_of([&] { decode_image(bytes_of("BMW makes no pictures, it makes cars"), "x"); }),
            "it begins like none"));
  // The first row above: a negative height, which stb's own size would be.
  Bytes down = encode(picture(3, 2, 3, 1), "bmp");
  for (std::size_t i = 22; i < 26; ++i) down[i] = i == 22 ? 0xFD : 0xFF;
  CHECK(image_info(down, "x").height == 3);
  CHECK(decode_image(down, "x").shape() == Shape{3, 2, 3});
}

TEST_CASE("16 bits a sample: the upper 8, and a word where nothing is left of them") {
  // 2x1 grey pixels of 16 bits, in one stored block of deflate.
  const auto sixteen = [](std::uint8_t high) {
    const Bytes row{0, high, 0x12, 3, 0xFF};
    std::uint32_t a = 1, b = 0;  // Adler's sum, RFC 1950
    for (const std::uint8_t v : row) {
      a += v;
      b += a;
    }
    Bytes data{0x78, 1, 1, 5, 0, 0xFA, 0xFF};
    data.insert(data.end(), row.begin(), row.end());
    for (const std::uint32_t half : {b, a})
      data.insert(data.end(), {static_cast<std::uint8_t>(half >> 8), static_cast<std::uint8_t>(half)});
    Bytes out{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    for (const Bytes& chunk :
         {png_chunk("IHDR", {0, 0, 0, 2, 0, 0, 0, 1, 16, 0, 0, 0, 0}), png_chunk("IDAT", data), png_chunk("IEND", {})})
      out.insert(out.end(), chunk.begin(), chunk.end());
    return out;
  };
  const Array image = decode_image(sixteen(200), "x");
  CHECK(image.as<std::uint8_t>()[0] == 200);
  CHECK(image.as<std::uint8_t>()[1] == 3);
  CHECK(notes_of(sixteen(200)).sixteen_bit);
  CHECK_FALSE(notes_of(sixteen(200)).dark);
  CHECK(notes_of(sixteen(15)).dark);  // 12 bits in 16, as many instruments write
}
