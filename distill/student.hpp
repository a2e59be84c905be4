// Stages "Loss" and "Student" of the pipeline: one small network, trained on the target by one of the methods.
//   scratch   CE on the labelled images
//   fixmatch  CE + mean over the unlabelled of [confident] * CE(strong view, pseudo-label of the weak view)
//             (Sohn et al., "FixMatch", NeurIPS 2020)
//   distill   lambda CE + (1 - lambda) sum_s alpha_s D_s,  D_s = T^2 CE(softmax(z_s/T), softmax(g_s(phi(x))/T))
//             (Borup, Phoo, Hariharan, ICCV 2023); equal, nearest and weighted differ in alpha alone
// Labelled and unlabelled images go through the network in one batch, so that batch norm sees both.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "distill/source.hpp"
#include "distill/weights.hpp"
#include "nn/trainer.hpp"

namespace akin {

enum class Method { scratch, fixmatch, equal, nearest, weighted };

/// scratch, fixmatch, equal, nearest, weighted; UsageError lists them.
Method parse_method(std::string_view name);
const char* name_of(Method method);   ///< as on the command line
const char* title_of(Method method);  ///< as in a report: "DistillWeighted"
inline bool uses_sources(Method m) { return m != Method::scratch && m != Method::fixmatch; }

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
  bool augment = true;
  bool flip = false;
  bool match_channels = false;
  std::uint64_t seed = 0;
  std::filesystem::path init = {};  ///< start from this model's extractor instead of random weights
  TrainOptions train;
};

/// A source ready to teach.
struct Teacher {
  Source* source;
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

/// UsageError where a number is out of its range; train_student checks too, this allows to ask before any work.
void check(const StudentOptions& options);

/// Copies the extractor of the model in `file` into a network of the same architecture; Error where it is another.
void start_from(Context& ctx, Network& network, const std::filesystem::path& file);

/// Trains one student. `teachers` may be empty for methods without sources. Teachers of weight 0 cost nothing. `hooks`
/// may bring progress and stop. Where the task has validation images, the curve holds their accuracy, and `best` is
/// the student that they choose; no other choice is made here.
StudentRun train_student(Context& ctx, const Task& task, const std::vector<Teacher>& teachers, StudentOptions options,
                         TrainHooks hooks = {});

}  // namespace akin
