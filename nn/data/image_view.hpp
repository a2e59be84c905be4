// Images of a set as the kernels take them, and parts of a set.
#pragma once

#include <span>

#include "engine/dtype.hpp"
#include "kernels/augment.hpp"
#include "nn/data/split.hpp"

namespace akin {

/// Images `index` of u8 [M,H,W,C], copied: [N,H,W,C].
Array pick_images(const Array& images, std::span<const std::int64_t> index);
/// 0..n-1
Indices all_indices(std::int64_t n);
/// Mean and standard deviation of each channel over all images, of values in 0..1; a constant channel gets std 1.
Normalization measure_normalization(const Array& images);
/// The same over images `index` alone.
Normalization measure_normalization(const Array& images, std::span<const std::int64_t> index);
/// View of u8 [N,H,W,C] for the augment kernel.
ImageView view_of(const Array& images);

}  // namespace akin
