// WebP (RFC 9649) through libwebp. Of an animation the first picture, on its canvas: where that does not reach,
// transparent black, as viewers and Pillow have it.
#pragma once

#include <string>

#include "engine/io/picture_readers.hpp"

namespace akin {

StoredPicture read_webp_header(ByteView file, const std::string& name);
Array read_webp_pixels(ByteView file, const std::string& name, const StoredPicture& header);

}  // namespace akin
