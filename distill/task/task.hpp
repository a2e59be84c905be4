// Stage "Task" of the pipeline: the target, a few labelled images and many unlabelled ones.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "distill/task/labels.hpp"
#include "nn/data/image_set.hpp"

namespace akin {

struct TaskOptions {
  std::filesystem::path data;  ///< folder of the target data set, see load_images
  LabelManifest labels;
  ImageFormat format = {};  ///< bring images to one size and colour; 0 = as they are
};

/// The test split, which gives the final figures and must choose nothing: only an Examiner (distill/student/evaluator.hpp) can
/// look into it, so no code that trains or selects does.
class TestSplit {
 public:
  TestSplit() = default;
  explicit TestSplit(ImageSet set) : set_(std::move(set)) {}
  bool empty() const { return set_.labels.empty(); }
  std::size_t size() const { return set_.labels.size(); }

 private:
  friend class Examiner;
  ImageSet set_;
};

struct Task {
  ImageSet pool;  ///< training images; those of an "unlabeled" split follow with label -1
  TestSplit test;
  TaskSplit split;              ///< positions in the pool
  Indices target;               ///< labelled and unlabelled together, ascending: what sources are run on
  Normalization normalization;  ///< of the target images
  std::string hash;             ///< of the pool's content

  std::int64_t classes() const { return static_cast<std::int64_t>(pool.classes.size()); }
};

/// Loads and splits. Where the data set brings an "unlabeled" split, its images join the unlabelled part. The test
/// split is left out: to rank sources takes none.
Task load_task(const TaskOptions& options);
/// The same from sets in memory (`test` and `unlabelled` may be empty).
Task make_task(ImageSet train, ImageSet test, const ImageSet& unlabelled, const SplitOptions& split);
/// The same with the parts that a manifest lists or has drawn; the seed is that of manifest.draw. Error where it was
/// made for other images.
Task make_task(ImageSet train, ImageSet test, const ImageSet& unlabelled, const LabelManifest& manifest);
/// All of the task's split as the text of a manifest: whoever reads it has the same labelled, unlabelled and validation
/// images, whatever the program or seed.
std::string manifest_of(const Task& task, std::uint64_t seed);

/// All training images and those of an "unlabeled" split behind them: the rows of a table source, in order.
ImageSet load_pool(const std::filesystem::path& data, const ImageFormat& format = {});

/// Up to `limit` of `positions`, round by round over the classes so that all are cut alike; ascending. labels[i] is
/// that of position i.
Indices evenly(const Indices& positions, std::span<const int> labels, std::int64_t classes, std::int64_t limit);

/// Up to `limit` labelled images, evenly over the classes: positions in the pool on which similarity is measured.
Indices probe_of(const Task& task, std::int64_t limit = 500);

}  // namespace akin
