#include "distill/grid/cell.hpp"

#include <cmath>
#include <map>

#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

using Json = Settings::Json;

Json number(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }
double number(const Json& j) { return j.is_number() ? j.get<double>() : not_measured; }

/// What an optimiser looks at.
Json training_settings(const StudentOptions& o) {
  const Schedule& s = o.train.schedule;
  const OptimizerOptions& p = o.train.optimizer;
  return {{"steps", s.steps},
          {"batch", o.batch},
          {"lr", s.base},
          {"schedule", s.kind},
          {"warmup", s.warmup},
          {"optimizer", p.kind},
          {"momentum", p.momentum},
          {"nesterov", p.nesterov},
          {"weight_decay", p.weight_decay},
          {"clip_norm", p.clip_norm},
          {"eval_every", o.train.eval_every},
          {"augment", o.augment},
          {"flip", o.flip}};
}

void flatten(const Json& j, const std::string& path, std::map<std::string, std::string>& out) {
  if (!j.is_object()) {
    out[path] = j.dump();
    return;
  }
  for (const auto& [key, value] : j.items()) flatten(value, path.empty() ? key : path + "." + key, out);
}

std::string short_value(const std::string& text) {  // a hash says enough with its beginning
  return text.size() > 40 ? text.substr(0, 12) + "..\"" : text;
}

}  // namespace

std::string Cell::name() const {
  return fmt::format("{}/{}/{}-seed{}{}", target->name, budget->name, variant->name, seed,
                     teacher.empty() ? "" : "@" + teacher);
}

std::string Cell::label() const {
  return fmt::format("{}, {}, seed {}, {}{}", target->name, budget->name, seed, variant->name,
                     teacher.empty() ? "" : " (" + teacher + ")");
}

std::vector<Cell> cells_of(const Experiment& e, const ExperimentTarget& t, const std::vector<std::string>& teachers) {
  std::vector<Cell> out;
  for (const ExperimentBudget& b : e.budgets)
    for (const std::uint64_t seed : e.seeds)
      for (const ExperimentVariant& v : e.variants) {
        const bool oracle = traits(v.method).weighting == Weighting::single;
        for (const std::string& teacher : oracle ? teachers : std::vector<std::string>{""})
          out.push_back({&t, &b, seed, &v, teacher});
      }
  return out;
}

std::vector<std::string> experiment_metrics(const Experiment& e) {
  if (!e.metrics.empty()) return e.metrics;
  return {e.options(e.targets.front(), e.variants.front()).rank.metric};
}

std::filesystem::path ranking_file(const std::filesystem::path& run_folder, const ExperimentTarget& t,
                                   const ExperimentBudget& b, std::uint64_t seed) {
  return run_folder / "rankings" / fmt::format("{}/{}/seed{}.json", t.name, b.name, seed);
}

std::optional<Json> read_ranking(const std::filesystem::path& run_folder, const ExperimentTarget& t,
                                 const ExperimentBudget& b, std::uint64_t seed) {
  return read_ranking(ranking_file(run_folder, t, b, seed));
}

std::optional<Json> read_ranking(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return {};
  Json j = Json::parse(read_text(file), nullptr, false);
  if (!j.is_object() || !j.contains("settings") || !j.contains("sources") || !j.contains("metrics")) return {};
  return j;
}

std::filesystem::path cell_file(const std::filesystem::path& run_folder, const Cell& cell) {
  return run_folder / "cells" / (cell.name() + ".json");
}

