#include <algorithm>
#include <charconv>
#include <cmath>

#include "distill/grid/grid.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

/// Names become files and cells of tables.
std::string checked_name(const Settings& s, const std::string& name) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  if (name.empty() || name.front() == '.' || !std::all_of(name.begin(), name.end(), plain))
    s.refuse("name", fmt::format("'{}': letters, digits and - _ . only", name));
  return name;
}

template <class T>
void add(std::vector<T>& list, T item, const Settings& s) {
  for (const T& other : list)
    if (other.name == item.name) s.refuse("name", fmt::format("'{}' is there twice", item.name));
  list.push_back(std::move(item));
}

TeacherView view_of(const Settings& s, TeacherView fallback) {
  const std::string name = s.text("teacher_view", fallback == TeacherView::same ? "same" : "clean");
  if (name != "clean" && name != "same") s.refuse("teacher_view", "'" + name + "' is neither clean nor same");
  return name == "same" ? TeacherView::same : TeacherView::clean;
}

/// The settings of a cell, by the names of `akin distill`; what is not there stays.
void apply(const Settings& s, const std::filesystem::path& root, PlanOptions& o) {
  StudentOptions& t = o.student;
  TrainOptions& train = t.train;
  t.architecture.name = s.text("student", t.architecture.name);
  t.architecture.width = s.whole("student_width", t.architecture.width);
  t.architecture.shortcut = s.text("student_shortcut", t.architecture.shortcut);
  t.architecture.stem = s.text("student_stem", t.architecture.stem);
  if (s.has("init")) t.init = (root / s.text("init")).lexically_normal();
  train.schedule.steps = s.whole("steps", train.schedule.steps);
  t.batch = s.whole("batch", t.batch);
  t.unlabelled_batch = s.whole("unlabelled_batch", t.unlabelled_batch);
  train.eval_every = s.whole("eval_every", train.eval_every);
  t.augment = s.flag("augment", t.augment);
  t.flip = s.flag("flip", t.flip);
  train.schedule.base = s.number("lr", train.schedule.base);
  train.schedule.kind = s.text("schedule", train.schedule.kind);
  train.schedule.warmup = s.whole("warmup", train.schedule.warmup);
  train.optimizer.kind = s.text("optimizer", train.optimizer.kind);
  train.optimizer.momentum = s.number("momentum", train.optimizer.momentum);
  train.optimizer.nesterov = s.flag("nesterov", train.optimizer.nesterov);
  train.optimizer.weight_decay = s.number("weight_decay", train.optimizer.weight_decay);
  train.optimizer.clip_norm = s.number("clip_norm", train.optimizer.clip_norm);
  t.lambda = s.number("lambda", t.lambda);
  t.temperature = s.number("temperature", t.temperature);
  t.teacher_view = view_of(s, t.teacher_view);
  t.threshold = s.number("threshold", t.threshold);
  t.probe_l2 = s.number("probe_l2", t.probe_l2);
  o.rank.metric = s.text("metric", o.rank.metric);
  o.rank.mapping = s.text("mapping", o.rank.mapping);
  o.rank.power = s.number("p", o.rank.power);
  o.rank.probe_limit = s.whole("probe", o.rank.probe_limit);
  o.transfer = s.text("transfer", o.transfer);
  o.match_channels = s.flag("match_channels", o.match_channels);
}

/// Throws UsageError where a cell's settings cannot be used.
void check(const PlanOptions& o, const std::string& where) {
  try {
    akin::check(o.student);
    o.student.train.schedule.check();
    o.student.train.optimizer.check();
    find_metric(o.rank.metric);
    if (!o.rank.mapping.empty()) parse_mapping(o.rank.mapping);
    if (!(o.rank.power >= 0)) fail_usage("p = {}: expected a number from 0, or inf", o.rank.power);
    if (o.rank.probe_limit < 1) fail_usage("probe = {}: at least 1 image", o.rank.probe_limit);
    const auto& known = known_architectures();
    if (std::find(known.begin(), known.end(), o.student.architecture.name) == known.end())
      fail_usage("student = \"{}\"{}", o.student.architecture.name, suggestion(o.student.architecture.name, known));
  } catch (const UsageError& e) {
    fail_usage("{}: {}", where, e.what());
  }
}

