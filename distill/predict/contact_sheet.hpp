// One picture of many: small ones in rows, a block for each class, with what was said of them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/dtype.hpp"

namespace akin {

struct SheetPicture {
  std::filesystem::path file;
  int class_number = 0;
  double probability = 0;
};

/// Pictures on a sheet, at most: a class that has more than its share shows some, evenly from its surest to its least
/// sure one.
inline constexpr std::size_t kMostOnSheet = 600;

/// u8 [H, W, 3]: for each class that has pictures, in the order of the classes, a line with its name and how many it
/// has, then its pictures, the surest first, each with its probability and the name of its file below. Whole pictures,
/// upright, brought to 128 pixels. Letters beyond ASCII lose their accents or become "?". A file that cannot be read
/// any more is an empty frame.
Array contact_sheet(std::vector<SheetPicture> pictures, const std::vector<std::string>& classes, int columns);

}  // namespace akin
