// From a plan to a tested student: training of any method, its files, its figures.
#pragma once

#include <optional>
#include "distill/events.hpp"

#include "distill/student/plan.hpp"
#include "distill/student/probe_teacher.hpp"
#include "distill/student/record.hpp"

namespace akin {

/// Where the outcome goes; empty paths: nowhere.
struct StudentPlace {
  std::filesystem::path student = {}, best = {};  ///< of the last step, and best on the validation images
  Place training = {};
};

/// What has been computed for the task already, and how to compute the rest.
struct StudentInputs {
  const Task& task;
  const std::vector<Source>& sources;
  const std::vector<Outputs>& outputs;  ///< of the sources for task.target; may be empty for methods without teachers
  const OutputOptions& options;
  std::optional<ProbeTeacher>* probe = nullptr;  ///< made by the first student that asks for it; nullptr: by each
};

/// Throws what would stop the student of a plan and shows in what the sources say alone: a probe that was chosen on a
/// table and cannot be asked about test images.
void check_student_inputs(Context& ctx, const StudentInputs& inputs, const StudentPlan& plan, const Events& events);

/// Trains the student of a plan, saves it and tests it, in this order; fills the record's figures, curve, source and
/// counts of images. False where it was stopped; the record is then of no use.
bool run_student(Context& ctx, const StudentInputs& inputs, const StudentPlan& plan, const Settings& settings,
                 const StudentPlace& place, const Events& events, StudentRecord& record, TestAnswers& answers);

}  // namespace akin