void write_cell(const std::filesystem::path& run_folder, const Cell& cell, const CellResult& r,
                const std::string& made_by) {
  Json j = {{"target", cell.target->name},
            {"budget", cell.budget->name},
            {"seed", cell.seed},
            {"variant", cell.variant->name},
            {"method", name_of(cell.variant->method)}};
  if (!cell.teacher.empty()) j["teacher"] = cell.teacher;
  j["settings"] = r.settings;
  if (!r.error.empty()) {
    j["error"] = r.error;
  } else {
    const SeedResult& f = r.figures;
    j["result"] = {{"test_last", number(f.test_accuracy)},
                   {"test_best", number(f.best_test_accuracy)},
                   {"val_last", number(f.val_accuracy)},
                   {"val_best", number(f.best_val_accuracy)},
                   {"best_step", f.best_step},
                   {"seconds", number(f.seconds)},
                   {"top_source", r.top_source},
                   {"top_weight", number(r.top_weight)},
                   {"labelled", r.labelled},
                   {"unlabelled", r.unlabelled}};
  }
  j["made_by"] = made_by;
  const std::filesystem::path file = cell_file(run_folder, cell);
  make_folder(file.parent_path());
  write_file_atomic(file, std::string_view(j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"));
}

std::optional<CellResult> read_cell(const std::filesystem::path& run_folder, const Cell& cell) {
  return read_cell(cell_file(run_folder, cell));
}

std::optional<CellResult> read_cell(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return {};
  try {
    const Json j = Json::parse(read_text(file));
    CellResult r;
    r.variant = j.at("variant").get<std::string>();
    r.method = j.at("method").get<std::string>();
    r.made_by = j.value("made_by", "");
    r.settings = j.at("settings");
    r.error = j.value("error", "");
    if (!r.error.empty()) return r;
    const Json& f = j.at("result");
    r.figures = {.seed = j.at("seed").get<std::uint64_t>(),
                 .test_accuracy = number(f.at("test_last")),
                 .val_accuracy = number(f.at("val_last")),
                 .best_step = f.at("best_step").get<std::int64_t>(),
                 .best_val_accuracy = number(f.at("val_best")),
                 .best_test_accuracy = number(f.at("test_best")),
                 .seconds = number(f.at("seconds"))};
    r.top_source = f.at("top_source").get<std::string>();
    r.top_weight = number(f.at("top_weight"));
    r.labelled = f.at("labelled").get<std::int64_t>();
    r.unlabelled = f.at("unlabelled").get<std::int64_t>();
    if (!std::isfinite(r.figures.test_accuracy)) return {};
    return r;
  } catch (const nlohmann::json::exception&) {
    return {};
  }
}

Json budget_settings(const LabelManifest& m) {
  Json j = Json::object();
  if (!m.labelled.empty() || !m.validation.empty() || m.unlabelled) {
    std::string text;
    for (const auto* part : {&m.labelled, &m.validation})
      for (const ListedImages& list : *part)
        text += fmt::format("{}:{};", list.class_name, fmt::join(list.images, ","));
    if (m.unlabelled) text += fmt::format("{}", fmt::join(*m.unlabelled, ","));
    j["lists"] = sha256_hex(text);
  }
  if (m.labelled.empty() && m.draw.fraction > 0) j["fraction"] = m.draw.fraction;
  if (m.labelled.empty() && m.draw.fraction == 0) j["per_class"] = m.draw.labels_per_class;
  if (!m.unlabelled) j["unlabelled"] = m.draw.unlabelled;
  if (m.draw.validation_per_class > 0) j["validation"] = m.draw.validation_per_class;
  if (m.draw.validation_fraction > 0) j["validation"] = m.draw.validation_fraction;
  return j;
}

Json cell_settings(const Cell& cell, const PlanOptions& o, const TargetInputs& inputs) {
  const MethodTraits& t = traits(cell.variant->method);
  const StudentOptions& s = o.student;
  Json j = {{"method", t.name},
            {"images", inputs.images},
            {"test", inputs.test},
            {"labels", budget_settings(cell.budget->labels)},
            {"seed", cell.seed}};
  if (t.start == Start::features) {
    j["probe_l2"] = s.probe_l2;
  } else {
    j["training"] = training_settings(s);
    if (t.start != Start::nearest)
      j["student"] = {{"name", s.architecture.name},
                      {"width", s.architecture.width},
                      {"shortcut", s.architecture.shortcut},
                      {"stem", s.architecture.stem}};
    if (t.start == Start::fresh && !s.init.empty()) j["init"] = sha256_file(s.init);
  }
  if (t.term != Term::none) j["unlabelled_batch"] = s.unlabelled_batch;
  if (t.term == Term::pseudo_labels) j["threshold"] = s.threshold;
  if (t.term == Term::teachers) {
    j["lambda"] = s.lambda;
    j["temperature"] = s.temperature;
    j["teacher_view"] = s.teacher_view == TeacherView::same ? "same" : "clean";
  }
  if (!uses_sources(t.method)) return j;
  for (const auto& [name, hash] : inputs.sources)
    if (cell.teacher.empty() || cell.teacher == name) j["sources"][name] = hash;
  j["match_channels"] = o.match_channels;
  if (t.start == Start::transfer) j["transfer"] = o.transfer;
  if (needs_similarity(t.method, o)) {
    j["metric"] = o.rank.metric;
    j["probe"] = o.rank.probe_limit;
  }
  if (t.weighting == Weighting::weighted) {
    j["mapping"] = o.rank.mapping;
    j["p"] = std::isfinite(o.rank.power) ? Json(o.rank.power) : Json("inf");
  }
  return j;
}

std::string settings_changes(const Json& before, const Json& now) {
  std::map<std::string, std::string> a, b;
  flatten(before, "", a);
  flatten(now, "", b);
  std::vector<std::string> changes;
  for (const auto& [key, value] : b) {
    const auto it = a.find(key);
    if (it == a.end())
      changes.push_back(fmt::format("{} is new ({})", key, short_value(value)));
    else if (it->second != value)
      changes.push_back(fmt::format("{} was {} and is {}", key, short_value(it->second), short_value(value)));
  }
  for (const auto& [key, value] : a)
    if (!b.contains(key)) changes.push_back(key + " is gone");
  return fmt::format("{}", fmt::join(changes, ", "));
}

}  // namespace akin
