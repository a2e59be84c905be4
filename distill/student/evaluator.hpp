// The one place that opens the test split: figures of finished students, and pictures for their report.
#pragma once

#include "distill/report/report.hpp"
#include "distill/student/record.hpp"

namespace akin {

class Examiner {
 public:
  /// What a student says of a set of images: f32 [N, C].
  using Says = std::function<Array(const ImageSet& images)>;

  /// Predictions and their probabilities of `last`, and the accuracy of both. `best` empty: there is none; `same`: it
  /// is the student of the last step, and is not run again.
  static void test(const Task& task, const Says& last, const Says& best, bool same, StudentRecord& record);
  /// The same for networks (best: nullptr where there is none), whose descriptions get their accuracies.
  static void test(Context& ctx, const Task& task, Model& last, Model* best, StudentRecord& record);

  /// Confusion matrices, agreement and sample images of the first seed's students.
  static void add_pictures(ReportData& report, const Task& task, const std::vector<StudentRecord>& students);

  /// content_hash of the test split.
  static std::string hash(const Task& task);
};

}  // namespace akin
