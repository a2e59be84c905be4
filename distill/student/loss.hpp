// Stage "Loss" of the pipeline: what a step of a student minimises.
#pragma once

#include <vector>

#include "distill/student/batches.hpp"

namespace akin {

/// The loss of a method on batches of StudentBatches. The arguments must outlive it.
class StudentLoss {
 public:
  StudentLoss(Context& ctx, const Network& network, const std::vector<Teacher>& teachers, const StudentPlan& plan,
              const Settings& settings);

  /// A scalar recorded on ctx.tape.
  Tensor operator()(const StudentBatch& batch);
  /// The source heads: trained with the network, and thrown away after it. Empty without teachers, and where a probe of
  /// the target's own classes teaches the network's taught head.
  const ParameterList& own_parameters() const { return own_; }

  /// To be called before step t of `steps`, or before each slice of it: the share of confident pseudo-labels is that of
  /// the last tenth.
  void begin_step(std::int64_t t, std::int64_t steps);
  /// That share; -1 for methods without pseudo-labels. Throws where logits were NaN.
  double pseudo_labelled() const;

 private:
  Tensor supervised(const StudentBatch& batch, const Tensor& features);
  Tensor pseudo_label_term(const Tensor& features);
  Tensor teacher_term(const StudentBatch& batch, const Tensor& features);

  Context& ctx_;
  const Network& network_;
  const std::vector<Teacher>& teachers_;
  const Settings& settings_;
  Term term_;
  ops::KdSources kd_;
  Linear heads_;
  ParameterList own_;
  Tensor counted_;  // pseudo-labels: confident, broken
  std::int64_t considered_ = 0, counted_from_ = -1;
};

}  // namespace akin
