// GIF (87a, 89a) through giflib: the first picture, on its canvas.
#pragma once

#include <string>

#include "engine/io/picture_readers.hpp"

namespace akin {

StoredPicture read_gif_header(ByteView file, const std::string& name);
Array read_gif_pixels(ByteView file, const std::string& name, const StoredPicture& header);

}  // namespace akin
