// Which images are labelled, unlabelled and held out, and in which order they are drawn: functions of the seed alone.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "kernels/augment.hpp"
#include "nn/data/slices.hpp"

namespace akin {

using Indices = std::vector<std::int64_t>;

/// 0..n-1 in random order.
Indices permutation(std::int64_t n, std::uint64_t seed, std::uint32_t stream = 0, std::uint64_t epoch = 0);

/// Labels a class: all that validation leaves.
inline constexpr std::int64_t kAllLabels = std::numeric_limits<std::int64_t>::max();

struct SplitOptions {
  std::int64_t labels_per_class = 2;
  double fraction = 0;              ///< > 0: this share of each class instead, at least one image
  std::int64_t unlabelled = 10000;  ///< at most this many; 0 = all that are left
  // Held out for model selection, taken after the labelled ones, or before where all are labelled: so many in all, of
  // each class, or this share of each.
  std::int64_t validation = 0;
  std::int64_t validation_per_class = 0;
  double validation_fraction = 0;
  std::uint64_t seed = 0;
};

/// Disjoint parts of a training set, each in ascending order.
struct TaskSplit {
  Indices labelled, unlabelled, validation;
};

/// Draws the parts at random, the labelled ones evenly over the classes. Throws, naming class and counts, where a class
/// has too few images, and where nothing is left unlabelled, unless `more_elsewhere` says that other images will be, or
/// all are labelled.
/// `labelled`: these are the labelled ones, and only the others are drawn.
TaskSplit split_task(const std::vector<int>& labels, const std::vector<std::string>& classes,
                     const SplitOptions& options, bool more_elsewhere = false, const Indices* labelled = nullptr);

/// An endless stream of shuffled epochs over `items`, cut into batches; a batch may span epochs, so a set smaller than
/// the batch works. Batch t depends on (seed, stream, t) alone: a run resumes anywhere.
class BatchOrder {
 public:
  BatchOrder(Indices items, std::int64_t batch, std::uint64_t seed, std::uint32_t stream);
  std::vector<AugmentItem> batch(std::int64_t t);
  /// Batch number i of a feed of slices: a slice of batch slices.step_of(i).
  std::vector<AugmentItem> batch(const Slices& slices, std::int64_t i);
  std::int64_t batch_size() const { return batch_; }
  std::int64_t size() const { return static_cast<std::int64_t>(items_.size()); }

 private:
  Indices items_;
  std::int64_t batch_;
  std::uint64_t seed_;
  std::uint32_t stream_;
  std::int64_t epoch_ = -1;
  Indices order_;  // of epoch_
};

}  // namespace akin
