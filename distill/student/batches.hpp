// What a step of a student reads: labelled images, unlabelled ones, and what the teachers say of those.
#pragma once

#include <vector>

#include "distill/student/train.hpp"
#include "nn/data/feed.hpp"

namespace akin {

/// The tensors of a batch, in this order: labelled images and their targets; then, by method, unlabelled ones and what
/// the teachers say of them. Images are [labelled + unlabelled (+ strong views of the unlabelled)].
enum StudentSlot : std::size_t { kImages, kTargets, kTeacher, kTeacherViews };

/// Makes the batches of one method. All arguments must outlive it.
class StudentBatches {
 public:
  StudentBatches(Context& ctx, const Task& task, const std::vector<Teacher>& teachers, const StudentPlan& plan,
                 const Settings& settings, const Normalization& normalization);
  /// On the loader's thread: numbers, pixels and labels of step t, and the teachers' cached logits.
  Parts make(std::int64_t t);
  /// On the device: augmented images.
  StepBatch finish(const Parts& parts) const;

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
  BatchOrder labelled_, unlabelled_;
  AugmentOptions weak_, strong_;
};

}  // namespace akin
