#include "distill/grid/origin.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "distill/grid/cell.hpp"
#include "distill/similarity/metrics.hpp"
#include "distill/student/method.hpp"
#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

namespace fs = std::filesystem;

/// All variants of the cells in a folder, in the methods' order; an oracle's single students are none.
std::vector<MethodResult> results_in(const fs::path& cells) {
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(cells))
    if (entry.path().extension() == ".json" && entry.path().stem().string().find('@') == std::string::npos)
      files.insert(entry.path());
  std::map<std::pair<Method, std::string>, MethodResult> variants;
  for (const fs::path& file : files) {
    const std::optional<StoredRecord> r = read_record(file);
    if (!r || r->variant.empty() || !r->record.error.empty()) continue;
    const Method method = parse_method(r->method);
    MethodResult& m = variants[{method, r->variant}];
    m.name = r->variant;
    m.role = traits(method).role;
    m.seeds.push_back(r->record.figures);
  }
  std::vector<MethodResult> out;
  for (auto& [key, m] : variants) {
    std::sort(m.seeds.begin(), m.seeds.end(), [](const auto& a, const auto& b) { return a.seed < b.seed; });
    out.push_back(std::move(m));
  }
  return out;
}

/// The sources that the cell could learn from, with their similarities where they were measured. Of the weights a cell
/// keeps the largest one.
void add_sources(ReportData& report, const StudentRecord& cell, const fs::path& ranking) {
  if (!cell.settings.contains("sources")) return;
  const std::string metric = cell.settings.value("metric", "");
  std::map<std::string, double> similarity;
  if (!metric.empty()) {
    const Metric measured = find_metric(metric);
    report.metric = measured.title;
    report.metric_scale = measured.scale();
    if (!cell.metric_why.empty()) report.ranking_notes.push_back(cell.metric_why);
    if (const std::optional<Json> j = read_ranking(ranking))
      for (const Json& s : (*j)["sources"])
        if (s.contains("values") && s["values"].contains(metric) && s["values"][metric].is_number())
          similarity[s.value("source", "")] = s["values"][metric].get<double>();
  }
  for (const auto& [name, hash] : cell.settings["sources"].items()) {
    SourceResult s;
    s.name = name;
    if (const auto it = similarity.find(name); it != similarity.end()) s.similarity = it->second;
    if (name == cell.source) s.alpha = cell.weight;
    report.sources.push_back(s);
  }
}

}  // namespace

StudentOrigin find_cell_origin(const fs::path& student) {
  StudentOrigin o;
  std::error_code none;
  const fs::path file = fs::absolute(student, none).lexically_normal(), folder = file.parent_path();
  const fs::path budget = folder.filename(), target = folder.parent_path().filename();
  const fs::path students = folder.parent_path().parent_path(), run = students.parent_path();
  std::string name = file.stem().string();
  const fs::path cells = run / "cells" / target / budget;
  o.best = name.ends_with("_best") && !is_there(cells / (name + ".json"));  // or else a source's name ends so
  if (o.best) name.erase(name.size() - 5);
  const std::optional<StoredRecord> stored = read_record(cells / (name + ".json"));
  if (students.filename() != "students" || !stored || stored->variant.empty() || !stored->record.error.empty())
    return {};
  const StudentRecord& cell = stored->record;
  if (sha256_file(file) != (o.best ? cell.best_hash : cell.student_hash)) return {};  // of an earlier cell
  ReportData& r = o.report;
  r.methods = results_in(cells);
  o.known = o.cell = true;
  o.method = stored->variant;
  o.seed = std::to_string(cell.figures.seed);
  r.labelled = cell.labelled;
  r.unlabelled = cell.unlabelled;
  r.task = {{"Target of the experiment", target.string()}, {"Label budget's name", budget.string()}};
  if (!cell.source.empty()) r.task.emplace_back("Its start, or its main teacher", cell.source);
  r.commit = cell.made_by.starts_with("akin ") ? cell.made_by.substr(5) : cell.made_by;
  r.config = cell.settings.dump(1);
  add_sources(r, cell, run / "rankings" / target / budget / fmt::format("seed{}.json", cell.figures.seed));
  return o;
}

}  // namespace akin
