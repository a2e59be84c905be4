// Data sets in a few binary files: IDX and CIFAR.
#pragma once

#include "nn/data/image_set.hpp"

namespace akin {

/// One split of IDX files. Sizes are compared with each other, and labels with what a class number can be, before what
/// they ask for is allocated. Throws, naming file and cause.
ImageSet load_idx(const SetLayout& layout, Split split, const ImageFormat& format);

/// One split of CIFAR's binary files.
ImageSet load_cifar(const SetLayout& layout, Split split);

}  // namespace akin