ImageFormat read_format(const Settings& s) {
  ImageFormat format;
  const std::string size = s.text("size", "");
  if (!size.empty()) {
    const char *begin = size.data(), *end = begin + size.size();
    const auto [x, error] = std::from_chars(begin, end, format.height);
    const bool first = error == std::errc() && x != end && *x == 'x';
    if (!first || std::from_chars(x + 1, end, format.width).ptr != end || format.height < 1 || format.width < 1)
      s.refuse("size", fmt::format("'{}': expected height x width, as in \"32x32\"", size));
  }
  format.channels = static_cast<int>(s.whole("channels", 0));
  if (format.channels != 0 && format.channels != 1 && format.channels != 3)
    s.refuse("channels", fmt::format("{}: 1 (grey), 3 (colour) or 0 (as they are)", format.channels));
  return format;
}

std::vector<float> read_floats(const Settings& s, const std::string& key) {
  std::vector<float> out;
  const Settings::Json v = s.value(key);
  if (v.is_null()) return {0.5f};
  if (!v.is_array() || v.empty()) s.refuse(key, "expected a list of numbers, one for all channels or one each");
  for (const auto& item : v) {
    if (!item.is_number()) s.refuse(key, fmt::format("{} is no number", item.dump()));
    out.push_back(item.get<float>());
  }
  return out;
}

ExperimentSource read_source(const Settings& s, const std::filesystem::path& root) {
  ExperimentSource source;
  source.name = checked_name(s, s.text("name"));
  source.path = (root / s.text("path")).lexically_normal().string();
  if (s.has("arch")) {
    ModelInfo info;
    info.architecture.name = s.text("arch");
    info.architecture.width = s.whole("width", 0);
    info.architecture.shortcut = s.text("shortcut", "");
    info.architecture.stem = s.text("stem", "");
    info.normalization = {read_floats(s, "mean"), read_floats(s, "std")};
    source.foreign = info;
  }
  s.done();
  return source;
}

ExperimentTarget read_target(const Settings& s, const std::filesystem::path& root,
                             const std::vector<ExperimentSource>& bank) {
  ExperimentTarget t{.name = {}, .data = {}, .format = {}, .images = 0, .sources = {}, .settings = s};
  t.name = checked_name(s, s.text("name"));
  t.data = (root / s.text("data")).lexically_normal();
  t.format = read_format(s);
  t.images = s.whole("images", 0);
  if (t.images < 0) s.refuse("images", fmt::format("{}: expected a whole number from 0", t.images));
  std::vector<std::string> all;
  for (const ExperimentSource& b : bank) all.push_back(b.name);
  t.sources = s.has("sources") ? s.texts("sources") : all;
  const std::vector<std::string> excluded = s.texts("exclude");
  for (const char* key : {"sources", "exclude"})
    for (const std::string& name : s.texts(key))
      if (std::find(all.begin(), all.end(), name) == all.end())
        s.refuse(key, fmt::format("no source is called '{}'{}", name, suggestion(name, all)));
  std::erase_if(t.sources, [&](const std::string& name) {
    return std::find(excluded.begin(), excluded.end(), name) != excluded.end();
  });
  return t;
}

}  // namespace

PlanOptions Experiment::options(const ExperimentTarget& target, const ExperimentVariant& variant) const {
  PlanOptions o;
  o.rank.replicates = 0;
  apply(settings, root, o);
  apply(target.settings, root, o);
  apply(variant.settings, root, o);
  o.student.method = variant.method;
  return o;
}

