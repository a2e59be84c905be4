// TIFF (revision 6.0, BigTIFF) through libtiff: the first page of 1, 2, 4, 8 or 16 bits a sample, as grey, colours of a
// palette, RGB, YCbCr or inks.
#pragma once

#include <string>

#include "engine/io/picture_readers.hpp"

namespace akin {

StoredPicture read_tiff_header(ByteView file, const std::string& name);
Array read_tiff_pixels(ByteView file, const std::string& name, const StoredPicture& header);

}  // namespace akin
