#include "nn/data/split.hpp"

#include <algorithm>
#include <cmath>
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

namespace {

/// Takes images of `from`, in order, until each class has wanted[c]; the others stay in `from`.
Indices take_evenly(Indices& from, const std::vector<int>& labels, std::vector<std::int64_t> wanted) {
  Indices taken, rest;
  for (const std::int64_t i : from) {
    const int label = labels[static_cast<std::size_t>(i)];
    if (wanted[static_cast<std::size_t>(label)] > 0) {
      --wanted[static_cast<std::size_t>(label)];
      taken.push_back(i);
    } else {
      rest.push_back(i);
    }
  }
  from = std::move(rest);
  return taken;
}

/// The first `number` of `from`, in order, that leave each class an image.
Indices take_leaving_one(Indices& from, const std::vector<int>& labels, std::vector<std::int64_t> left,
                         std::int64_t number) {
  Indices taken, rest;
  for (const std::int64_t i : from) {
    std::int64_t& own = left[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])];
    if (std::ssize(taken) < number && own > 1) {
      --own;
      taken.push_back(i);
    } else {
      rest.push_back(i);
    }
  }
  from = std::move(rest);
  return taken;
}

void check(const SplitOptions& o) {
  if (o.labels_per_class < 1) fail_usage("{} labels a class: at least 1 is needed", o.labels_per_class);
  if (!(o.fraction >= 0 && o.fraction <= 1) || !(o.validation_fraction >= 0 && o.validation_fraction < 1))
    fail_usage("shares of {} labelled and {} validation images: expected numbers from 0 to 1", o.fraction,
               o.validation_fraction);
  if (o.validation < 0 || o.validation_per_class < 0 || o.unlabelled < 0)
    fail_usage("sizes of the unlabelled and validation parts must not be negative");
}

}  // namespace

TaskSplit split_task(const std::vector<int>& labels, const std::vector<std::string>& classes,
                     const SplitOptions& options, bool more_elsewhere, const Indices* labelled) {
  constexpr std::uint32_t kStream = 0x73706c74;  // "splt"
  check(options);
  const std::size_t C = classes.size();
  std::vector<std::int64_t> images(C, 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    AKIN_CHECK(labels[i] >= 0 && labels[i] < static_cast<int>(C), "image {} has label {}, the task has {} classes", i,
               labels[i], C);
    ++images[static_cast<std::size_t>(labels[i])];
  }
  const auto share = [&](double fraction) {
    std::vector<std::int64_t> counts;
    for (const std::int64_t n : images)
      counts.push_back(std::max<std::int64_t>(1, std::llround(fraction * static_cast<double>(n))));
    return counts;
  };
  const bool all = labelled == nullptr && options.fraction == 0 && options.labels_per_class == kAllLabels;
  TaskSplit split;
  Indices rest = permutation(static_cast<std::int64_t>(labels.size()), options.seed, kStream);
  if (labelled != nullptr) {
    split.labelled = *labelled;
    std::sort(split.labelled.begin(), split.labelled.end());
    std::erase_if(rest,
                  [&](std::int64_t i) { return std::binary_search(split.labelled.begin(), split.labelled.end(), i); });
  } else if (!all) {
    const std::vector<std::int64_t> wanted =
        options.fraction > 0 ? share(options.fraction) : std::vector<std::int64_t>(C, options.labels_per_class);
    for (std::size_t c = 0; c < C; ++c)
      AKIN_CHECK(images[c] >= wanted[c],
                 "class '{}' has {} training images, {} labelled ones are wanted; lower --labels-per-class", classes[c],
                 images[c], wanted[c]);
    split.labelled = take_evenly(rest, labels, wanted);
  }
  const bool even = options.validation_per_class > 0 || options.validation_fraction > 0;
  if (even) {
    const std::vector<std::int64_t> wanted = options.validation_per_class > 0
                                                 ? std::vector<std::int64_t>(C, options.validation_per_class)
                                                 : share(options.validation_fraction);
    std::vector<std::int64_t> left(C, 0);
    for (const std::int64_t i : rest) ++left[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])];
    for (std::size_t c = 0; c < C; ++c) {
      AKIN_CHECK(!all || left[c] > wanted[c],
                 "class '{}' has {} images: too few for {} validation images and a labelled one; lower --validation",
                 classes[c], left[c], wanted[c]);
      AKIN_CHECK(left[c] >= wanted[c],
                 "class '{}' has {} images left after the labelled ones: too few for {} validation "
                 "images",
                 classes[c], left[c], wanted[c]);
    }
    split.validation = take_evenly(rest, labels, wanted);
  }
  if (all) {
    if (!even) split.validation = take_leaving_one(rest, labels, images, options.validation);
    AKIN_CHECK(even || std::ssize(split.validation) == options.validation,
               "{} images in {} classes: too few for {} validation images and a labelled one of each class; lower "
               "--validation",
               labels.size(), C, options.validation);
    split.labelled = std::move(rest);
    for (Indices* part : {&split.labelled, &split.validation}) std::sort(part->begin(), part->end());
    return split;
  }
  const std::int64_t held_out = even ? 0 : options.validation;
  AKIN_CHECK(
      static_cast<std::int64_t>(rest.size()) + more_elsewhere > held_out,
      "{} images are left after the labelled ones: too few for {}an unlabelled part; lower --labels-per-class, take "
      "all of them (--labels-per-class all), or put unlabelled pictures into unlabelled/",
      rest.size(), held_out > 0 ? fmt::format("{} validation images and ", held_out) : "");
  const auto middle = rest.begin() + held_out;
  if (!even) split.validation.assign(rest.begin(), middle);
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

std::vector<AugmentItem> BatchOrder::batch(std::int64_t t) { return batch(Slices{}, t); }

std::vector<AugmentItem> BatchOrder::batch(const Slices& slices, std::int64_t number) {
  const std::int64_t first = slices.step_of(number) * batch_, slice = slices.slice_of(number);
  std::vector<AugmentItem> picks;
  for (std::int64_t i = first + slices.begin(batch_, slice); i < first + slices.begin(batch_, slice + 1); ++i) {
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
