#include "distill/grid/cell.hpp"

#include <algorithm>
#include <cmath>

#include "engine/io/json.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

constexpr const char* kFormat = "akin-student-3";
constexpr const char* kRankingFormat = "akin-ranking-2";

const char* name_in_record(const FigureRow& row) { return row.cell_name != nullptr ? row.cell_name : row.name; }

}  // namespace

std::string Cell::name() const {
  return fmt::format("{}/{}/{}-seed{}{}", target->name, budget->name, variant->name, seed,
                     teacher.empty() ? "" : "@" + teacher);
}

std::string Cell::label() const {
  return fmt::format("{}, {}, seed {}, {}{}", target->name, budget->name, seed, variant->name,
                     teacher.empty() ? "" : " (" + teacher + ")");
}

std::vector<Cell> cells_of(const Grid& grid, const GridTarget& t, const std::vector<std::string>& teachers) {
  std::vector<Cell> out;
  for (const GridBudget& b : grid.budgets)
    for (const std::uint64_t seed : grid.seeds)
      for (const GridVariant& v : grid.variants) {
        const bool oracle = traits(v.method).weighting == Weighting::single;
        for (const std::string& teacher : oracle ? teachers : std::vector<std::string>{""})
          out.push_back({&t, &b, seed, &v, teacher});
      }
  return out;
}

namespace {

/// "<variant>-seed<k>", with the teacher of an oracle's cell.
std::string flat_name(const Cell& c) {
  return fmt::format("{}-seed{}{}", c.variant->name, c.seed, c.teacher.empty() ? "" : "-" + c.teacher);
}

}  // namespace

std::filesystem::path GridFolder::record(const Cell& c) const {
  return flat ? folder / "students" / (flat_name(c) + ".json") : folder / "cells" / (c.name() + ".json");
}

std::filesystem::path GridFolder::student(const Cell& c) const {
  return folder / "students" / ((flat ? flat_name(c) : c.name()) + ".safetensors");
}

std::filesystem::path GridFolder::best(const Cell& c) const {
  return folder / "students" / ((flat ? flat_name(c) : c.name()) + "_best.safetensors");
}

std::filesystem::path GridFolder::checkpoint(const Cell& c) const {
  return folder / "checkpoints" / ((flat ? flat_name(c) : sha256_hex(c.name()).substr(0, 16)) + ".safetensors");
}

std::filesystem::path GridFolder::labels(const GridTarget& t, const GridBudget& b, std::uint64_t seed) const {
  if (flat) return folder / fmt::format("labels-seed{}.json", seed);
  return folder / "labels" / fmt::format("{}/{}/seed{}.json", t.name, b.name, seed);
}

std::filesystem::path GridFolder::ranking(const GridTarget& t, const GridBudget& b, std::uint64_t seed) const {
  return folder / "rankings" / fmt::format("{}/{}/seed{}.json", t.name, b.name, seed);
}

std::optional<Json> read_ranking(const std::filesystem::path& file, const Tell& tell, const Group& group) {
  std::optional<Json> j = read_sealed(file, tell);
  const auto row_is_whole = [](const Json& row) {
    if (!row.is_object() || !row.contains("source") || !row["source"].is_string() || !row.contains("values") ||
        !row["values"].is_object() || !row.contains("undefined") || !row["undefined"].is_object())
      return false;
    if (row.contains("best_shares") && !row["best_shares"].is_object()) return false;
    return std::all_of(row["undefined"].begin(), row["undefined"].end(), [](const Json& v) { return v.is_string(); });
  };
  if (!j || !j->contains("format") || (*j)["format"] != kRankingFormat || !j->contains("settings") ||
      !j->contains("metrics") || !j->contains("sources") || !(*j)["sources"].is_array() ||
      !std::all_of((*j)["sources"].begin(), (*j)["sources"].end(), row_is_whole))
    return {};
  for (const auto& [key, wanted] : {std::pair{"target", &group.target}, {"budget", &group.budget}})
    if (const Json said = j->value(key, Json()); said != *wanted) {
      if (tell) tell(fmt::format("{}: is the ranking of another {} ({})", file.string(), key, json_line(said)));
      return {};
    }
  return j;
}

void write_ranking(const std::filesystem::path& file, const Group& group, const Json& settings,
                   const std::vector<std::string>& metrics, const Json& rows) {
  make_folder(file.parent_path());
  write_sealed(file, {{"format", kRankingFormat},
                      {"target", group.target},
                      {"budget", group.budget},
                      {"settings", settings},
                      {"metrics", metrics},
                      {"sources", rows}});
}

