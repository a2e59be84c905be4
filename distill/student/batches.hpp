// What a step of a student reads: labelled images, unlabelled ones, and what the teachers say of those.
#pragma once

#include <vector>

#include "distill/student/train.hpp"
#include "nn/data/image_batch.hpp"

namespace akin {

/// What the host hands over for a step of L labelled and, by method, U unlabelled images.
struct StudentHost {
  ImageParts images;  ///< of L + U images
  Tensor targets;     ///< i64 [L]
  Tensor teacher;     ///< [U, sum of C_s]: what the teachers say of the clean images; undefined where it is not used
  void each(auto&& f, auto&... others) {
    images.each(f, others.images...);
    f("targets", targets, others.targets...);
    f("teacher", teacher, others.teacher...);
  }
};

/// What the loss reads, on the device.
struct StudentBatch {
  Tensor images;              ///< [L + U, H, W, C], and U more below with pseudo-labels: the strong views
  Tensor targets, teacher;    ///< as in StudentHost
  std::vector<Tensor> views;  ///< the U images as the student sees them, for each teacher; empty with cached logits
  void each(auto&& f, auto&... others) {
    f("images", images, others.images...);
    f("targets", targets, others.targets...);
    f("teacher", teacher, others.teacher...);
    for (std::size_t s = 0; s < views.size(); ++s) f("views", views[s], others.views.at(s)...);
  }
};

using StudentFeed = Feed<StudentHost, StudentBatch>;

/// Makes the batches of one method. All arguments must outlive it.
class StudentBatches {
 public:
  StudentBatches(Context& ctx, const Task& task, const std::vector<Teacher>& teachers, const StudentPlan& plan,
                 const Settings& settings, const Normalization& normalization);
  /// On the loader's thread: numbers, pixels and labels of batch number i, and the teachers' cached logits: of step i,
  /// or where settings.slices cut it, of a slice (see nn/data/slices.hpp).
  StudentHost make(std::int64_t i);
  /// On the device: augmented images.
  StudentBatch finish(const StudentHost& host) const;
  /// Batches from step `first` on, made in the background; this object must outlive it.
  std::unique_ptr<StudentFeed> feed(std::int64_t first);

 private:
  Tensor cached_logits(const std::vector<AugmentItem>& unlabelled);
  bool views_for_teachers() const;

  Context& ctx_;
  const Task& task_;
  const std::vector<Teacher>& teachers_;
  const Settings& settings_;
  const Normalization& normalization_;
  Term term_;
  std::uint64_t seed_;
  std::int64_t side_;
  Slices slices_;
  BatchOrder labelled_, unlabelled_;
  AugmentOptions weak_, strong_;
};

}  // namespace akin
