// Picture sheets: many small images in one PNG, one image a row. CIFAR-10 is published that way for browsers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine/dtype.hpp"

namespace akin {

/// A sheet of N rows and height * width columns, each row one image read line by line, as u8 [N, height, width,
/// channels]. Throws, naming the file, where the sheet has another width.
Array read_sheet(const std::filesystem::path& path, int height, int width, int channels = 3);

/// A JSON list of `count` whole numbers from 0 to classes - 1. Throws, naming the file, on anything else.
std::vector<int> read_sheet_labels(const std::filesystem::path& path, std::int64_t count, int classes);

/// Writes CIFAR-10 as IDX files under MNIST's names (train-images-idx4-ubyte [N,32,32,3], train-labels-idx1-ubyte,
/// t10k-*) and classes.txt to the folder `to`, from the sheets data_batch_1.png to data_batch_5.png and test_batch.png
/// with train_lables.json and test_lables.json (so spelled there) in `from`. Everything is read and checked before the
/// first file is written. The images are not compressed: photographs hardly shrink, and plain files load at once.
void convert_cifar10_sheets(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace akin
