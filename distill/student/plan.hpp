// What a student is made from, decided before any training: who teaches with which weight, and where it starts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "distill/similarity/ranking.hpp"
#include "distill/student/method.hpp"
#include "distill/student/train.hpp"

namespace akin {

struct StudentPlan {
  Method method;
  std::uint64_t seed = 0;
  Weights weights;                    ///< of methods with teachers
  std::optional<std::size_t> start;   ///< the source whose network or features it starts from
  std::optional<std::size_t> source;  ///< what a record names: its one or main teacher, else its start
  bool single = false;                ///< an oracle's: its name is that of the source too
};

/// What it takes to plan besides the ranking.
struct PlanOptions {
  RankOptions rank;
  std::string transfer;  ///< name of the source that `transfer` and the methods named after it start from; empty: the
                         ///< most similar one of the student's architecture
  StudentOptions student;
  bool match_channels = false;
};

/// One plan, or one for each source of an oracle. Throws what would stop the student later: no source of the student's
/// architecture, a source without a head, all weights zero, no unlabelled image, a table where a network is needed.
std::vector<StudentPlan> plan_students(Context& ctx, Method method, std::uint64_t seed, const Task& task,
                                       const std::vector<Source>& sources, const Ranking& ranking,
                                       const PlanOptions& options);

/// alpha of each source for a method with teachers: by the similarity, or without it (equal, random). The seed draws
/// the source of `random`. Without a ranking of any use, `ranking.rows` may hold NaN where the method does not look.
Weights weights_for(Method method, const Ranking& ranking, const RankOptions& options, std::uint64_t seed = 0);
/// All weight on one source.
Weights single_weights(const Ranking& ranking, std::size_t source);

/// Whether planning the method looks at similarities.
bool needs_similarity(Method method, const PlanOptions& options);

}  // namespace akin
