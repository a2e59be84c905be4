// Pictures that are there more than once: a test image that was trained on tells nothing.
#pragma once

#include <span>

#include "nn/data/account.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {

struct ImageSet;

/// A split of a data set; its images are called by their names, or where it has none by number.
struct NamedSplit {
  Split split;
  const ImageSet* set;
};

/// Warns of images of equal pixels: test images that are training or unlabelled images too, and training or test images
/// that are there twice, in one class or in two. Notes unlabelled images that are training images too. One pass over
/// the pixels and 16 bytes an image.
void account_for_repeats(std::span<const NamedSplit> splits, Account& account);

}  // namespace akin
