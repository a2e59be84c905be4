// CIFAR-10 and CIFAR-100 binary batches: records of label bytes and 3072 pixel bytes, red, green and blue planes.
// Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
#pragma once

#include <filesystem>
#include <vector>

#include "engine/dtype.hpp"
#include "engine/io/file.hpp"

namespace akin {

struct CifarBatch {
  Array images;             ///< u8 [N,32,32,3]
  std::vector<int> labels;  ///< 0..9, or CIFAR-100's fine labels 0..99
  std::vector<int> coarse;  ///< CIFAR-100's 0..19; empty for CIFAR-10
};

/// Throws, naming the file, on a length that is no multiple of the record, and on a label out of range.
CifarBatch read_cifar10(const std::filesystem::path& path);
CifarBatch read_cifar100(const std::filesystem::path& path);

}  // namespace akin
