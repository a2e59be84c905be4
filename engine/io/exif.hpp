// EXIF data of a picture, as far as akin heeds them: which way up it is.
#pragma once

#include "engine/dtype.hpp"
#include "engine/io/file.hpp"

namespace akin {

struct Orientation {
  int value = 1;        ///< 1 to 8, as EXIF 2.32 numbers them: 6 says "turn a quarter clockwise to see it upright"
  bool broken = false;  ///< the data could not be read up to the answer; the value is 1 then
};

/// Orientation of the first directory (IFD0) of EXIF data, which are a TIFF file; "Exif\0\0" may stand before it. That
/// of a thumbnail inside does not count. Data that say nothing of it, or 0, mean 1.
Orientation exif_orientation(ByteView exif);

/// The u8 [H,W,C] picture upright: what its viewers show. Height and width change places for 5 to 8.
Array upright(const Array& image, int orientation);

}  // namespace akin
