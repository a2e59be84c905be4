// Running a trained network over a data set: features, logits, predictions, accuracy. No gradients, no augmentation.
#pragma once

#include <functional>
#include <span>

#include "engine/io/image.hpp"
#include "nn/data/image_view.hpp"
#include "nn/network.hpp"

namespace akin {

/// What a network says of N images.
struct Outputs {
  Array features;  ///< f32 [N, D]
  Array logits;    ///< f32 [N, C]
};

/// Which of a network's heads speaks (nn/network.hpp).
enum class Head { predicted, labels, taught };

struct RunOptions {
  std::int64_t batch = 0;              ///< 0: as many as suit the device
  std::int64_t height = 0, width = 0;  ///< bring images to this size before (resize_images); 0: as they are
  Fit fit = {};                        ///< how
  std::function<void(std::int64_t)> progress = {};  ///< called with the number of images done
  Head head = Head::predicted;
  /// The last batch is filled up with copies of its last image, so that no row depends on how many images there are:
  /// equal images give equal bits, whatever stands beside them.
  bool whole_batches = false;
};

/// How many images of `area` pixels run_network takes at once.
std::int64_t images_at_once(Device device, std::int64_t area);

/// With several ranks in the Context all of them call it, and each does a part: the same bits, on all.
/// `images` u8 [M,H,W,C]; `index` picks N of them. Error where the image channels cannot be brought to the network's.
Outputs run_network(Context& ctx, const Network& network, const Array& images, std::span<const std::int64_t> index,
                    const Normalization& normalization, const RunOptions& options = {});

/// Rank r has computed rows begin(r) .. begin(r + 1) of `values` f32 [N, ...]; then all have all of them.
void share_rows(Ranks& ranks, const std::function<std::int64_t(std::int64_t rank)>& begin, Array& values);

/// Index of the largest logit of each row (the lower one of equals); NaN rows are refused.
std::vector<int> argmax_rows(const Array& logits);
/// Softmax of each row: f32 [N, C].
Array softmax_rows(const Array& logits);
/// Share of equal entries, in 0..1; both lists have one entry an image.
double accuracy(std::span<const int> predictions, std::span<const int> labels);

}  // namespace akin
