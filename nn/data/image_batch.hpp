// From image numbers to the network's input, on any device: the CPU reads the set where it lies; for a GPU the host
// gathers bytes, and a kernel augments them there.
#pragma once

#include <span>

#include "kernels/augment.hpp"
#include "nn/data/feed.hpp"
#include "nn/data/split.hpp"

namespace akin {

/// What the host hands over for B images.
struct ImageParts {
  Tensor items;   ///< u8 [B, sizeof(AugmentItem)]: the items' bytes
  Tensor pixels;  ///< u8 [B, H, W, C]; undefined on the CPU
};

/// In host memory. Throws Error on a number outside the set.
ImageParts gather_images(Context& ctx, const ImageView& set, std::span<const AugmentItem> items);

/// The same on the device, when no Feed brings them there.
ImageParts upload(Context& ctx, const ImageParts& parts);

/// Rows begin..end-1 of `parts` (on the device), augmented and normalised: [end - begin, H, W, K] in the type of the
/// Context's activations. `set` is read on the CPU only.
Tensor augment_images(Context& ctx, const ImageView& set, const ImageParts& parts, std::int64_t begin, std::int64_t end,
                      const AugmentOptions& options, const Normalization& normalization, std::uint64_t seed);

/// The batches of supervised training: {images, targets i64 [B]}. Keeps references to images and labels; `labels` has
/// one entry an image, which counts as -1 where it is missing.
class LabelledBatches {
 public:
  LabelledBatches(Context& ctx, const Array& images, std::span<const int> labels, BatchOrder order,
                  const AugmentOptions& augment, Normalization normalization, std::uint64_t seed);
  Parts make(std::int64_t t);
  StepBatch finish(const Parts& parts) const;
  /// Batches first, first + 1, ... made in the background; this object must outlive it.
  std::unique_ptr<Feed> feed(std::int64_t first);

 private:
  Context& ctx_;
  ImageView images_;
  std::span<const int> labels_;
  BatchOrder order_;
  AugmentOptions augment_;
  Normalization normalization_;
  std::uint64_t seed_;
};

}  // namespace akin
