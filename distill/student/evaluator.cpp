#include "distill/student/evaluator.hpp"

#include "nn/classifier.hpp"

namespace akin {

void Examiner::test(const Task& task, const Says& last, const Says& best, bool same, StudentRecord& record) {
  const ImageSet& test = task.test.set_;
  const Array logits = last(test);
  record.predictions = argmax_rows(logits);
  const Array p = softmax_rows(logits);
  const auto values = p.as<float>();
  const auto classes = static_cast<std::size_t>(p.shape()[1]);
  record.confidence.clear();
  for (std::size_t i = 0; i < record.predictions.size(); ++i)
    record.confidence.push_back(
        static_cast<double>(values[i * classes + static_cast<std::size_t>(record.predictions[i])]));
  SeedResult& r = record.result;
  r.test_accuracy = accuracy(record.predictions, test.labels);
  if (best) r.best_test_accuracy = same ? r.test_accuracy : accuracy(argmax_rows(best(test)), test.labels);
}

void Examiner::test(Context& ctx, const Task& task, Model& last, Model* best, StudentRecord& record) {
  const auto says = [&](const Model& model) {
    return [&ctx, &model](const ImageSet& test) {
      return run_network(ctx, *model.network, test.images, all_indices(test.images.shape()[0]),
                         model.info.normalization)
          .logits;
    };
  };
  // The step that did best may be the last one: the same network.
  const bool same = best != nullptr && best->info.step == last.info.step;
  test(task, says(last), best != nullptr ? Says(says(*best)) : Says(), same, record);
  SeedResult& r = record.result;
  last.info.test_accuracy = r.test_accuracy;
  if (best == nullptr) return;
  r.val_accuracy = last.info.validation_accuracy;
  r.best_step = best->info.step;
  r.best_val_accuracy = best->info.validation_accuracy;
  best->info.test_accuracy = r.best_test_accuracy;
}

std::string Examiner::hash(const Task& task) { return content_hash(task.test.set_); }

void Examiner::add_pictures(ReportData& report, const Task& task, const std::vector<StudentRecord>& students) {
  const ImageSet& test = task.test.set_;
  const StudentRecord *student = nullptr, *scratch = nullptr;
  for (const StudentRecord& c : students) {
    if (c.seed != students.front().seed) continue;
    if (traits(c.method).role == MethodRole::taught) student = &c;  // the last one listed
    if (c.method == Method::scratch) scratch = &c;
  }
  if (student == nullptr) student = &students.back();
  const int classes = static_cast<int>(task.classes());
  const auto confusion = [&](const StudentRecord& c) {
    report.confusions.push_back(
        {title_of(c.method), c.seed, classes, confusion_counts(test.labels, c.predictions, classes)});
  };
  confusion(*student);
  if (scratch == nullptr || scratch == student) return;
  confusion(*scratch);
  report.agreement = agreement_of(test.labels, student->predictions, scratch->predictions);
  const Shape& s = test.images.shape();
  const auto pixels = static_cast<std::size_t>(s[1] * s[2] * s[3]);
  for (const std::int64_t i : pick_samples(test.labels, student->predictions, scratch->predictions, 10)) {
    const auto at = static_cast<std::size_t>(i);
    SampleImage image{i, static_cast<int>(s[1]), static_cast<int>(s[2]), static_cast<int>(s[3]), {}, test.labels[at],
                      {}};
    const std::uint8_t* p = test.images.as<std::uint8_t>().data() + at * pixels;
    image.pixels.assign(p, p + pixels);
    for (const StudentRecord* c : {student, scratch})
      image.predictions.push_back({title_of(c->method), c->predictions[at], c->confidence[at]});
    report.samples.push_back(std::move(image));
  }
}

}  // namespace akin
