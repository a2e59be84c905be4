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

#include "distill/similarity/weights.hpp"
#include "distill/student/method.hpp"
#include "distill/task/source.hpp"
#include "nn/trainer.hpp"

namespace akin {

/// How the teachers see an image that the student sees augmented.
enum class TeacherView {
  clean,  ///< as it is: computed once and cached
  same    ///< augmented in the same way: the sources run in every step. Another method; reports say which.
};

struct StudentOptions {
  Architecture architecture;  ///< channels and classes are the task's
  Method method = Method::weighted;
  std::int64_t batch = 64;  ///< labelled images a step
  std::int64_t unlabelled_batch = 64;
  double lambda = 0.2;  ///< share of the labelled loss
  double temperature = 1;
  TeacherView teacher_view = TeacherView::clean;
  double threshold = 0.95;  ///< FixMatch: confidence that makes a pseudo-label count
  double probe_l2 = 0;      ///< linear probe: penalty of its head; 0 = 1 / labelled images
  bool augment = true;
  bool flip = false;
  bool match_channels = false;
  std::uint64_t seed = 0;
  std::filesystem::path init = {};  ///< Start::fresh: this model's extractor instead of random weights
  const Source* start = nullptr;    ///< Start::transfer and Start::nearest: the network's source
  TrainOptions train;
};

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
  double seconds = 0, images_per_second = 0;  ///< of the training loop; images through the student
  double pseudo_labelled = -1;  ///< FixMatch: share of unlabelled images that counted in the last tenth; else -1
};

/// Error where `source` is a table and would have to look at augmented images.
void check_view(const Source& source, TeacherView view);

/// Error where `source` has no head of its own, which `what` needs.
void check_head(const Source& source, std::string_view what);

/// Error where `method` needs unlabelled images and the task has none.
void check_unlabelled(const Task& task, Method method);

/// UsageError where a number is out of its range; train_student checks too, this allows to ask before any work.
void check(const StudentOptions& options);

/// An untrained student: its network with random weights, or with the extractor of what the method starts from, and
/// what its file will say. Error, naming the source, where its network does not fit or cannot be trained.
Model make_student_model(Context& ctx, const Task& task, const StudentOptions& options);

/// Whether a student of `options` can start from the source: the same network, for images of the task.
bool fits_student(Context& ctx, const Source& source, const Task& task, const StudentOptions& options);

/// Copies the extractor of the model in `file` into a network of the same architecture; Error where it is another.
void start_from(Context& ctx, Network& network, const std::filesystem::path& file);

/// Trains one student; not for Start::features, see linear_probe.hpp. `teachers` may be empty for methods without them.
/// Teachers of weight 0 cost nothing. `hooks` may bring progress and stop. Where the task has validation images, the
/// curve holds their accuracy, and `best` is the student that they choose; no other choice is made here.
StudentRun train_student(Context& ctx, const Task& task, const std::vector<Teacher>& teachers, StudentOptions options,
                         TrainHooks hooks = {});

}  // namespace akin
