#include "distill/task/task.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/io/sha256.hpp"
#include "nn/data/image_view.hpp"
#include "nn/data/same_form.hpp"

namespace akin {

namespace {

void append(ImageSet& pool, const ImageSet& more) {
  const Shape &a = pool.images.shape(), &b = more.images.shape();
  check_form(pool, more, "unlabelled");
  Array both(DType::u8, {a[0] + b[0], a[1], a[2], a[3]});
  std::memcpy(both.bytes(), pool.images.bytes(), pool.images.byte_size());
  std::memcpy(both.bytes() + pool.images.byte_size(), more.images.bytes(), more.images.byte_size());
  pool.images = std::move(both);
  if (pool.names.empty() || more.names.empty())
    pool.names.clear();
  else
    pool.names.insert(pool.names.end(), more.names.begin(), more.names.end());
  if (pool.originals.empty() != more.originals.empty())  // of one folder they are of one kind
    pool.originals = {};
  else
    pool.originals.append(more.originals);
  pool.labels.resize(static_cast<std::size_t>(pool.images.shape()[0]), -1);  // a was the old images' shape
}

}  // namespace

std::shared_ptr<const TargetImages> target_images(ImageSet train, ImageSet test, const ImageSet& unlabelled) {
  AKIN_CHECK(train.classes.size() >= 2, "{}: a task needs at least two classes, found {}", train.source,
             train.classes.size());
  if (test.images.numel() > 0) check_form(train, test, "test");
  TargetImages out;
  out.training = train.images.shape()[0];
  out.pool = std::move(train);
  out.test = TestSplit(std::move(test));
  if (unlabelled.images.numel() > 0) append(out.pool, unlabelled);
  out.hash = content_hash(out.pool);
  return std::make_shared<const TargetImages>(std::move(out));
}

Task make_task(std::shared_ptr<const TargetImages> images, const LabelManifest& manifest) {
  Task task;
  task.images = std::move(images);
  task.labels = task.pool().labels;
  task.split = split_pool(task.pool(), task.images->training, task.hash(), manifest, task.labels);
  task.target = task.split.labelled;
  task.target.insert(task.target.end(), task.split.unlabelled.begin(), task.split.unlabelled.end());
  std::sort(task.target.begin(), task.target.end());
  task.normalization = measure_normalization(task.pool().images, task.target);
  return task;
}

std::int64_t count_labelled(const TargetImages& images, const LabelManifest& manifest) {
  std::vector<int> labels = images.pool.labels;
  return static_cast<std::int64_t>(
      split_pool(images.pool, images.training, images.hash, manifest, labels).labelled.size());
}

Task make_task(ImageSet train, ImageSet test, const ImageSet& unlabelled, const SplitOptions& split) {
  LabelManifest manifest;
  manifest.draw = split;
  return make_task(target_images(std::move(train), std::move(test), unlabelled), manifest);
}

Task whole_pool(std::shared_ptr<const TargetImages> images) {
  Task task;
  task.images = std::move(images);
  task.target = all_indices(task.pool().images.shape()[0]);
  return task;
}

namespace {

/// The training images, and behind them the unlabelled ones where there are some.
std::vector<ImageSet> load_pool_splits(const std::filesystem::path& data, const ImageFormat& format) {
  std::vector<Split> wanted{Split::train};
  if (has_split(data, Split::unlabeled)) wanted.push_back(Split::unlabeled);
  return load_splits(data, wanted, format);
}

}  // namespace

std::vector<int> labels_of(const Task& task, const Indices& positions) {
  std::vector<int> labels;
  for (const std::int64_t i : positions) labels.push_back(task.labels[static_cast<std::size_t>(i)]);
  return labels;
}

Task load_task(const TaskOptions& options) {
  std::vector<ImageSet> sets = load_pool_splits(options.data, options.format);
  return make_task(target_images(std::move(sets[0]), {}, sets.size() > 1 ? sets[1] : ImageSet{}), options.labels);
}

ImageSet load_pool(const std::filesystem::path& data, const ImageFormat& format) {
  std::vector<ImageSet> sets = load_pool_splits(data, format);
  if (sets.size() > 1) append(sets[0], sets[1]);
  return std::move(sets[0]);
}

std::string doubt_of_validation(const Task& task) {
  constexpr std::int64_t kEnough = 50;
  const std::int64_t n = std::ssize(task.split.validation);
  if (n == 0 || (n >= kEnough && n >= task.classes())) return "";
  // Two standard errors of a share of one half.
  return fmt::format(
      "{} validation images in {} classes: chance moves accuracy on them by up to {:.0f} points, so the best step and "
      "what is said of it tell little; hold out more (--validation), or none",
      n, task.classes(), std::min(50.0, 100 / std::sqrt(static_cast<double>(n))));
}

std::string manifest_of(const Task& task, std::uint64_t seed) {
  return manifest_text(task.pool(), task.labels, task.split, task.hash(), seed);
}

Indices evenly(const Indices& positions, std::span<const int> labels, std::int64_t classes, std::int64_t limit) {
  std::vector<Indices> by_class(static_cast<std::size_t>(classes));
  for (const std::int64_t i : positions)
    by_class[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])].push_back(i);
  Indices picked;
  for (std::size_t round = 0; static_cast<std::int64_t>(picked.size()) < limit; ++round) {
    const std::size_t before = picked.size();
    for (const Indices& c : by_class)
      if (round < c.size() && static_cast<std::int64_t>(picked.size()) < limit) picked.push_back(c[round]);
    if (picked.size() == before) break;
  }
  std::sort(picked.begin(), picked.end());
  return picked;
}

Indices probe_of(const Task& task, std::int64_t limit) {
  return evenly(task.split.labelled, task.labels, task.classes(), limit);
}

}  // namespace akin
