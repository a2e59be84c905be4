#include "distill/student/plan.hpp"

#include <algorithm>
#include <cmath>

#include "distill/student/train.hpp"
#include "distill/task/settings_file.hpp"
#include "kernels/common/rng.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

std::string describe(const Source& s) {
  const Architecture& a = s.model.info.architecture;
  return s.is_table() ? s.name + " is a table" : fmt::format("{} is a {}", s.name, in_words(a));
}

std::string wanted_start(Context& ctx, const Architecture& a) {
  return "a " + in_words(make_network(ctx, a)->architecture());
}

/// What transfer starts from. Without a ranking any source that it could be.
std::size_t transfer_source(Context& ctx, const StudentPlan& plan, const std::vector<Source>& sources,
                            const Ranking* ranking, const std::string& named) {
  std::vector<std::string> names, kinds;
  for (const Source& s : sources) {
    names.push_back(s.name);
    kinds.push_back(describe(s));
  }
  const auto fits = [&](std::size_t s) { return fits_student(ctx, sources[s], plan.architecture); };
  check_transfer(named, names);
  if (!named.empty()) {
    const auto s = static_cast<std::size_t>(std::find(names.begin(), names.end(), named) - names.begin());
    AKIN_CHECK(fits(s), "{}: cannot start from source {}: the student is {}, and {}; --student {} has that network",
               title_of(plan.method), named, wanted_start(ctx, plan.architecture), kinds[s], named);
    return s;
  }
  std::size_t s = 0;
  if (ranking == nullptr)
    while (s < sources.size() && !fits(s)) ++s;
  else
    s = most_similar(*ranking, fits);
  AKIN_CHECK(s < sources.size(),
             "{}: no source has the student's architecture, {}: {}; choose --student and --student-width like one of "
             "them, or a source's name for --student, add a source, or leave the method out",
             title_of(plan.method), wanted_start(ctx, plan.architecture), fmt::join(kinds, "; "));
  return s;
}

}  // namespace

std::string StudentPlan::label() const {
  std::string text = fmt::format("{}, seed {}", title_of(method), seed);
  if (single) text += ", taught by " + source->name;
  return text;
}

void check_transfer(const std::string& named, const std::vector<std::string>& sources) {
  if (!named.empty() && std::find(sources.begin(), sources.end(), named) == sources.end())
    fail_usage("--transfer {}: no source has this name{}", named, suggestion(named, sources));
}

std::int64_t pictures_trained_on(Method method, const Settings& settings) {
  const MethodTraits& t = traits(method);
  if (t.start == Start::features) return 0;
  return settings.steps * (settings.batch + (t.term == Term::none ? 0 : settings.unlabelled_batch));
}

Model load_init(Context& ctx, const Settings& settings) {
  Model model = load_model(ctx, settings.init);
  if (settings.files) settings.files->check(settings.init, "--init");
  return model;
}

Architecture student_architecture(Context& ctx, const Settings& settings, const Task& task) {
  Architecture a = settings.student == "init" ? load_init(ctx, settings).info.architecture : architecture_of(settings);
  a.channels = task.pool().images.shape()[3];
  a.classes = task.classes();
  return a;
}

void check_start(Context& ctx, Method method, const Task& task, const std::vector<Source>& sources,
                 const Settings& settings) {
  if (traits(method).start != Start::transfer) return;
  const StudentPlan plan{.method = method, .architecture = student_architecture(ctx, settings, task)};
  transfer_source(ctx, plan, sources, nullptr, settings.transfer);
}

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

Weights weights_for(Method method, const Ranking& ranking, double power, std::uint64_t seed) {
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
      return make_weights(names_of(ranking), values_of(ranking), ranking.mapping, power);
    case Weighting::none:
    case Weighting::probe:
    case Weighting::single:
      break;
  }
  fail("{}: has no weights of its own", title_of(method));
}

