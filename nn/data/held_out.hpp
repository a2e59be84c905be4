// A test split for pictures that come without one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "nn/data/split.hpp"

namespace akin {

inline constexpr double kTestShare = 0.2;  ///< of each class

/// Positions of the images that go on being training images, and of those held out; both ascending.
struct HeldOut {
  Indices kept, test;
};

/// Holds out a fifth of each class, rounded, of a class of two or more at least one: those whose files have the lowest
/// SHA-256. So the same pictures are held out on every machine, whatever they are called and whatever the seed. Equal
/// pictures stay together, on the training side where a class would lose too many. `pixels`: the picture_hash of each
/// file, of the picture before it is brought to a format: a model trained at one size is tested at another.
HeldOut hold_out(const std::vector<std::filesystem::path>& files, const std::vector<std::uint64_t>& pixels,
                 const std::vector<int>& labels);

}  // namespace akin
