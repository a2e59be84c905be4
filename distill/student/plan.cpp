#include "distill/student/plan.hpp"

#include <algorithm>
#include <cmath>

#include "distill/task/settings_file.hpp"
#include "kernels/common/rng.hpp"

namespace akin {

namespace {

std::string describe(const Source& s) {
  const Architecture& a = s.model.info.architecture;
  return s.is_table() ? s.name + " is a table"
                      : fmt::format("{} is a {} of width {}, {} channels", s.name, a.name, a.width, a.channels);
}

/// What transfer starts from.
std::size_t transfer_source(Context& ctx, Method method, const Task& task, const std::vector<Source>& sources,
                            const Ranking& ranking, const PlanOptions& o) {
  std::vector<std::string> names, kinds;
  for (const Source& s : sources) {
    names.push_back(s.name);
    kinds.push_back(describe(s));
  }
  StudentOptions student = o.student;
  student.method = method;
  const auto fits = [&](std::size_t s) { return fits_student(ctx, sources[s], task, student); };
  const std::string wanted = fmt::format("a {} of width {} for {} channels", student.architecture.name,
                                         student.architecture.width, task.pool.images.shape()[3]);
  if (!o.transfer.empty()) {
    const auto at = std::find(names.begin(), names.end(), o.transfer);
    if (at == names.end())
      fail_usage("--transfer {}: no source has this name{}", o.transfer, suggestion(o.transfer, names));
    const auto s = static_cast<std::size_t>(at - names.begin());
    AKIN_CHECK(fits(s), "{}: cannot start from source {}: the student is {}, and {}", title_of(method), o.transfer,
               wanted, kinds[s]);
    return s;
  }
  const std::size_t s = most_similar(ranking, fits);
  AKIN_CHECK(s < sources.size(),
             "{}: no source has the student's architecture, {}: {}; choose --student and --student-width like one of "
             "them, add a source, or leave the method out",
             title_of(method), wanted, fmt::join(kinds, "; "));
  return s;
}

}  // namespace

namespace {

std::vector<double> values_of(const Ranking& ranking) {
  std::vector<double> raw;
  for (const SimilarityRow& r : ranking.rows) raw.push_back(r.similarity.value);
  return raw;
}

std::vector<std::string> names_of(const Ranking& ranking) {
  std::vector<std::string> names;
  for (const SimilarityRow& r : ranking.rows) names.push_back(r.source);
  return names;
}

/// One of the sources, whatever the order in which they were named.
std::size_t draw_source(const std::vector<std::string>& names, std::uint64_t seed) {
  constexpr std::uint32_t kStream = 0x72616e64;  // "rand"
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  const std::string& drawn = sorted[Rng(seed, kStream).below(static_cast<std::uint32_t>(sorted.size()))];
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), drawn) - names.begin());
}

}  // namespace

Weights single_weights(const Ranking& ranking, std::size_t source) {
  const std::size_t S = ranking.rows.size();
  AKIN_CHECK(source < S, "source {} of {}", source, S);
  Weights w{names_of(ranking),
            values_of(ranking),
            std::vector<double>(S, not_measured),
            std::vector<double>(S, 0.0),
            source,
            {}};
  w.alpha[source] = 1;
  const bool measured = std::all_of(w.raw.begin(), w.raw.end(), [](double v) { return std::isfinite(v); });
  if (measured) {
    w.mapped = map_similarity(w.raw, ranking.mapping);
    w.nearest = most_similar(ranking);
  }
  return w;
}

Weights weights_for(Method method, const Ranking& ranking, const RankOptions& options, std::uint64_t seed) {
  AKIN_CHECK(!ranking.rows.empty(), "no sources to weight; give at least one");
  switch (traits(method).weighting) {
    case Weighting::random:
      return single_weights(ranking, draw_source(names_of(ranking), seed));
    case Weighting::equal: {
      Weights w = single_weights(ranking, 0);
      w.alpha.assign(w.alpha.size(), 1 / static_cast<double>(w.alpha.size()));
      return w;
    }
    case Weighting::nearest:
      return make_weights(names_of(ranking), values_of(ranking), ranking.mapping, nearest_only);
    case Weighting::weighted:
      return make_weights(names_of(ranking), values_of(ranking), ranking.mapping, options.power);
    case Weighting::none:
    case Weighting::single:
      break;
  }
  fail("{}: has no weights of its own", title_of(method));
}

bool needs_similarity(Method method, const PlanOptions& o) {
  const MethodTraits& t = traits(method);
  return t.weighting == Weighting::nearest || t.weighting == Weighting::weighted || t.start == Start::nearest ||
         t.start == Start::features || (t.start == Start::transfer && o.transfer.empty());
}

std::vector<StudentPlan> plan_students(Context& ctx, Method method, std::uint64_t seed, const Task& task,
                                       const std::vector<Source>& sources, const Ranking& ranking,
                                       const PlanOptions& o) {
  const MethodTraits& t = traits(method);
  if (needs_unlabelled(method)) check_unlabelled(task, method);
  StudentPlan plan{.method = method, .seed = seed, .weights = {}, .start = {}, .source = {}, .single = false};
  if (!uses_sources(method)) return {plan};
  AKIN_CHECK(!sources.empty() && ranking.rows.size() == sources.size(), "{}: needs at least one source",
             title_of(method));
  if (t.start == Start::transfer) plan.start = transfer_source(ctx, method, task, sources, ranking, o);
  if (t.start == Start::nearest || t.start == Start::features) {
    plan.start = most_similar(ranking);
    const Source& s = sources[*plan.start];
    AKIN_CHECK(!s.is_table(),
               "{}: the nearest source, {}, is a table of what a model says of the training images; this method needs "
               "the model itself: give it as a file, or leave the method out",
               title_of(method), s.name);
  }
  plan.source = plan.start;
  if (!is_taught(method)) return {plan};
  const auto ready = [&](StudentPlan p) {
    for (std::size_t s = 0; s < sources.size(); ++s)
      if (p.weights.alpha[s] > 0) {
        check_head(sources[s], title_of(method));
        check_channels(sources[s], task, o.match_channels);
        check_view(sources[s], o.student.teacher_view);
      }
    p.source = static_cast<std::size_t>(std::max_element(p.weights.alpha.begin(), p.weights.alpha.end()) -
                                        p.weights.alpha.begin());
    return p;
  };
  std::vector<StudentPlan> plans;
  if (t.weighting == Weighting::single) {
    plan.single = true;
    for (std::size_t s = 0; s < sources.size(); ++s) {
      if (sources[s].classes() == 0) continue;  // it has nothing to say
      plan.weights = single_weights(ranking, s);
      plans.push_back(ready(plan));
    }
    AKIN_CHECK(!plans.empty(), "{}: no source has a head", title_of(method));
    return plans;
  }
  plan.weights = weights_for(method, ranking, o.rank, seed);
  return {ready(plan)};
}

}  // namespace akin