void check_view(const Source& source, const Settings& settings) {
  AKIN_CHECK(settings.teacher_view == "clean" || !source.is_table(),
             "source {} is a table: it cannot look at augmented images; use --teacher-view clean", source.name);
}

void check_head(const Source& source, std::string_view what) {
  AKIN_CHECK(source.classes() > 0,
             "{}: source {} has features and no head, so it says nothing to learn from; leave it out, add a tensor "
             "'logits' to its table, or let a probe of the sources' features teach (--methods probe-taught)",
             what, source.name);
}

std::vector<StudentPlan> plan_students(Context& ctx, Method method, std::uint64_t seed, const Task& task,
                                       const std::vector<Source>& sources, const Ranking& ranking,
                                       const Settings& settings) {
  const MethodTraits& t = traits(method);
  check_shift(task.pool().images.shape()[1], settings.shift);
  StudentPlan plan{.method = method, .seed = seed, .architecture = student_architecture(ctx, settings, task)};
  if (!uses_sources(method)) return {plan};
  if (needs_similarity(t, settings)) plan.metric_why = ranking.metric.why;
  AKIN_CHECK(!sources.empty() && ranking.rows.size() == sources.size(), "{}: needs at least one source",
             title_of(method));
  if (needs_similarity(t, settings))
    for (const SimilarityRow& row : ranking.rows)
      AKIN_CHECK(row.undefined.empty(), "source {}: {}", row.source, row.undefined);
  if (t.start == Start::transfer)
    plan.start = &sources[transfer_source(ctx, plan, sources, &ranking, settings.transfer)];
  const bool probed = t.weighting == Weighting::probe;
  if (t.start == Start::nearest || (t.start == Start::features && !probed)) {
    const Source& s = sources[most_similar(ranking)];
    AKIN_CHECK(!s.is_table(),
               "{}: the nearest source, {}, is a table of what a model says of the training images; this method needs "
               "the model itself: give it as a file, or leave the method out",
               title_of(method), s.name);
    plan.start = &s;
    plan.architecture = s.model.info.architecture;
    plan.architecture.channels = task.pool().images.shape()[3];
    plan.architecture.classes = task.classes();
  }
  plan.source = plan.start;
  if (probed && t.start == Start::features)
    AKIN_CHECK(
        std::any_of(sources.begin(), sources.end(), [](const Source& s) { return !s.is_table(); }),
        "{}: asks a table whichever source it chooses, for all are tables of the target's training images, which "
        "say nothing of test images; leave the method out, use probe-taught, or give a source as a model",
        title_of(method));
  if (probed) {
    for (const Source& s : sources) check_channels(s, task.pool(), settings.match_channels);
    if (teachers_see_augmented(settings) && is_taught(method))
      fail_usage("{}: its teacher looks at unchanged images, once; use --teacher-view clean", title_of(method));
  }
  if (probed || !is_taught(method)) return {plan};
  const auto taught_by = [&](Weights weights) {
    StudentPlan p = plan;
    p.weights = std::move(weights);
    const std::vector<double>& alpha = p.weights.alpha;
    for (std::size_t s = 0; s < sources.size(); ++s)
      if (alpha[s] > 0) {
        check_head(sources[s], title_of(method));
        check_channels(sources[s], task.pool(), settings.match_channels);
        check_view(sources[s], settings);
      }
    const auto main = static_cast<std::size_t>(std::max_element(alpha.begin(), alpha.end()) - alpha.begin());
    p.source = &sources[main];
    p.weight = alpha[main];
    return p;
  };
  if (t.weighting != Weighting::single) return {taught_by(weights_for(method, ranking, settings.p, seed))};
  plan.single = true;
  std::vector<StudentPlan> plans;
  for (std::size_t s = 0; s < sources.size(); ++s)
    if (sources[s].classes() > 0) plans.push_back(taught_by(single_weights(ranking, s)));  // else it says nothing
  AKIN_CHECK(!plans.empty(), "{}: no source has a head", title_of(method));
  return plans;
}

}  // namespace akin