void write_record(const std::filesystem::path& file, const Cell& cell, const StudentRecord& r) {
  Json j = {{"format", kFormat}, {"target", cell.target->name},   {"budget", cell.budget->name},
            {"seed", cell.seed}, {"variant", cell.variant->name}, {"method", name_of(cell.variant->method)}};
  if (!cell.teacher.empty()) j["teacher"] = cell.teacher;
  j["settings"] = r.settings;
  if (!r.metric_why.empty()) j["metric_why"] = r.metric_why;
  if (!r.error.empty()) {
    j["error"] = r.error;
  } else {
    Json result = Json::object();
    for (const FigureRow& row : figure_rows())
      result[name_in_record(row)] = std::visit(
          [&](auto field) -> Json {
            if constexpr (std::is_same_v<decltype(field), double Figures::*>)
              return number(r.figures.*field);
            else
              return r.figures.*field;
          },
          row.field);
    result["top_source"] = r.source;
    result["top_weight"] = number(r.weight);
    result["labelled"] = r.labelled;
    result["unlabelled"] = r.unlabelled;
    j["result"] = result;
    Json curve = Json::array();
    for (const CurvePoint& p : r.curve) curve.push_back({p.step, number(p.loss), number(p.validation)});
    j["curve"] = curve;
    if (!r.student_hash.empty()) j["files"]["student"] = r.student_hash;
    if (!r.best_hash.empty()) j["files"]["best"] = r.best_hash;
  }
  j["device"] = r.device;
  j["made_by"] = r.made_by;
  make_folder(file.parent_path());
  write_sealed(file, j);
}

std::optional<StoredRecord> read_record(const std::filesystem::path& file, const Tell& tell) {
  if (!is_there(file)) return {};
  try {
    StoredRecord out;
    std::string damage;
    const std::optional<Json> sealed = read_sealed(file, [&](const std::string& line) { damage = line; });
    if (!sealed) {
      const Json old = json_or_null(read_text(file));
      if (old.is_object() && seal_of(old) == Seal::none) return out;  // made by an earlier akin
      if (tell) tell(fmt::format("warning: {}; its student is made again", damage));
      return {};
    }
    const Json& j = *sealed;
    StudentRecord& r = out.record;
    if (j.value("format", "") != kFormat) return out;
    out.target = j.at("target").get<std::string>();
    out.budget = j.at("budget").get<std::string>();
    out.variant = j.at("variant").get<std::string>();
    out.method = j.at("method").get<std::string>();
    out.teacher = j.value("teacher", "");
    r.made_by = j.value("made_by", "");
    r.device = j.value("device", "");
    r.metric_why = j.value("metric_why", "");
    r.settings = j.at("settings");
    if (!r.settings.is_object() || !r.settings.value("metric", Json("")).is_string()) return {};
    const auto whole = [&](const Json& value) { return whole_number(value, file.string()); };
    r.figures.seed = static_cast<std::uint64_t>(whole(j.at("seed")));
    r.error = j.value("error", "");
    if (!r.error.empty()) return out;
    const Json& f = j.at("result");
    for (const FigureRow& row : figure_rows())
      std::visit(
          [&](auto field) {
            const Json value = f.value(name_in_record(row), Json());
            if (value.is_null()) return;  // not measured, or by an akin that did not know it
            if constexpr (std::is_same_v<decltype(field), double Figures::*>)
              r.figures.*field = number(value);
            else
              r.figures.*field = whole(value);
          },
          row.field);
    r.source = f.at("top_source").get<std::string>();
    r.weight = number(f.at("top_weight"));
    r.labelled = whole(f.at("labelled"));
    r.unlabelled = whole(f.at("unlabelled"));
    for (const Json& p : j.at("curve")) r.curve.push_back({whole(p.at(0)), number(p.at(1)), number(p.at(2))});
    if (const auto files = j.find("files"); files != j.end()) {
      r.student_hash = files->value("student", "");
      r.best_hash = files->value("best", "");
    }
    if (!(r.figures.test_accuracy >= 0 && r.figures.test_accuracy <= 1)) return {};
    return out;
  } catch (const nlohmann::json::exception&) {
    return {};
  } catch (const Error&) {
    return {};
  }
}

std::optional<StoredRecord> read_record(const GridFolder& place, const Cell& c, const Tell& tell) {
  std::optional<StoredRecord> out = read_record(place.record(c), tell);
  const bool earlier = out && out->record.settings.is_null();  // its format tells nothing more
  if (!out || earlier) return out;
  // A flat folder has one target, and its images tell it from others: its folder may have been renamed.
  const bool elsewhere = !place.flat && (out->target != c.target->name || out->budget != c.budget->name);
  if (!elsewhere && out->variant == c.variant->name && out->teacher == c.teacher && out->record.figures.seed == c.seed)
    return out;
  if (tell)
    tell(fmt::format("warning: {}: is the record of another student ({}, {}, seed {}, {}{}); its own is made again",
                     place.record(c).string(), out->target, out->budget, out->record.figures.seed, out->variant,
                     out->teacher.empty() ? "" : ", " + out->teacher));
  return {};
}

