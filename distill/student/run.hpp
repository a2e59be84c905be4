// From a plan to a tested student: training of any method, its files, its figures.
#pragma once

#include "distill/student/plan.hpp"
#include "distill/student/record.hpp"

namespace akin {

/// Where the outcome goes; empty paths: nowhere.
struct RunFiles {
  std::filesystem::path student, best;  ///< of the last step, and best on the validation images
  std::filesystem::path checkpoint;
  std::string fingerprint;  ///< of what the checkpoint belongs to
  bool resume = false;      ///< go on from the checkpoint where it is this one's
};

/// What has been computed for the task already, and how to compute the rest.
struct RunInputs {
  const Task& task;
  const std::vector<Source>& sources;
  const std::vector<Outputs>& outputs;  ///< of the sources for task.target; may be empty for methods without teachers
  const OutputOptions& options;
};

/// Trains the student of a plan, saves it and tests it: last. `options` are those of all methods; method, seed and
/// start are the plan's. False where it was stopped; the record is then of no use.
bool run_student(Context& ctx, const RunInputs& inputs, const StudentPlan& plan, StudentOptions options,
                 const RunFiles& files, const Events& events, StudentRecord& record);

}  // namespace akin
