// Pictures that are there more than once: a test image that was trained on tells nothing.
#pragma once

#include <cstdint>
#include <span>

#include "engine/dtype.hpp"
#include "nn/data/account.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {

struct ImageSet;

/// A split of a data set; its images are called by their names, or where it has none by number.
struct NamedSplit {
  Split split;
  const ImageSet* set;
};

/// Of the pixels of one image: equal for equal pixels, on every machine of this byte order, and almost never else.
std::uint64_t pixel_hash(const std::uint8_t* pixels, std::size_t bytes);

/// Of a picture u8 [H,W,1 or 3] as its file has it: of shape and pixels, the same for grey that is kept as colour.
std::uint64_t picture_hash(const Array& picture);

/// Warns of images of equal pixels: test images that are training or unlabelled images too, and training or test images
/// that are there twice, in one class or in two. Notes unlabelled images that are training images too. One pass over
/// the pixels and 16 bytes an image.
void account_for_repeats(std::span<const NamedSplit> splits, Account& account);

}  // namespace akin
