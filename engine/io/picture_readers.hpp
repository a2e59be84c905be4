// Kinds of pictures that are read through a library of their own, where the build found it: WebP, TIFF, GIF.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/dtype.hpp"
#include "engine/io/exif.hpp"
#include "engine/io/file.hpp"

namespace akin {

/// What a picture says of itself before its pixels are decoded.
struct StoredPicture {
  int height = 0, width = 0;  ///< as stored
  int channels = 3;           ///< 1 grey, 3 colour; alpha comes on top
  int bits = 8;               ///< of a sample
  bool alpha = false;         ///< may have transparent pixels
  bool cmyk = false;          ///< stored as inks
  bool frames = false;        ///< an animation, of which the first picture is read
  bool pages = false;         ///< further pages, of which the first is read
  Orientation orientation;
};

struct PictureReader {
  std::string_view kind;     ///< as kind_by_content calls it
  std::string_view package;  ///< of Debian, that a build without it lacks
  /// Header and pixels, u8 [H,W,channels or one more for alpha] as stored. Both throw, naming the picture; null where
  /// this build has no library for the kind.
  StoredPicture (*header)(ByteView file, const std::string& name) = nullptr;
  Array (*pixels)(ByteView file, const std::string& name, const StoredPicture& header) = nullptr;
};

/// One for each of the kinds, whether this build reads it or not.
std::span<const PictureReader> picture_readers();
/// Null for PNG, JPEG and BMP, which every build reads, and for what akin never reads.
const PictureReader* reader_of(std::string_view kind);

/// "PNG", "JPEG", "BMP" and those of picture_readers that this build reads.
const std::vector<std::string>& readable_kinds();
/// "PNG, JPEG or BMP", for messages.
std::string list_of_kinds();
/// "convert it to PNG or JPEG", or before it the package that a new build would read the kind with.
std::string remedy_of(std::string_view kind);

}  // namespace akin
