// Stages "Loss" and "Student" of the pipeline: one small network, trained on the target by one of the methods.
//   Term::none           CE on the labelled images
//   Term::pseudo_labels  CE + mean over the unlabelled of [confident] * CE(strong view, pseudo-label of the weak view)
//                        (Sohn et al., "FixMatch", NeurIPS 2020)
//   Term::teachers       lambda CE + (1 - lambda) sum_s alpha_s D_s,
//                        D_s = T^2 CE(softmax(z_s/T), softmax(g_s(phi(x))/T))  (Borup, Phoo, Hariharan, ICCV 2023)
// Labelled and unlabelled images go through the network in one batch, so that batch norm sees both.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "distill/student/plan.hpp"
#include "nn/trainer.hpp"

namespace akin {

inline constexpr std::uint64_t kHeadSeed = 0x68656164;  ///< "head": of heads that teachers teach, beside a plan's seed

/// A source ready to teach.
struct Teacher {
  const Source* source;
  const Outputs* outputs;  ///< for task.target
  double alpha;
};

struct StudentRun {
  Model model;  ///< after the last step
  Model best;   ///< at the step that did best on the validation images; without a network where there are none
  TrainResult result;
  double seconds = 0;            ///< in the training loop
  double images_per_second = 0;  ///< through the student; NaN where a resumed run had nothing left to do
  double pseudo_labelled = -1;   ///< FixMatch: share of unlabelled images that counted in the last tenth; else -1
};

/// Whether the sources run in every step, on the images as the student sees them. Another method than the cached
/// answers to clean images; reports say which.
inline bool teachers_see_augmented(const Settings& settings) { return settings.teacher_view == "same"; }

/// An untrained student: its network with random weights, or with the extractor of what the method starts from, and
/// what its file will say. Error, naming the source, where its network does not fit or cannot be trained.
Model make_student_model(Context& ctx, const Task& task, const StudentPlan& plan, const Settings& settings);

/// Whether a student of this architecture can start from the source: the same network, for the same images.
bool fits_student(Context& ctx, const Source& source, const Architecture& student);

/// Copies the extractor of the model `settings.init` into a network of the same architecture; Error where it is
/// another. Students keep the target's `normalization`: the line says so, for people; empty where the model had the
/// same.
std::string start_from_init(Context& ctx, Network& network, const Settings& settings,
                            const Normalization& normalization);

/// Trains one student; not for Start::features, see linear_probe.hpp. `teachers` may be empty for methods without them.
/// Teachers of weight 0 cost nothing. `hooks` may bring progress and stop. Where the task has validation images, the
/// curve holds their accuracy, and `best` is the student that they choose; no other choice is made here.
StudentRun train_student(Context& ctx, const Task& task, const StudentPlan& plan, const std::vector<Teacher>& teachers,
                         const Settings& settings, const Place& place = {}, TrainHooks hooks = {});

}  // namespace akin
