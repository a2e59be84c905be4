// What a PNG file says of itself before its pixels are decoded (ISO/IEC 15948), and whether the decoder can do it.
#pragma once

#include <string>

#include "engine/io/exif.hpp"
#include "engine/io/file.hpp"

namespace akin {

struct PngHeader {
  Orientation orientation;
  int bits = 0;           ///< of a sample
  bool animated = false;  ///< the decoder shows what viewers without animation show
  bool alpha = false;     ///< may have transparent pixels
  bool palette = false;
  int colours = 0;  ///< of the palette
};

bool is_png(ByteView file);

/// Walks the chunks up to the end mark; what lies behind it does not count. Throws, naming the image, where a check sum
/// is wrong (the decoder does not look at them), a chunk is cut off, and on Apple's own variant.
PngHeader read_png_header(ByteView file, const std::string& name);

/// The PNG file with its palette filled up to 256 colours, of which those that were not there, and no others, are
/// transparent through and through: the decoder takes what lies in memory for a colour that is not there. Check sums
/// are not kept right.
Bytes with_full_palette(ByteView file);

}  // namespace akin
