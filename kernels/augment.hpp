// augment: a batch of images from a data set of bytes, converted to float, transformed at random and normalised.
//   clean      y[b,h,w,c] = (x[i_b,h,w,c] / 255 - mean[c]) / std[c]
//   geometry   output pixel q shows input pixel  c + M^-1 (q - c - t),  M = scale rotate(angle) shear flip,
//              flip = diag(+-1, +-1) in (x, y),  c = centre,  t = (dx, dy). Only shift and flip: whole pixels, values
//              untouched. Otherwise bilinear.
//   light      v' = clamp(m + contrast (v - m) + 255 brightness, 0, 255), m = the transformed image's mean over all
//              channels
//   cutout     a square of the mean colour (0 after normalisation) around a random pixel, cut off at the border
//              (DeVries, Taylor, "Improved regularization of convolutional neural networks with cutout", 2017)
// The random numbers of an image depend on (seed, epoch, image, options.view) alone: not on the batch, its order or the
// thread. All eleven numbers are drawn whatever the options, so that turning one on leaves the others as they were.
// Shapes: images u8 [N, H, W, C]; out f32 [B, H, W, K], K = size of mean: K = C, or K = 1 (mean of C channels), or C =
// 1 (repeated K times). FLOPs: about 3 an element clean, 12 bilinear. Bytes: reads H W C, writes 4 H W K an image.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/common/rng.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

/// Images of one size, in memory of the caller.
struct ImageView {
  const std::uint8_t* data;
  std::int64_t N, H, W, C;
};

/// Per output channel, for values in 0..1.
struct Normalization {
  std::vector<float> mean, std;
};

/// What an image shows beyond its border.
enum class Border { black, edge, mean };

/// Which ways every second image is mirrored; of hv, each way for itself.
enum class Flip : std::uint8_t {
  none = 0,
  h = 1,  ///< left-right
  v = 2,  ///< upside down
  hv = h | v
};

/// All zero (the default): no change but the normalisation.
struct AugmentOptions {
  int shift = 0;                        ///< |dx|, |dy| at most, pixels; "crop with padding p" is shift = p
  Flip flip = Flip::none;               ///< not for characters
  float rotate = 0;                     ///< |angle| at most, radians
  float shear = 0;                      ///< |x shift per y| at most
  float scale_low = 1, scale_high = 1;  ///< size factor
  float brightness = 0;                 ///< |added| at most, 1 = from black to white
  float contrast = 0;                   ///< factor from 1 - contrast to 1 + contrast
  int cutout = 0;                       ///< side of the square, pixels; 0 = none
  Border border = Border::black;
  std::uint32_t view = 0;  ///< two views of one image in one epoch (weak, strong) draw different numbers

  AKIN_HOST_DEVICE bool flips(Flip way) const {
    return (static_cast<unsigned>(flip) & static_cast<unsigned>(way)) != 0;
  }
  /// False: whole-pixel moves only, no interpolation.
  AKIN_HOST_DEVICE bool affine() const { return rotate != 0 || shear != 0 || scale_low != 1 || scale_high != 1; }
};

/// Presets for images of `side` pixels, which move by `shift` at most; kShiftBySide: weak by 2 pixels at 28, 4 at 32,
/// 1/8 of the side above, strong by 1/8.
inline constexpr std::int64_t kShiftBySide = -1;
AugmentOptions augment_weak(std::int64_t side, Flip flip, std::int64_t shift = kShiftBySide);
/// The strong view of FixMatch (Sohn et al., NeurIPS 2020): every distortion at once, each milder than RandAugment's
/// strongest (akin's choice).
AugmentOptions augment_strong(std::int64_t side, Flip flip, std::int64_t shift = kShiftBySide);

/// Error where a shift may leave nothing of the image.
void check_shift(std::int64_t side, std::int64_t shift);

/// What was drawn for one image.
struct AugmentParams {
  float dx = 0, dy = 0;  ///< pixels; whole numbers unless options.affine()
  bool flip_h = false, flip_v = false;
  float angle = 0, shear = 0, scale = 1;
  float brightness = 0, contrast = 1;
  std::int64_t cut_x = 0, cut_y = 0;  ///< the square's centre
};
/// The same bits on every device.
AKIN_HOST_DEVICE inline AugmentParams draw_augment(const AugmentOptions& o, std::int64_t H, std::int64_t W,
                                                   std::uint64_t seed, std::uint32_t epoch, std::int64_t image) {
  // The top byte keeps these streams apart from every other use of (seed, epoch, index).
  Rng rng(seed, epoch, static_cast<std::uint64_t>(image) | (std::uint64_t{o.view} + 1) << 56);
  const auto reach = static_cast<float>(o.shift);
  const auto whole = [&] { return static_cast<float>(rng.below(2 * static_cast<std::uint32_t>(o.shift) + 1)) - reach; };
  AugmentParams p;
  p.dx = o.affine() ? rng.uniform(-reach, reach) : whole();
  p.dy = o.affine() ? rng.uniform(-reach, reach) : whole();
  p.flip_h = rng.below(2) == 1 && o.flips(Flip::h);
  p.angle = rng.uniform(-o.rotate, o.rotate);
  p.shear = rng.uniform(-o.shear, o.shear);
  p.scale = rng.uniform(o.scale_low, o.scale_high);
  p.brightness = rng.uniform(-o.brightness, o.brightness);
  p.contrast = rng.uniform(1 - o.contrast, 1 + o.contrast);
  p.cut_x = rng.below(static_cast<std::uint32_t>(W));
  p.cut_y = rng.below(static_cast<std::uint32_t>(H));
  p.flip_v = rng.below(2) == 1 && o.flips(Flip::v);  // last: what came before it stayed as it was
  return p;
}

/// One row of a batch. The epoch counts passes over the data, so that an image drawn twice looks different.
struct AugmentItem {
  std::int64_t image;
  std::uint32_t epoch;
};

constexpr Work augment_work(const ImageView& images, std::int64_t B, std::int64_t channels, bool affine,
                            std::size_t size) {
  const std::int64_t pixels = B * images.H * images.W;
  Work work = elementwise_work(pixels * channels, affine ? 12 : 3, 1, size);
  return work += elementwise_work(pixels * images.C, 0, 1, 1);
}

/// Throws Error on channel counts that do not fit, std <= 0 and options out of range.
void check_augment(const ImageView& images, const AugmentOptions& options, const Normalization& normalization);

/// `gathered`: image b of `images` belongs to items[b], whose `image` then is only a name for the random numbers; else
/// items[b].image is its place, and one outside 0..N-1 is an Error on the CPU and makes that image NaN on a device. T
/// is float or bf16, worked out in float, coordinates in double. A device: at most 16 output channels; whole-pixel
/// moves show the same pixels as on the CPU, other values differ by the rounding of coordinates. One launch; with light
/// each value is computed twice (the mean comes first), the source then lies in the cache.
template <class Dev, class T>
void augment(const Stream<Dev>& stream, const ImageView& images, bool gathered, const AugmentItem* items,
             std::int64_t B, const AugmentOptions& options, const Normalization& normalization, std::uint64_t seed,
             T* out);

}  // namespace akin
