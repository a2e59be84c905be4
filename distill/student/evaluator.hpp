// The one place that opens the test split: figures of finished students, and pictures for their report.
#pragma once

#include <functional>
#include <string>

#include "distill/report/report.hpp"
#include "distill/student/record.hpp"
#include "distill/task/outputs.hpp"

namespace akin {

class Evaluator {
 public:
  /// What a student says of a set of images: logits f32 [N, C], and features where it has some of its own.
  using Predictor = std::function<Outputs(const ImageSet& images)>;

  /// What `last` says, and the accuracy of both in `figures`. `best` empty: there is none; `same`: it is the student of
  /// the last step, and is not run again.
  static TestAnswers test(const Task& task, const Predictor& last, const Predictor& best, bool same, Figures& figures);
  /// Of a predictor on the test images.
  static double accuracy_of(const Task& task, const Predictor& predictor);
  /// The same as test() for networks (best: nullptr where there is none), whose descriptions get their accuracies.
  static TestAnswers test(Context& ctx, const Task& task, Model& last, Model* best, Figures& figures);

  /// A student on the page, by the title of its method.
  struct Pictured {
    std::string method;
    std::uint64_t seed = 0;
    TestAnswers answers;
  };
  /// Confusion matrices, agreement and sample images of a student and, where there is one, of the one trained on the
  /// labels alone.
  static void add_pictures(ReportData& report, const Task& task, const Pictured& student, const Pictured* scratch);
  /// Of the model that is handed over: its confusion matrix where that is missing, its surest errors, its feature map.
  static void add_delivered(ReportData& report, const Task& task, const Pictured& delivered);
};

}  // namespace akin
