// What a BMP file says of itself, as far as the decoder does not heed it.
#pragma once

#include <string>

#include "engine/io/file.hpp"

namespace akin {

/// More than the two letters that any text may begin with.
bool is_bmp(ByteView file);

/// Throws, naming the image, on kinds of BMP that the decoder does not know.
void check_bmp(ByteView file, const std::string& name);

/// A BMP with a palette, written anew with one of 256 colours and today's header: the decoder counts the colours of
/// OS/2's header wrongly, and takes what lies in memory for a colour that is not there. Empty where the file is another
/// one. Throws, naming the image, where a pixel has no colour in the palette.
Bytes with_full_bmp_palette(ByteView file, const std::string& name);

}  // namespace akin
