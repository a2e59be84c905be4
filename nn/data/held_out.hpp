// A part of labelled pictures held out: a test split for those that come without one, validation pictures of a fit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "nn/data/split.hpp"

namespace akin {

inline constexpr double kHeldOutShare = 0.2;  ///< of each class

/// Positions of the images that go on being training images, and of those held out; both ascending.
struct HeldOut {
  Indices kept, test;
};

/// Holds out a fifth of each class, rounded, but at least one; of a class of fewer than `fewest` none. Who comes first
/// in `order` is taken first, with all that show the same: pictures of equal `pixels` (a hash of each) stay together,
/// on the kept side where a class would lose too many. Positions, `pixels` and `labels` are those that `order` counts
/// by.
HeldOut hold_out_by_order(const Indices& order, const std::vector<std::uint64_t>& pixels,
                          const std::vector<int>& labels, std::int64_t fewest);

/// The same of classes of two or more, by the files' contents: first are those whose files have the lowest
/// SHA-256. So the same pictures are held out on every machine, whatever they are called and whatever the seed. Equal
/// pictures stay together, on the training side where a class would lose too many. `pixels`: the picture_hash of each
/// file, of the picture before it is brought to a format: a model trained at one size is tested at another.
HeldOut hold_out(const std::vector<std::filesystem::path>& files, const std::vector<std::uint64_t>& pixels,
                 const std::vector<int>& labels);

}  // namespace akin
