#include "distill/grid/origin.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "distill/grid/cell.hpp"
#include "distill/similarity/metrics.hpp"
#include "distill/student/method.hpp"
#include "engine/io/file.hpp"

namespace akin {

namespace {

namespace fs = std::filesystem;

/// The records in a folder that tell figures, by file name.
std::vector<StoredRecord> records_in(const fs::path& folder) {
  std::error_code none;
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (entry.path().extension() == ".json") files.insert(entry.path());
  std::vector<StoredRecord> out;
  for (const fs::path& file : files)
    if (std::optional<StoredRecord> r = read_record(file); r && !r->variant.empty() && r->record.error.empty())
      out.push_back(std::move(*r));
  return out;
}

/// Where both say something of an image set, a budget, a source or a file, it is the same.
bool same_data(const Json& a, const Json& b) {
  for (const char* what : {"images", "test", "classes", "labels"})
    if (a.value(what, Json()) != b.value(what, Json())) return false;
  const Json none = Json::object(), &x = a.contains("sources") ? a["sources"] : none,
             &y = b.contains("sources") ? b["sources"] : none;
  return std::all_of(x.items().begin(), x.items().end(),
                     [&](const auto& item) { return !y.contains(item.key()) || y[item.key()] == item.value(); });
}

/// Of one variant, whatever the seed.
bool same_but_seed(Json a, Json b) {
  a["seed"] = b["seed"] = 0;
  return cell_changes(a, b).empty();
}

/// ", with steps 40": settings that both have and `other` has otherwise.
std::string otherwise(const Json& own, const Json& other) {
  std::string out;
  for (const auto& [key, value] : other.items())
    if (key != "seed" && key != "method" && !value.is_structured() && own.contains(key) && own[key] != value) {
      const std::string text = value.is_string() ? value.get<std::string>() : json_line(value);
      out += fmt::format("{}{} {}", out.empty() ? ", with " : ", ", key, text.size() == 64 ? "other" : text);
    }
  return out;
}

/// The methods of the records that can stand beside `own`, in the methods' order; an oracle's single students are none.
/// A variant is what its record of the same seed says, or else what all of its records say.
std::vector<MethodResult> results_beside(const StoredRecord& own, const std::vector<StoredRecord>& all, bool flat,
                                         std::size_t& left_out) {
  std::map<std::pair<Method, std::string>, std::vector<const StoredRecord*>> variants;
  for (const StoredRecord& r : all)
    if (r.teacher.empty()) variants[{parse_method(r.method), r.variant}].push_back(&r);
  std::vector<MethodResult> out;
  for (auto& [key, records] : variants) {
    const auto same_seed = std::find_if(records.begin(), records.end(), [&](const StoredRecord* r) {
      return r->record.figures.seed == own.record.figures.seed;
    });
    const Json& first = (same_seed != records.end() ? *same_seed : records.front())->record.settings;
    const bool tells = same_seed != records.end();
    const std::size_t before = records.size();
    std::erase_if(records, [&](const StoredRecord* r) {
      return !same_data(own.record.settings, r->record.settings) || !same_but_seed(first, r->record.settings);
    });
    const bool unclear = !tells && records.size() < before;
    left_out += unclear ? before : before - records.size();
    if (records.empty() || unclear) continue;
    MethodResult m{flat ? title_of(key.first) : key.second, traits(key.first).role, {}};
    m.name += otherwise(own.record.settings, first);
    for (const StoredRecord* r : records) m.seeds.push_back(r->record.figures);
    std::sort(m.seeds.begin(), m.seeds.end(), [](const auto& a, const auto& b) { return a.seed < b.seed; });
    out.push_back(std::move(m));
  }
  return out;
}

/// The sources that the student could learn from, with their similarities where they were measured on the same data. Of
/// the weights a record keeps the largest one.
void add_sources(ReportData& report, const StudentRecord& own, const std::optional<Json>& ranking) {
  if (!own.settings.contains("sources")) return;
  const std::string metric = own.settings.value("metric", "");
  std::map<std::string, double> similarity;
  if (!metric.empty()) {
    const Metric measured = find_metric(metric);
    report.metric = measured.title;
    report.metric_scale = measured.scale();
    if (!own.metric_why.empty()) report.ranking_notes.push_back(own.metric_why);
    const Json settings = ranking ? (*ranking)["settings"] : Json();
    bool same = settings.is_object() && settings.contains("sources");
    for (const char* what : {"images", "labels", "seed", "probe"})
      same = same && settings.value(what, Json()) == own.settings.value(what, settings.value(what, Json()));
    for (const auto& [name, hash] : own.settings["sources"].items())
      same = same && settings["sources"].value(name, Json()) == hash;
    if (same)
      for (const Json& s : (*ranking)["sources"])
        if (s["values"].contains(metric) && s["values"][metric].is_number())
          similarity[s.value("source", "")] = s["values"][metric].get<double>();
  }
  for (const auto& [name, hash] : own.settings["sources"].items()) {
    SourceResult s;
    s.name = name;
    if (const auto it = similarity.find(name); it != similarity.end()) s.similarity = it->second;
    if (name == own.source) s.alpha = own.weight;
    report.sources.push_back(s);
  }
}

/// Whether the file has the name of that student.
bool is_called(const fs::path& file, const std::string& method, std::uint64_t seed) {
  const std::string stem = file.stem().string(), name = fmt::format("{}-seed{}", method, seed);
  return stem == name || stem == name + "_best" || stem.starts_with(name + "@");
}

/// What the records in `folder` prove: one of them has the digest of the file. Others of its target and budget alone
/// stand beside it.
StudentOrigin origin_of_record(const fs::path& folder, const fs::path& file, const std::string& hash, bool flat,
                               const Group& group) {
  StudentOrigin o;
  std::vector<StoredRecord> records = records_in(folder);
  if (!flat)
    std::erase_if(records, [&](const auto& r) { return r.target != group.target || r.budget != group.budget; });
  const auto fits = [&](const StoredRecord& r) { return r.record.student_hash == hash || r.record.best_hash == hash; };
  // Two methods may make the same student: then the file's name tells.
  auto mine = std::find_if(records.begin(), records.end(), [&](const StoredRecord& r) {
    return fits(r) && is_called(file, r.variant, r.record.figures.seed);
  });
  if (mine == records.end()) mine = std::find_if(records.begin(), records.end(), fits);
  if (hash.empty() || mine == records.end()) return o;
  const StudentRecord& own = mine->record;
  const bool both = own.student_hash == own.best_hash;  // the best step may be the last one: the name tells which file
  o.best = both ? file.stem().string().ends_with("_best") : own.best_hash == hash;
  o.known = o.cell = true;
  ReportData& r = o.report;
  r.methods = results_beside(*mine, records, flat, o.left_out);
  o.method = flat ? title_of(parse_method(mine->method)) : mine->variant;
  o.seed = std::to_string(own.figures.seed);
  r.labelled = own.labelled;
  r.unlabelled = own.unlabelled;
  r.device = own.device;
  if (flat)
    r.task = {{"target", mine->target}};
  else
    r.task = {{"Target of the experiment", group.target}, {"Label budget's name", group.budget}};
  if (!own.source.empty()) r.task.emplace_back("Its start, or its main teacher", own.source);
  r.commit = own.made_by.starts_with("akin ") ? own.made_by.substr(5) : own.made_by;
  r.config = own.settings.dump(1);
  std::optional<Json> ranking;
  if (!flat)
    ranking = read_ranking(folder.parent_path().parent_path().parent_path() / "rankings" / group.target / group.budget /
                               fmt::format("seed{}.json", own.figures.seed),
                           {}, group);
  add_sources(r, own, ranking);
  return o;
}

}  // namespace

StudentOrigin find_origin(const fs::path& student, const std::string& hash) {
  std::error_code none;
  const fs::path file = fs::absolute(student, none).lexically_normal(), folder = file.parent_path();
  const fs::path target = folder.parent_path(), students = target.parent_path();
  if (students.filename() == "students")
    return origin_of_record(students.parent_path() / "cells" / target.filename() / folder.filename(), file, hash, false,
                            {target.filename().string(), folder.filename().string()});
  const fs::path run = folder.filename() == "students" ? folder.parent_path() : folder;
  if (fs::is_regular_file(run / "report.json", none)) {
    StudentOrigin o;
    o.report = load_run(run);
    bool sure = false;
    for (const StudentFile& f : o.report.files)
      for (const bool best : {false, true}) {
        if ((best ? f.best : f.last) != hash || hash.empty()) continue;
        const bool fits = file.stem().string().ends_with("_best") == best;
        // The best step may be the last one, and two methods may make one student: then the name tells.
        const auto it =
            std::find_if(methods().begin(), methods().end(), [&](const auto& m) { return f.method == m.title; });
        const bool named = it != methods().end() && is_called(file, it->name, f.seed);
        if ((sure && !named) || (o.known && !fits)) continue;
        sure = named && fits;
        o.known = true;
        o.method = f.method;
        o.seed = std::to_string(f.seed);
        o.best = best;
      }
    if (o.known) return o;  // or else it is the report of an earlier run
  }
  return origin_of_record(run / "students", file, hash, true, {});
}

}  // namespace akin
