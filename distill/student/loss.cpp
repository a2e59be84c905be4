#include "distill/student/loss.hpp"

#include <algorithm>
#include <array>

#include "engine/ranks.hpp"

namespace akin {

StudentLoss::StudentLoss(Context& ctx, const Network& network, const std::vector<Teacher>& teachers,
                         const StudentPlan& plan, const Settings& settings)
    : ctx_(ctx),
      network_(network),
      teachers_(teachers),
      settings_(settings),
      term_(traits(plan.method).term),
      kd_{.offsets = {0}, .alpha = {}, .temperature = settings.temperature},
      counted_(Tensor::zeros(ctx, {2}, DType::i32)) {
  if (term_ != Term::teachers) return;
  for (const Teacher& t : teachers) {
    kd_.offsets.push_back(kd_.offsets.back() + t.source->classes());
    kd_.alpha.push_back(t.alpha);
  }
  if (network.architecture().taught_share > 0) {  // it stays, and is the network's parameter
    heads_ = network.taught_head();
    return;
  }
  heads_ = Linear(ctx, network.feature_size(), kd_.offsets.back());
  heads_.collect("source_heads", own_);
  initialize(own_, plan.seed ^ kHeadSeed);
}

Tensor StudentLoss::operator()(const StudentBatch& b) {
  const std::int64_t all = b.images.dim(0), L = b.targets.dim(0);
  const Tensor features = network_.features(ctx_, b.images, true);
  const Tensor labelled = supervised(b, features);
  if (term_ == Term::none) return labelled;
  const Tensor others = ops::rows(ctx_, features, L, all);
  if (term_ == Term::pseudo_labels) return ops::add(ctx_, labelled, pseudo_label_term(others));
  return ops::add(ctx_, ops::scale(ctx_, labelled, settings_.lambda),
                  ops::scale(ctx_, teacher_term(b, others), 1 - settings_.lambda));
}

Tensor StudentLoss::supervised(const StudentBatch& b, const Tensor& features) {
  const Tensor labelled = ops::rows(ctx_, features, 0, b.targets.dim(0));
  return ops::mean(ctx_, ops::softmax_ce(ctx_, network_.head(ctx_, labelled), b.targets));
}

/// Pseudo-labels from the weak views, mean over the whole batch.
Tensor StudentLoss::pseudo_label_term(const Tensor& features) {
  const Tensor logits = network_.head(ctx_, features);
  const std::int64_t U = logits.dim(0) / 2;
  const Tensor weak = ops::rows(ctx_, logits, 0, U).detach(), strong = ops::rows(ctx_, logits, U, 2 * U);
  const auto [target, mask] = ops::pseudo_label(ctx_, weak, settings_.threshold, counted_);
  return ops::mean(ctx_, ops::softmax_ce(ctx_, strong, target, mask));
}

Tensor StudentLoss::teacher_term(const StudentBatch& b, const Tensor& features) {
  Tensor teacher = b.teacher;
  if (!teacher.defined()) {  // views made in this step
    const TapeScope off(ctx_, nullptr);
    std::vector<Tensor> logits;
    for (std::size_t s = 0; s < teachers_.size(); ++s)
      logits.push_back(teachers_[s].source->model.network->logits(ctx_, b.views[s], false));
    teacher = ops::concat_channels(ctx_, logits);
  }
  return ops::kd_multi(ctx_, heads_(ctx_, network_.pooled(ctx_, features)), teacher, kd_);
}

void StudentLoss::begin_step(std::int64_t t, std::int64_t steps) {
  if (term_ != Term::pseudo_labels) return;
  if (t == steps - std::max<std::int64_t>(1, steps / 10) && t != counted_from_) {
    counted_from_ = t;
    counted_.set_zero();
    considered_ = 0;
  }
  considered_ += settings_.unlabelled_batch / settings_.slices;
}

double StudentLoss::pseudo_labelled() const {
  if (term_ != Term::pseudo_labels) return -1;
  const Array counts = counted_.to_array();
  std::array<std::int64_t, 3> own{considered_, counts.as<std::int32_t>()[0], counts.as<std::int32_t>()[1]}, all{};
  for (const std::array<std::int64_t, 3>& part : gathered(ctx_.ranks.get(), own, "the shares of pseudo-labels"))
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += part[i];
  const auto [considered, confident, broken] = all;
  if (considered == 0) return -1;
  AKIN_CHECK(broken == 0, "fixmatch: {} rows of logits are NaN", broken);
  return static_cast<double>(confident) / static_cast<double>(considered);
}

}  // namespace akin
