#include "distill/student/evaluator.hpp"

#include <algorithm>

#include "distill/report/csv.hpp"
#include "distill/similarity/metrics/pca.hpp"
#include "engine/io/image.hpp"
#include "engine/profile.hpp"
#include "kernels/gram.hpp"
#include "nn/classifier.hpp"
#include "nn/evaluate.hpp"

namespace akin {

namespace {

constexpr std::int64_t kMapped = 500;  ///< points on the map of features
constexpr std::size_t kErrors = 12;    ///< pictures of surest errors
constexpr int kShownSide = 64;         ///< pixels of a picture in the report

/// Image i of a set as a report shows it: no larger than kShownSide.
SampleImage sample_of(const ImageSet& set, std::int64_t i) {
  const Shape& s = set.images.shape();
  const auto at = static_cast<std::size_t>(i), pixels = static_cast<std::size_t>(s[1] * s[2] * s[3]);
  SampleImage image;
  image.index = i;
  image.label = set.labels[at];
  if (at < set.names.size()) image.name = set.names[at];
  Array shown = Array::from(std::vector<std::uint8_t>(set.images.as<std::uint8_t>().data() + at * pixels,
                                                      set.images.as<std::uint8_t>().data() + (at + 1) * pixels),
                            Shape{s[1], s[2], s[3]});
  if (const std::int64_t longer = std::max(s[1], s[2]); longer > kShownSide) {
    const auto side = [&](std::int64_t n) {
      return static_cast<int>(std::max<std::int64_t>(1, n * kShownSide / longer));
    };
    shown = resize_and_crop(shown, side(s[1]), side(s[2]), {.stretch = true});
  }
  image.height = static_cast<int>(shown.shape()[0]);
  image.width = static_cast<int>(shown.shape()[1]);
  image.channels = static_cast<int>(shown.shape()[2]);
  image.pixels.assign(shown.as<std::uint8_t>().begin(), shown.as<std::uint8_t>().end());
  return image;
}

}  // namespace

TestAnswers Evaluator::test(const Task& task, const Predictor& last, const Predictor& best, bool same,
                            Figures& figures) {
  const ImageSet& test = task.test().set_;
  const Outputs said = last(test);
  const Array& logits = said.logits;
  const Array p = softmax_rows(logits);
  TestAnswers out;
  out.predictions = argmax_rows(logits);
  const auto values = p.as<float>();
  const auto classes = static_cast<std::size_t>(p.shape()[1]);
  for (std::size_t i = 0; i < out.predictions.size(); ++i)
    out.confidence.push_back(static_cast<double>(values[i * classes + static_cast<std::size_t>(out.predictions[i])]));
  if (said.features.numel() > 0) {
    out.mapped = evenly(all_indices(test.images.shape()[0]), test.labels, task.classes(), kMapped);
    out.features = pick_rows(said.features, out.mapped);
  }
  figures.test_accuracy = accuracy(out.predictions, test.labels);
  if (best)
    figures.best_test_accuracy = same ? figures.test_accuracy : accuracy(argmax_rows(best(test).logits), test.labels);
  return out;
}

double Evaluator::accuracy_of(const Task& task, const Predictor& predictor) {
  const ImageSet& test = task.test().set_;
  return accuracy(argmax_rows(predictor(test).logits), test.labels);
}

TestAnswers Evaluator::test(Context& ctx, const Task& task, Model& last, Model* best, Figures& figures) {
  const StageScope stage(ctx, "test");
  const auto predictor = [&](const Model& model) {
    return [&ctx, &model](const ImageSet& test) {
      return run_network(ctx, *model.network, test.images, all_indices(test.images.shape()[0]),
                         model.info.normalization);
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
  for (const std::int64_t i : pick_samples(test.labels, ours, theirs, 8)) {
    const auto at = static_cast<std::size_t>(i);
    SampleImage image = sample_of(test, i);
    for (const Pictured* shown : {&student, scratch})
      image.predictions.push_back({shown->method, shown->answers.predictions[at], shown->answers.confidence[at]});
    report.samples.push_back(std::move(image));
  }
}

void Evaluator::add_delivered(ReportData& report, const Task& task, const Pictured& delivered) {
  const ImageSet& test = task.test().set_;
  const TestAnswers& a = delivered.answers;
  const bool there = std::any_of(report.confusions.begin(), report.confusions.end(),
                                 [&](const Confusion& c) { return c.method == delivered.method; });
  const int classes = static_cast<int>(task.classes());
  if (!there)
    report.confusions.push_back(
        {delivered.method, delivered.seed, classes, confusion_counts(test.labels, a.predictions, classes)});
  std::string table = csv_line({"image", "file", "label", "class", "probability"});
  for (const std::int64_t i : surest_errors(test.labels, a.predictions, a.confidence, test.labels.size())) {
    const auto at = static_cast<std::size_t>(i);
    const auto name = [&](int label) { return csv_text(test.classes[static_cast<std::size_t>(label)]); };
    table += csv_line({std::to_string(i), at < test.names.size() ? csv_text(test.names[at]) : "", name(test.labels[at]),
                       name(a.predictions[at]), fmt::format("{:.6f}", a.confidence[at])});
    if (report.errors.size() == kErrors) continue;
    report.errors.push_back(sample_of(test, i));
    report.errors.back().predictions = {{delivered.method, a.predictions[at], a.confidence[at]}};
  }
  report.tables["errors.csv"] = table;
  const std::int64_t n = std::ssize(a.mapped);
  if (n < 3) return;
  std::vector<double> features(a.features.as<float>().begin(), a.features.as<float>().end());
  const std::int64_t d = a.features.shape()[1];
  std::int64_t k = 2;
  std::vector<std::string> warnings;
  std::vector<double> scores;
  try {
    scores = principal_components(features, n, d, k, warnings);
  } catch (const Error&) {  // the same features for all images: there is nothing to map
    return;
  }
  std::vector<double> centred(features.size());
  centre_columns<double>(kFast, n, d, features, centred);
  double all = 0;
  for (const double v : centred) all += v * v;
  FeatureMap& map = report.map;
  map.method = delivered.method;
  map.seed = delivered.seed;
  map.share_x = map.share_y = 0;
  for (std::size_t i = 0; i < a.mapped.size(); ++i) {
    const auto kept = static_cast<std::size_t>(k), at = static_cast<std::size_t>(a.mapped[i]);
    const double x = scores[i * kept], y = kept > 1 ? scores[i * kept + 1] : 0;
    map.x.push_back(x);
    map.y.push_back(y);
    map.share_x += x * x / all;
    map.share_y += y * y / all;
    map.labels.push_back(test.labels[at]);
    map.predictions.push_back(a.predictions[at]);
  }
}

}  // namespace akin
