// What a student is made from, decided before any training: who teaches with which weight, and where it starts.
#pragma once

#include <vector>

#include "distill/similarity/ranking.hpp"
#include "distill/student/method.hpp"
#include "distill/student/settings.hpp"

namespace akin {

struct StudentPlan {
  Method method = Method::scratch;
  std::uint64_t seed = 0;
  Architecture architecture;       ///< of its network, for the task's images and classes
  const Source* start = nullptr;   ///< the source whose network or features it starts from
  Weights weights = {};            ///< of methods with teachers
  const Source* source = nullptr;  ///< what a record names: its one or main teacher, else its start
  double weight = not_measured;    ///< of that teacher
  std::string metric_why = {};     ///< why sources were compared by that metric; "" where it was named, or is of no use
  bool single = false;             ///< an oracle's: its name is that of the source too

  /// "DistillWeighted, seed 0", for people.
  std::string label() const;
};

/// One plan, or one for each source of an oracle. Throws what would stop the student later: no source of the student's
/// architecture, a source without a head, all weights zero, a table where a network is needed.
std::vector<StudentPlan> plan_students(Context& ctx, Method method, std::uint64_t seed, const Task& task,
                                       const std::vector<Source>& sources, const Ranking& ranking,
                                       const Settings& settings);

/// UsageError where transfer shall start from a source that is none of these; `named` empty: from the most similar one.
void check_transfer(const std::string& named, const std::vector<std::string>& sources);
/// Error where no source, or not the one that is named, can be what a student of this method starts from: before any
/// of them has looked at an image.
void check_start(Context& ctx, Method method, const Task& task, const std::vector<Source>& sources,
                 const Settings& settings);

/// Images that a student of this method sees in its training, with repeats; 0 of one that is not trained by steps.
std::int64_t pictures_trained_on(Method method, const Settings& settings);

/// The model `settings.init`. Error where it is another file than when the run began.
Model load_init(Context& ctx, const Settings& settings);

/// The student's network for the images and classes of a task; of student = "init" as the model file says.
Architecture student_architecture(Context& ctx, const Settings& settings, const Task& task);

/// alpha of each source for a method with teachers: by the similarity (to the power p), or without it (equal, random).
/// The seed draws the source of `random`. Without a ranking of any use, `ranking.rows` may hold NaN where the method
/// does not look.
Weights weights_for(Method method, const Ranking& ranking, double power, std::uint64_t seed = 0);
/// All weight on one source.
Weights single_weights(const Ranking& ranking, std::size_t source);

/// Error where `source` is a table and would have to look at augmented images.
void check_view(const Source& source, const Settings& settings);
/// Error where `source` has no head of its own, which `what` needs.
void check_head(const Source& source, std::string_view what);

}  // namespace akin