Experiment read_experiment(const std::filesystem::path& file, const std::filesystem::path& root_option) {
  const Settings top = Settings::read(file);
  Experiment e{.title = {},
               .source = file.string(),
               .root = {},
               .seeds = {},
               .metrics = {},
               .sources = {},
               .targets = {},
               .budgets = {},
               .variants = {},
               .settings = top.table("settings")};
  e.title = top.text("title", file.stem().string());
  const std::filesystem::path own = file.parent_path() / top.text("root", "");
  const std::filesystem::path root = e.root = root_option.empty() ? own : root_option;
  for (const std::int64_t seed : top.has("seeds") ? top.wholes("seeds") : std::vector<std::int64_t>{0}) {
    const auto s = static_cast<std::uint64_t>(seed);
    if (seed < 0 || std::find(e.seeds.begin(), e.seeds.end(), s) != e.seeds.end())
      top.refuse("seeds", fmt::format("{} is negative, or there twice", seed));
    e.seeds.push_back(s);
  }
  for (const Settings& s : top.tables("sources")) add(e.sources, read_source(s, root), s);
  for (const Settings& s : top.tables("targets")) add(e.targets, read_target(s, root, e.sources), s);
  for (const Settings& s : top.tables("budgets")) {
    ExperimentBudget budget{checked_name(s, s.text("name")), {}};
    budget.labels =
        s.has("file") ? read_manifest(root / s.text("file"), {.labels_per_class = 1}) : read_manifest(s, {});
    s.done();
    add(e.budgets, std::move(budget), s);
  }
  std::vector<std::string> names;
  for (const MethodTraits& m : methods()) names.emplace_back(m.name);
  const auto method_of = [&](const Settings& s, const std::string& key, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      s.refuse(key, fmt::format("method '{}' is unknown{}", name, suggestion(name, names)));
    return parse_method(name);
  };
  for (const std::string& name : top.texts("methods"))
    add(e.variants, {name, method_of(top, "methods", name), Settings(Settings::Json::object(), top.where())}, top);
  for (const Settings& s : top.tables("variants"))
    add(e.variants, {checked_name(s, s.text("name")), method_of(s, "method", s.text("method")), s}, s);
  e.metrics = top.texts("metrics");
  for (const std::string& m : e.metrics) find_metric(m);
  top.done();
  for (const auto& [what, empty] : {std::pair{"[[targets]]", e.targets.empty()},
                                    {"[[budgets]]", e.budgets.empty()},
                                    {"methods or [[variants]]", e.variants.empty()},
                                    {"seeds", e.seeds.empty()}})
    if (empty) fail_usage("{}: has no {}", file.string(), what);
  for (const ExperimentTarget& t : e.targets)
    for (const ExperimentVariant& v : e.variants) {
      check(e.options(t, v), fmt::format("{}: target '{}', '{}'", file.string(), t.name, v.name));
      if (uses_sources(v.method) && t.sources.empty())
        fail_usage("{}: '{}' needs sources, and target '{}' has none", file.string(), v.name, t.name);
    }
  e.settings.done();
  for (const ExperimentTarget& t : e.targets) t.settings.done();
  for (const ExperimentVariant& v : e.variants) v.settings.done();
  return e;
}

bool ExperimentFilter::takes(const ExperimentTarget& t) const { return targets.empty() || targets.contains(t.name); }
bool ExperimentFilter::takes(const ExperimentBudget& b) const { return budgets.empty() || budgets.contains(b.name); }
bool ExperimentFilter::takes(const ExperimentVariant& v) const {
  return (variants.empty() || variants.contains(v.name)) && (methods.empty() || methods.contains(name_of(v.method)));
}
bool ExperimentFilter::takes_seed(std::uint64_t seed) const { return seeds.empty() || seeds.contains(seed); }

void add_filter(ExperimentFilter& filter, const std::string& text, const Experiment& e) {
  const std::size_t equals = text.find('=');
  const std::string kind = text.substr(0, equals), name = equals == std::string::npos ? "" : text.substr(equals + 1);
  std::vector<std::string> known;
  const auto names = [&](const auto& list) {
    for (const auto& item : list) known.push_back(item.name);
  };
  std::set<std::string>* to = nullptr;
  if (kind == "target") to = &filter.targets, names(e.targets);
  if (kind == "budget") to = &filter.budgets, names(e.budgets);
  if (kind == "variant") to = &filter.variants, names(e.variants);
  if (kind == "method") {
    to = &filter.methods;
    for (const ExperimentVariant& v : e.variants) known.emplace_back(name_of(v.method));
  }
  if (kind == "seed")
    for (const std::uint64_t seed : e.seeds) known.push_back(std::to_string(seed));
  if (known.empty())
    fail_usage("--only '{}': expected target=NAME, budget=NAME, method=NAME, variant=NAME or seed=N", text);
  if (std::find(known.begin(), known.end(), name) == known.end())
    fail_usage("--only '{}': the experiment has no such {}{}", text, kind, suggestion(name, known));
  if (to != nullptr)
    to->insert(name);
  else
    filter.seeds.insert(std::stoull(name));
}

}  // namespace akin
