#include "nn/split.hpp"

#include <algorithm>
#include <numeric>

#include "kernels/common/error.hpp"
#include "kernels/common/rng.hpp"

namespace akin {

Indices permutation(std::int64_t n, std::uint64_t seed, std::uint32_t stream, std::uint64_t epoch) {
  Indices order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Rng rng(seed, stream, epoch);
  for (std::int64_t i = n - 1; i > 0; --i)  // Fisher-Yates
    std::swap(order[static_cast<std::size_t>(i)], order[rng.below(static_cast<std::uint32_t>(i + 1))]);
  return order;
}

TaskSplit split_task(const std::vector<int>& labels, const std::vector<std::string>& classes,
                     const SplitOptions& options, bool more_elsewhere) {
  constexpr std::uint32_t kStream = 0x73706c74;  // "splt"
  if (options.labels_per_class < 1) fail_usage("{} labels a class: at least 1 is needed", options.labels_per_class);
  if (options.validation < 0 || options.unlabelled < 0)
    fail_usage("sizes of the unlabelled and validation parts must not be negative");
  std::vector<std::int64_t> taken(classes.size(), 0);
  TaskSplit split;
  Indices rest;
  for (const std::int64_t i : permutation(static_cast<std::int64_t>(labels.size()), options.seed, kStream)) {
    const int label = labels[static_cast<std::size_t>(i)];
    AKIN_CHECK(label >= 0 && label < static_cast<int>(classes.size()), "image {} has label {}, the task has {} classes",
               i, label, classes.size());
    auto& n = taken[static_cast<std::size_t>(label)];
    if (n < options.labels_per_class) {
      ++n;
      split.labelled.push_back(i);
    } else {
      rest.push_back(i);
    }
  }
  for (std::size_t c = 0; c < classes.size(); ++c)
    AKIN_CHECK(taken[c] == options.labels_per_class,
               "class '{}' has {} training images, {} labelled ones are wanted; lower --labels-per-class", classes[c],
               taken[c], options.labels_per_class);
  AKIN_CHECK(static_cast<std::int64_t>(rest.size()) + more_elsewhere > options.validation,
             "{} images are left after the labelled ones: too few for {} validation images and an unlabelled part",
             rest.size(), options.validation);
  const auto middle = rest.begin() + options.validation;
  split.validation.assign(rest.begin(), middle);
  const std::int64_t left = rest.end() - middle;
  const std::int64_t wanted = options.unlabelled == 0 ? left : std::min(left, options.unlabelled);
  split.unlabelled.assign(middle, middle + wanted);
  for (Indices* part : {&split.labelled, &split.unlabelled, &split.validation}) std::sort(part->begin(), part->end());
  return split;
}

BatchOrder::BatchOrder(Indices items, std::int64_t batch, std::uint64_t seed, std::uint32_t stream)
    : items_(std::move(items)), batch_(batch), seed_(seed), stream_(stream) {
  AKIN_CHECK(!items_.empty(), "batches: there is no image to draw from");
  AKIN_CHECK(batch_ >= 1, "batches: a batch of {} images; at least 1", batch_);
}

std::vector<AugmentItem> BatchOrder::batch(std::int64_t t) {
  std::vector<AugmentItem> picks;
  for (std::int64_t i = t * batch_; i < (t + 1) * batch_; ++i) {
    const std::int64_t epoch = i / size(), at = i % size();
    if (epoch != epoch_) {
      order_ = permutation(size(), seed_, stream_, static_cast<std::uint64_t>(epoch));
      epoch_ = epoch;
    }
    picks.push_back(
        {items_[static_cast<std::size_t>(order_[static_cast<std::size_t>(at)])], static_cast<std::uint32_t>(epoch)});
  }
  return picks;
}

}  // namespace akin
