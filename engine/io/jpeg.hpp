// What a JPEG file says of itself before its pixels are decoded (ITU-T T.81), and whether the decoder can do it.
#pragma once

#include <string>

#include "engine/io/exif.hpp"
#include "engine/io/file.hpp"

namespace akin {

struct JpegHeader {
  Orientation orientation;
  bool cmyk = false;  ///< four components: inks, to be turned into light
};

bool is_jpeg(ByteView file);

/// Walks the segments up to the end mark, as the decoder does, so that none is met there unchecked; what lies behind
/// the end mark (the film of a motion photo, more pictures) does not count. Throws, naming the image and the true
/// reason, on what the decoder cannot do (12 bits, lossless, arithmetic coding, inks without Adobe's mark ...) and on
/// what it would do wrong without a word: tables that are missing or too long, restart marks or components that are
/// lost.
JpegHeader read_jpeg_header(ByteView file, const std::string& name);

}  // namespace akin
