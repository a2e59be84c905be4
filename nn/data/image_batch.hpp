// From image numbers to the network's input, on any device: the CPU reads the set where it lies; for a GPU the host
// gathers bytes, and a kernel augments them there.
#pragma once

#include <span>

#include "kernels/augment.hpp"
#include "nn/data/feed.hpp"
#include "nn/data/slices.hpp"
#include "nn/data/split.hpp"

namespace akin {

/// What the host hands over for B images.
struct ImageParts {
  Tensor items;   ///< u8 [B, sizeof(AugmentItem)]: the items' bytes
  Tensor pixels;  ///< u8 [B, H, W, C]; undefined on the CPU
  void each(auto&& f, auto&... others) {
    f("items", items, others.items...);
    f("pixels", pixels, others.pixels...);
  }
};

/// In host memory. Throws Error on a number outside the set.
ImageParts gather_images(Context& ctx, const ImageView& set, std::span<const AugmentItem> items);

/// The same on the device, when no Feed brings them there.
ImageParts upload(Context& ctx, const ImageParts& parts);

/// Rows begin..end-1 of `parts` (on the device), augmented and normalised: [end - begin, H, W, K] in the type of the
/// Context's activations. `set` is read on the CPU only.
Tensor augment_images(Context& ctx, const ImageView& set, const ImageParts& parts, std::int64_t begin, std::int64_t end,
                      const AugmentOptions& options, const Normalization& normalization, std::uint64_t seed);

/// What the host hands over for a batch of supervised training.
struct LabelledHost {
  ImageParts images;
  Tensor targets;  ///< i64 [B]
  void each(auto&& f, auto&... others) {
    images.each(f, others.images...);
    f("targets", targets, others.targets...);
  }
};

/// A batch of supervised training, on the device.
struct LabelledBatch {
  Tensor images;   ///< [B, H, W, C] in the type of the Context's activations
  Tensor targets;  ///< i64 [B]
  void each(auto&& f, auto&... others) {
    f("images", images, others.images...);
    f("targets", targets, others.targets...);
  }
};

using LabelledFeed = Feed<LabelledHost, LabelledBatch>;

/// Makes the batches of supervised training, or with `slices` those of this rank's slices, one after the other. Keeps
/// references to images and labels; `labels` has one entry an image, which counts as -1 where it is missing.
class LabelledBatches {
 public:
  LabelledBatches(Context& ctx, const Array& images, std::span<const int> labels, BatchOrder order,
                  const AugmentOptions& augment, Normalization normalization, std::uint64_t seed,
                  const Slices& slices = {});
  /// Batch number i: slice slices.slice_of(i) of step slices.step_of(i).
  LabelledHost make(std::int64_t i);
  LabelledBatch finish(const LabelledHost& host) const;
  /// Batches from step `first` on, made in the background; this object must outlive it.
  std::unique_ptr<LabelledFeed> feed(std::int64_t first);

 private:
  Context& ctx_;
  ImageView images_;
  std::span<const int> labels_;
  BatchOrder order_;
  AugmentOptions augment_;
  Normalization normalization_;
  std::uint64_t seed_;
  Slices slices_;
};

}  // namespace akin