Json budget_settings(const LabelManifest& m) {
  Json j = Json::object();
  if (m.lists_labelled() || !m.validation.empty() || m.unlabelled) {
    std::string text;
    for (const NamedLabel& n : m.named) text += fmt::format("{}\t{}\n", n.file, n.class_name);
    for (const auto* part : {&m.labelled, &m.validation})
      for (const ListedImages& list : *part)
        text += fmt::format("{}:{};", list.class_name, fmt::join(list.images, ","));
    if (m.unlabelled) text += fmt::format("{}", fmt::join(*m.unlabelled, ","));
    j["lists"] = sha256_hex(text);
  }
  if (!m.lists_labelled() && m.draw.fraction > 0) j["fraction"] = m.draw.fraction;
  if (!m.lists_labelled() && m.draw.fraction == 0) {
    if (m.draw.labels_per_class == kAllLabels)
      j["per_class"] = "all";
    else
      j["per_class"] = m.draw.labels_per_class;
  }
  if (!m.unlabelled) j["unlabelled"] = m.draw.unlabelled;
  if (m.draw.validation > 0) j["validation_images"] = m.draw.validation;
  if (m.draw.validation_per_class > 0) j["validation"] = m.draw.validation_per_class;
  if (m.draw.validation_fraction > 0) j["validation"] = m.draw.validation_fraction;
  return j;
}

namespace {

/// Several sources teach at once: the bits follow their order.
bool teach_together(const MethodTraits& m) {
  return m.weighting == Weighting::equal || m.weighting == Weighting::weighted || m.weighting == Weighting::probe;
}

std::vector<std::string> names_in(const Json& settings) {
  std::vector<std::string> names;
  if (const auto sources = settings.find("sources"); sources != settings.end())
    for (const auto& [name, hash] : sources->items()) names.push_back(name);
  return names;
}

}  // namespace

Json cell_settings(const Cell& cell, const Settings& settings, const TargetInputs& inputs) {
  const MethodTraits& method = traits(cell.variant->method);
  Json j = {{"method", method.name},
            {"images", inputs.images},
            {"test", inputs.test},
            {"classes", inputs.classes},
            {"labels", budget_settings(cell.budget->labels)},
            {"seed", cell.seed}};
  j.update(settings_of_student(settings, method));
  if (!uses_sources(cell.variant->method)) return j;
  if (inputs.originals) j["sources_see"] = kOriginals;
  // One that is chosen by name is all that a student depends on.
  const bool named = method.start == Start::transfer && method.weighting == Weighting::none;
  const std::string& only = named ? settings.transfer : cell.teacher;
  std::vector<std::pair<std::string, std::string>> sources = inputs.sources;
  if (!teach_together(method)) std::sort(sources.begin(), sources.end());
  for (const auto& [name, hash] : sources)
    if (only.empty() || only == name) j["sources"][name] = hash;
  return j;
}

std::string cell_changes(const Json& before, const Json& now) {
  std::string changes = settings_changes(before, now);
  const std::vector<std::string> a = names_in(before), b = names_in(now);
  const bool reordered = a != b && std::is_permutation(a.begin(), a.end(), b.begin(), b.end());
  if (reordered && teach_together(traits(parse_method(now.value("method", "")))))
    changes += fmt::format("{}sources were in the order {}", changes.empty() ? "" : ", ", fmt::join(a, ", "));
  return changes;
}

Settings with_metric_of(Settings settings, const StudentRecord& record) {
  if (settings.metric == kAutoMetric && !record.metric_why.empty())
    settings.metric = record.settings.value("metric", "");
  return settings;
}

std::string changes_told_by_names(const StudentRecord& record, const Cell& cell, const Settings& settings) {
  const MethodTraits& method = traits(cell.variant->method);
  Json now = {{"method", method.name}, {"labels", budget_settings(cell.budget->labels)}, {"seed", cell.seed}};
  now.update(settings_of_student(with_metric_of(settings, record), method, false));
  Json then = record.settings;
  for (const char* content : {"images", "test", "classes", "sources", "sources_see"}) then.erase(content);
  for (const Setting& s : setting_list())
    if (s.name != nullptr && s.range.file) then.erase(s.name);
  return settings_changes(then, now);
}

void add_result(std::vector<ResultRow>& rows, const Cell& c, const StudentRecord& record) {
  ResultRow* last = rows.empty() ? nullptr : &rows.back();
  if (!c.teacher.empty() && last != nullptr && last->target == c.target->name && last->budget == c.budget->name &&
      last->variant == c.variant->name && last->record.figures.seed == c.seed) {
    const double seconds = last->record.figures.seconds + record.figures.seconds;
    if (record.figures.test_accuracy > last->record.figures.test_accuracy) last->record = record;
    last->record.figures.seconds = seconds;
    return;
  }
  rows.push_back({c.target->name, c.budget->name, c.variant->name, c.variant->method, record});
}

std::string changes_of_checkpoint(const GridFolder& place, const Cell& c, const Json& settings) {
  try {
    const std::optional<std::string> print = checkpoint_fingerprint(place.checkpoint(c));
    if (!print || *print == settings.dump()) return {};
    const Json before = json_or_null(*print);
    const std::string changed = before.is_object() ? cell_changes(before, settings) : "";
    return changed.empty() ? "an earlier akin made it" : changed;
  } catch (const Error& e) {
    return e.what();
  }
}

}  // namespace akin
