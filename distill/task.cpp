#include "distill/task.hpp"

#include <algorithm>
#include <cstring>

#include "engine/io/sha256.hpp"
#include "nn/evaluate.hpp"

namespace akin {

namespace {

/// Rows `index` of u8 [N,H,W,C].
Array gather(const Array& images, const Indices& index) {
  const Shape& s = images.shape();
  Array out(DType::u8, {static_cast<std::int64_t>(index.size()), s[1], s[2], s[3]});
  const auto row = static_cast<std::size_t>(s[1] * s[2] * s[3]);
  for (std::size_t i = 0; i < index.size(); ++i)
    std::memcpy(out.bytes() + i * row, images.bytes() + static_cast<std::size_t>(index[i]) * row, row);
  return out;
}

void append(ImageSet& pool, const ImageSet& more) {
  const Shape &a = pool.images.shape(), &b = more.images.shape();
  AKIN_CHECK(a[1] == b[1] && a[2] == b[2] && a[3] == b[3],
             "{}: unlabelled images are {}x{}x{}, training images {}x{}x{}; bring them to one size", more.source, b[1],
             b[2], b[3], a[1], a[2], a[3]);
  Array both(DType::u8, {a[0] + b[0], a[1], a[2], a[3]});
  std::memcpy(both.bytes(), pool.images.bytes(), pool.images.byte_size());
  std::memcpy(both.bytes() + pool.images.byte_size(), more.images.bytes(), more.images.byte_size());
  pool.images = std::move(both);
  pool.labels.resize(static_cast<std::size_t>(pool.images.shape()[0]), -1);  // a was the old images' shape
}

}  // namespace

Task make_task(ImageSet train, ImageSet test, const ImageSet& unlabelled, const SplitOptions& split) {
  AKIN_CHECK(train.classes.size() >= 2, "{}: a task needs at least two classes, found {}", train.source,
             train.classes.size());
  const Shape &a = train.images.shape(), &b = test.images.shape();
  AKIN_CHECK(test.images.numel() == 0 || (a[1] == b[1] && a[2] == b[2] && a[3] == b[3]),
             "{}: test images are {}x{}x{}, training images {}x{}x{}", test.source, b[1], b[2], b[3], a[1], a[2], a[3]);
  Task task;
  const std::int64_t more = unlabelled.images.numel() > 0 ? unlabelled.images.shape()[0] : 0;
  SplitOptions own = split;
  if (more > 0) own.unlabelled = 0;  // all that are left; both kinds are drawn from below
  task.split = split_task(train.labels, train.classes, own, more > 0);
  task.pool = std::move(train);
  task.test = std::move(test);
  if (more > 0) {
    const std::int64_t first = task.pool.images.shape()[0];
    append(task.pool, unlabelled);
    Indices& all = task.split.unlabelled;
    for (std::int64_t i = 0; i < more; ++i) all.push_back(first + i);
    if (split.unlabelled > 0 && static_cast<std::int64_t>(all.size()) > split.unlabelled) {
      constexpr std::uint32_t kStream = 0x6d6f7265;  // "more"
      Indices drawn = permutation(static_cast<std::int64_t>(all.size()), split.seed, kStream);
      drawn.resize(static_cast<std::size_t>(split.unlabelled));
      for (std::int64_t& i : drawn) i = all[static_cast<std::size_t>(i)];
      std::sort(drawn.begin(), drawn.end());
      all = std::move(drawn);
    }
  }
  task.target = task.split.labelled;
  task.target.insert(task.target.end(), task.split.unlabelled.begin(), task.split.unlabelled.end());
  std::sort(task.target.begin(), task.target.end());
  task.normalization = measure_normalization(gather(task.pool.images, task.target));
  task.hash = content_hash(task.pool);
  return task;
}

Task load_task(const TaskOptions& options) {
  ImageSet unlabelled;
  if (has_split(options.data, Split::unlabeled))
    unlabelled = load_images(options.data, Split::unlabeled, options.format);
  return make_task(load_images(options.data, Split::train, options.format), {}, unlabelled, options.split);
}

ImageSet load_pool(const std::filesystem::path& data, const ImageFormat& format) {
  ImageSet pool = load_images(data, Split::train, format);
  if (has_split(data, Split::unlabeled)) append(pool, load_images(data, Split::unlabeled, format));
  return pool;
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
  return evenly(task.split.labelled, task.pool.labels, task.classes(), limit);
}

}  // namespace akin
