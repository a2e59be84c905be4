// Pictures that are there more than once: a test image that was trained on tells nothing.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nn/data/account.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {

struct ImageSet;

/// The splits of one data set, and how to call their images: by file, or where `files` is empty by number.
struct NamedSplit {
  Split split;
  const ImageSet* set;
  std::vector<std::string> files;
};

/// Warns of images of equal pixels: test images that are training or unlabelled images too, and training images that
/// are there twice, in one class or in two. One pass over the pixels and 16 bytes an image.
void account_for_repeats(std::span<const NamedSplit> splits, Account& account);

}  // namespace akin
