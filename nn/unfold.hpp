// Batch norms for a network whose own were folded into its convolutions. Folded it runs well and trains badly: nothing
// keeps the scale of its maps.
#pragma once

#include <memory>
#include <span>

#include "kernels/augment.hpp"
#include "nn/data/image_view.hpp"
#include "nn/network.hpp"

namespace akin {

/// How many images calibrate, where there are as many.
inline constexpr std::int64_t kCalibrationImages = 256;

/// What the batch norms of an unfolded network were measured on.
struct UnfoldReport {
  std::int64_t images = 0;
  bool alike = false;                    ///< all of them are one picture
  std::int64_t channels = 0, still = 0;  ///< of all convolutions; those whose output is one number on all images
};

/// Whether it is a graph network with a convolution that has a bias and no norm.
bool is_folded(const Network& network);

/// The same function with a batch norm behind every convolution that had a bias b and none. With m and v, mean and
/// variance of the convolution's output over the calibration images: running mean m, running variance v, scale
/// sqrt(v + eps), shift m + b. In evaluation nothing changes but roundings; in training the norm does its work.
/// `images` u8 [N, H, W, C], N >= 1, are shown as `normalization` has it, at most kCalibrationImages evenly from all of
/// `index`. The network's architecture says the norms, so that files and exports follow. Error where it is not folded.
std::unique_ptr<Network> unfold_batchnorm(Context& ctx, const Network& folded, const Array& images,
                                          std::span<const std::int64_t> index, const Normalization& normalization,
                                          UnfoldReport* report = nullptr);

}  // namespace akin
