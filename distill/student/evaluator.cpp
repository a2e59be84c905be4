#include "distill/student/evaluator.hpp"

#include "engine/profile.hpp"
#include "nn/classifier.hpp"
#include "nn/evaluate.hpp"

namespace akin {

TestAnswers Evaluator::test(const Task& task, const Predictor& last, const Predictor& best, bool same,
                            Figures& figures) {
  const ImageSet& test = task.test().set_;
  const Array logits = last(test), p = softmax_rows(logits);
  TestAnswers out;
  out.predictions = argmax_rows(logits);
  const auto values = p.as<float>();
  const auto classes = static_cast<std::size_t>(p.shape()[1]);
  for (std::size_t i = 0; i < out.predictions.size(); ++i)
    out.confidence.push_back(static_cast<double>(values[i * classes + static_cast<std::size_t>(out.predictions[i])]));
  figures.test_accuracy = accuracy(out.predictions, test.labels);
  if (best) figures.best_test_accuracy = same ? figures.test_accuracy : accuracy(argmax_rows(best(test)), test.labels);
  return out;
}

double Evaluator::accuracy_of(const Task& task, const Predictor& predictor) {
  const ImageSet& test = task.test().set_;
  return accuracy(argmax_rows(predictor(test)), test.labels);
}

TestAnswers Evaluator::test(Context& ctx, const Task& task, Model& last, Model* best, Figures& figures) {
  const StageScope stage(ctx, "test");
  const auto predictor = [&](const Model& model) {
    return [&ctx, &model](const ImageSet& test) {
      return run_network(ctx, *model.network, test.images, all_indices(test.images.shape()[0]),
                         model.info.normalization)
          .logits;
    };
  };
  // The step that did best may be the last one: the same network.
  const bool same = best != nullptr && best->info.step == last.info.step;
  TestAnswers out =
      test(task, predictor(last), best != nullptr ? Predictor(predictor(*best)) : Predictor(), same, figures);
  last.info.test_accuracy = figures.test_accuracy;
  if (last.info.architecture.taught_share > 0) {
    const ImageSet& set = task.test().set_;
    const auto alone = [&](Head head) {
      return accuracy(argmax_rows(run_network(ctx, *last.network, set.images, all_indices(set.images.shape()[0]),
                                              last.info.normalization, {.head = head})
                                      .logits),
                      set.labels);
    };
    figures.label_head_accuracy = alone(Head::labels);
    figures.taught_head_accuracy = alone(Head::taught);
  }
  if (best == nullptr) return out;
  figures.val_accuracy = last.info.validation_accuracy;
  figures.best_step = best->info.step;
  figures.best_val_accuracy = best->info.validation_accuracy;
  best->info.test_accuracy = figures.best_test_accuracy;
  return out;
}

void Evaluator::add_pictures(ReportData& report, const Task& task, const Pictured& student, const Pictured* scratch) {
  const ImageSet& test = task.test().set_;
  const int classes = static_cast<int>(task.classes());
  const auto confusion = [&](const Pictured& p) {
    report.confusions.push_back(
        {p.method, p.seed, classes, confusion_counts(test.labels, p.answers.predictions, classes)});
  };
  confusion(student);
  if (scratch == nullptr) return;
  confusion(*scratch);
  const std::vector<int>&ours = student.answers.predictions, &theirs = scratch->answers.predictions;
  report.agreement = agreement_of(test.labels, ours, theirs);
  const Shape& s = test.images.shape();
  const auto pixels = static_cast<std::size_t>(s[1] * s[2] * s[3]);
  for (const std::int64_t i : pick_samples(test.labels, ours, theirs, 10)) {
    const auto at = static_cast<std::size_t>(i);
    SampleImage image{i, static_cast<int>(s[1]), static_cast<int>(s[2]), static_cast<int>(s[3]), {}, test.labels[at],
                      {}};
    const std::uint8_t* p = test.images.as<std::uint8_t>().data() + at * pixels;
    image.pixels.assign(p, p + pixels);
    for (const Pictured* shown : {&student, scratch})
      image.predictions.push_back({shown->method, shown->answers.predictions[at], shown->answers.confidence[at]});
    report.samples.push_back(std::move(image));
  }
}

}  // namespace akin
