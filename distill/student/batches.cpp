#include "distill/student/batches.hpp"

#include <algorithm>

namespace akin {

namespace {

// Streams of random numbers: labelled order, unlabelled order, augmentation.
constexpr std::uint32_t kLabelledOrder = 0x6c61626c, kUnlabelledOrder = 0x756e6c62;
constexpr std::uint32_t kWeakView = 1, kStrongView = 2;

/// The rows of both, one below the other.
Tensor stacked(Context& ctx, const Tensor& a, const Tensor& b) {
  std::vector<std::int64_t> dims = a.shape().dims();
  dims[0] += b.dim(0);
  Tensor out = Tensor::empty(ctx, Shape(dims), a.dtype());
  out.view(a.shape()).copy_from(a);
  out.view(b.shape(), a.numel()).copy_from(b);
  return out;
}

/// The images of the second term. Distillation ignores labels, so the labelled ones teach there too, and FixMatch
/// guesses at them where there are no others; methods without such a term draw none, and work where there is none.
const Indices& second_term_images(const Task& task, Term term) {
  if (term == Term::none) return task.split.labelled;
  return term == Term::teachers || task.split.unlabelled.empty() ? task.target : task.split.unlabelled;
}

}  // namespace

StudentBatches::StudentBatches(Context& ctx, const Task& task, const std::vector<Teacher>& teachers,
                               const StudentPlan& plan, const Settings& settings, const Normalization& normalization)
    : ctx_(ctx),
      task_(task),
      teachers_(teachers),
      settings_(settings),
      normalization_(normalization),
      term_(traits(plan.method).term),
      seed_(plan.seed),
      side_(task.pool().images.shape()[1]),
      slices_(slices_of(ctx, settings.slices)),
      labelled_(task.split.labelled, settings.batch, plan.seed, kLabelledOrder),
      unlabelled_(second_term_images(task, term_), settings.unlabelled_batch, plan.seed, kUnlabelledOrder) {
  weak_ = settings.augment ? augment_weak(side_, flip_of(settings), settings.shift) : AugmentOptions{};
  weak_.view = kWeakView;
  strong_ = augment_strong(side_, flip_of(settings), settings.shift);
  strong_.view = kStrongView;
}

bool StudentBatches::views_for_teachers() const { return term_ == Term::teachers && teachers_see_augmented(settings_); }

StudentHost StudentBatches::make(std::int64_t number) {
  const std::vector<AugmentItem> labelled = labelled_.batch(slices_, number);
  std::vector<AugmentItem> items = labelled, unlabelled;
  if (term_ != Term::none) unlabelled = unlabelled_.batch(slices_, number);
  items.insert(items.end(), unlabelled.begin(), unlabelled.end());
  StudentHost host;
  host.images = gather_images(ctx_, view_of(task_.pool().images), items);
  host.targets = Tensor::on_host(ctx_, {static_cast<std::int64_t>(labelled.size())}, DType::i64);
  for (std::size_t i = 0; i < labelled.size(); ++i)
    host.targets.data<std::int64_t>()[i] = task_.labels[static_cast<std::size_t>(labelled[i].image)];
  host.teacher = cached_logits(unlabelled);
  return host;
}

StudentBatch StudentBatches::finish(const StudentHost& host) const {
  const ImageView view = view_of(task_.pool().images);
  const std::int64_t L = host.targets.dim(0), all = host.images.items.dim(0), U = all - L;
  const auto augmented = [&](std::int64_t begin, const AugmentOptions& how, const Normalization& n) {
    return augment_images(ctx_, view, host.images, begin, all, how, n, seed_);
  };
  StudentBatch batch{augmented(0, weak_, normalization_), host.targets, host.teacher, {}};
  if (term_ == Term::pseudo_labels) batch.images = stacked(ctx_, batch.images, augmented(L, strong_, normalization_));
  if (views_for_teachers() && U > 0)
    for (const Teacher& teacher : teachers_)
      batch.views.push_back(augmented(L, weak_, teacher.source->model.info.normalization));
  return batch;
}

std::unique_ptr<StudentFeed> StudentBatches::feed(std::int64_t first) {
  return std::make_unique<StudentFeed>(
      ctx_, [this](std::int64_t t) { return make(t); }, [this](const StudentHost& h) { return finish(h); },
      first * slices_.here);
}

/// What the teachers say of the clean images: [unlabelled, sum of C_s]; undefined where they look at each view.
Tensor StudentBatches::cached_logits(const std::vector<AugmentItem>& unlabelled) {
  if (term_ != Term::teachers || views_for_teachers()) return Tensor();
  std::int64_t columns = 0, column = 0;
  for (const Teacher& teacher : teachers_) columns += teacher.source->classes();
  const Tensor out = Tensor::on_host(ctx_, {static_cast<std::int64_t>(unlabelled.size()), columns});
  for (const Teacher& teacher : teachers_) {
    const std::int64_t C = teacher.source->classes();
    const float* logits = teacher.outputs->logits.as<float>().data();
    float* to = out.data<float>() + column;
    for (const AugmentItem& item : unlabelled) {
      const auto it = std::lower_bound(task_.target.begin(), task_.target.end(), item.image);
      std::copy_n(logits + (it - task_.target.begin()) * C, C, to);
      to += columns;
    }
    column += C;
  }
  return out;
}

}  // namespace akin
