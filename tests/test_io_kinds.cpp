// WebP, TIFF and GIF: as Pillow reads them, or refused by name with the package that reads them.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "engine/io/picture_kind.hpp"
#include "engine/io/picture_readers.hpp"
#include "tests/pictures.hpp"

using namespace akin;
using namespace akin::test;
namespace fs = std::filesystem;

namespace {

const fs::path kFolder = fs::path(AKIN_SOURCE_DIR) / "tests/golden/pictures";

struct Sample {
  std::string name;
  Bytes file;
  Array expected;  // what Pillow made of it
  std::string_view kind;
};

std::vector<Sample> samples() {
  std::vector<Sample> out;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    const fs::path& path = entry.path();
    if (path.extension() == ".png" || entry.is_directory()) continue;
    const Bytes file = read_file(path);
    out.push_back({path.filename().string(), file, read_image(path.string() + ".png"), kind_by_content(file)});
  }
  std::sort(out.begin(), out.end(), [](const Sample& a, const Sample& b) { return a.name < b.name; });
  return out;
}

bool reads(const Sample& s) { return is_readable_kind(s.kind); }

std::string error_of(const Bytes& file, const ImageLimits& limits = {}) {
  try {
    decode_image(file, "x", 0, limits);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

ImageNotes notes_of(const std::string& name) {
  ImageNotes notes;
  decode_image(read_file(kFolder / name), name, 0, {}, &notes);
  return notes;
}

}  // namespace

TEST_CASE("WebP, TIFF and GIF: pixel for pixel what Pillow reads, header and both numbers of channels") {
  const std::map<std::string, int> close{{"inks_cmyk.tif", 1}, {"orientation_ycc5.tif", 4}};  // rounded otherwise
  std::map<std::string_view, int> seen;
  for (const Sample& s : samples()) {
    CAPTURE(s.name);
    if (!reads(s)) continue;
    ++seen[s.kind];
    const Array own = decode_image(s.file, s.name);
    const int channels = static_cast<int>(s.expected.shape()[2]);  // of a palette of greys Pillow makes colours
    CHECK(max_difference(convert_channels(own, channels), s.expected) <=
          (close.contains(s.name) ? close.at(s.name) : 0));
    const ImageInfo info = image_info(s.file, s.name);
    CHECK(Shape{info.height, info.width, info.channels} == own.shape());
    for (const int other : {1, 3})
      CHECK(max_difference(decode_image(s.file, s.name, other), convert_channels(own, other)) == 0);
    const auto pixels = static_cast<std::uint64_t>(info.height) * static_cast<std::uint64_t>(info.width);
    CHECK(error_of(s.file, {.max_pixels = pixels - 1}).find("more than the limit") != std::string::npos);
    CHECK(error_of(s.file, {.max_file_bytes = s.file.size() - 1}).find("more than the limit") != std::string::npos);
  }
  for (const PictureReader& reader : picture_readers()) {
    if (reader.header != nullptr)
      CHECK_MESSAGE(seen[reader.kind] >= 4, reader.kind);
    else
      MESSAGE("not tested, for this build reads no " << reader.kind << ": install " << reader.package);
  }
}

TEST_CASE("a kind that this build does not read is refused with the package that reads it") {
  for (const Sample& s : samples()) {
    if (reads(s)) continue;
    const std::string error = error_of(s.file);
    CAPTURE(error);
    CHECK(error.find(fmt::format("but {}", s.kind)) != std::string::npos);
    CHECK(error.find(reader_of(s.kind)->package) != std::string::npos);
  }
  CHECK(remedy_of("HEIC") == "convert it to PNG or JPEG");
  CHECK(reader_of("PNG") == nullptr);
}

TEST_CASE("TIFF and GIF: kinds that are not read, and damage, by their true names") {
  const std::map<std::string, std::string> reasons{{"other_kinds_float.tif", "of 16 bits a sample cannot be read"},
                                                   {"other_kinds_signed.tif", "of numbers with a sign"},
                                                   {"other_kinds_cfa.tif", "raw camera data"},
                                                   {"other_kinds_dng.tif", "raw camera data"},
                                                   {"other_kinds_thumbnail.tif", "a thumbnail for its first page"},
                                                   {"other_kinds_tile.tif", "in tiles of 2048x2048"},
                                                   {"damage_zlib.tif", "image is damaged (libtiff: "},
                                                   {"damage_beyond_palette.gif", "of colour 14 in a palette of 8"}};
  for (const auto& [name, reason] : reasons) {
    const Bytes file = read_file(kFolder / "refused" / name);
    if (!is_readable_kind(kind_by_content(file))) continue;
    CAPTURE(name);
    const std::string error = error_of(file);
    CAPTURE(error);
    CHECK(error.find(reason) != std::string::npos);
  }
}

TEST_CASE("WebP, TIFF and GIF: notes of what was turned, dropped or left out") {
  if (is_readable_kind("WebP")) {
    CHECK(notes_of("orientation_6.webp").turned);
    CHECK(notes_of("alpha_lossless.webp").transparent);
    CHECK(notes_of("animation_rgb.webp").animated);
    CHECK_FALSE(notes_of("lossless_3x5.webp").turned);
    CHECK_FALSE(notes_of("lossless_3x5.webp").animated);
  }
  if (is_readable_kind("TIFF")) {
    CHECK(notes_of("orientation_8.tif").turned);
    CHECK(notes_of("alpha_2.tif").transparent);
    CHECK(notes_of("pages_2.tif").pages);
    CHECK(notes_of("grey_16_1_False.tif").sixteen_bit);
    CHECK(notes_of("inks_cmyk.tif").cmyk);
    CHECK_FALSE(notes_of("BigTIFF_rgb.tif").pages);
  }
  if (is_readable_kind("GIF")) {
    CHECK(notes_of("canvas_transparent.gif").transparent);
    CHECK(notes_of("animation_3.gif").animated);
    CHECK_FALSE(notes_of("palette_global.gif").transparent);
    CHECK(image_info(read_file(kFolder / "palette_grey.gif"), "x").channels == 1);
  }
}

TEST_CASE(
    "WebP, TIFF and GIF: cut anywhere it is an error or the same picture, a changed byte never more than an error") {
  for (const Sample& s : samples()) {
    if (!reads(s)) continue;
    CAPTURE(s.name);
    const std::size_t step = std::max<std::size_t>(1, s.file.size() / 60);
    std::size_t refused = 0, tried = 0;
    for (std::size_t n = 0; n < s.file.size(); n += step, ++tried) {
      const Bytes cut(s.file.begin(), s.file.begin() + static_cast<std::ptrdiff_t>(n));
      const std::string error = error_of(cut);
      if (error.empty())  // behind the first picture
        CHECK(max_difference(decode_image(cut, "x"), decode_image(s.file, "x")) == 0);
      else
        ++refused;
    }
    CHECK(2 * refused > tried / 2);
    for (std::size_t at = 0; at < s.file.size(); at += std::max<std::size_t>(1, s.file.size() / 300)) {
      Bytes changed = s.file;
      changed[at] ^= 0x5A;
      error_of(changed);  // of another kind than akin's it would end the test
    }
  }
}
