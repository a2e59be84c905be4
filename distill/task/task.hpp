// Stage "Task" of the pipeline: the target, a few labelled images and many unlabelled ones.
#pragma once

#include <filesystem>
#include <memory>
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

/// The test split, which gives the final figures and must choose nothing: only an Evaluator
/// (distill/student/evaluator.hpp) can look into it, so no code that trains or selects does.
class TestSplit {
 public:
  TestSplit() = default;
  explicit TestSplit(ImageSet set) : set_(std::move(set)) {}
  bool empty() const { return set_.labels.empty(); }
  std::size_t size() const { return set_.labels.size(); }
  /// content_hash; tells nothing of what the images show.
  std::string hash() const { return content_hash(set_); }

 private:
  friend class Evaluator;
  ImageSet set_;
};

/// A target's images, read and hashed once and shared by all of its tasks.
struct TargetImages {
  ImageSet pool;  ///< training images; those of an "unlabeled" split follow with label -1
  TestSplit test;
  std::int64_t training = 0;  ///< images of the pool that are training images
  std::string hash;           ///< of the pool's content
};

/// `test` and `unlabelled` may be empty. Error where they are of another size or colour than `train`, or where there is
/// one class only.
std::shared_ptr<const TargetImages> target_images(ImageSet train, ImageSet test, const ImageSet& unlabelled = {});

struct Task {
  std::shared_ptr<const TargetImages> images;
  std::vector<int> labels;      ///< of the pool; a manifest may know some of unlabelled images
  TaskSplit split;              ///< positions in the pool
  Indices target;               ///< labelled and unlabelled together, ascending: what sources are run on
  Normalization normalization;  ///< of the target images

  const ImageSet& pool() const { return images->pool; }
  const TestSplit& test() const { return images->test; }
  const std::string& hash() const { return images->hash; }
  std::int64_t classes() const { return static_cast<std::int64_t>(pool().classes.size()); }
};

/// Of those positions in the pool.
std::vector<int> labels_of(const Task& task, const Indices& positions);

/// Loads and splits. Where the data set brings an "unlabeled" split, its images join the unlabelled part. The test
/// split is left out: to rank sources takes none.
Task load_task(const TaskOptions& options);
/// The parts that a manifest lists or has drawn, by the seed of manifest.draw. Error where it was made for other
/// images.
Task make_task(std::shared_ptr<const TargetImages> images, const LabelManifest& manifest);
/// How many labelled images that task has, without making it.
std::int64_t count_labelled(const TargetImages& images, const LabelManifest& manifest);
/// All parts drawn.
Task make_task(ImageSet train, ImageSet test, const ImageSet& unlabelled, const SplitOptions& split);
/// All images as the target, none of them labelled: what sources say of each.
Task whole_pool(std::shared_ptr<const TargetImages> images);
/// Why its validation images are too few to choose a step or a student by, or "": fewer than 50, or than the classes.
std::string doubt_of_validation(const Task& task);
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
