// report.json: everything a report shows, so that the page can be made again without training.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "distill/report/html.hpp"
#include "distill/report/image.hpp"
#include "distill/report/json_reader.hpp"
#include "distill/report/report.hpp"
#include "distill/report/verdict.hpp"
#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "engine/io/text.hpp"
#include "kernels/common/error.hpp"

namespace akin {

namespace {

constexpr int format_version = 2;

const char* role_name(MethodRole role) {
  switch (role) {
    case MethodRole::labels_only:
      return "labels_only";
    case MethodRole::unlabelled:
      return "unlabelled";
    case MethodRole::transferred:
      return "transferred";
    case MethodRole::taught:
      return "taught";
    case MethodRole::reference:
      return "reference";
  }
  return "taught";
}

Json pairs_json(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Json out = Json::array();
  for (const auto& [key, value] : pairs) out.push_back({key, value});
  return out;
}

Json json_of(double value) { return number(value); }
Json json_of(std::int64_t value) { return value; }

bool is_whole(const FigureRow& row) { return std::holds_alternative<std::int64_t Figures::*>(row.field); }

Json figures_json(const Figures& f) {
  Json j = {{"seed", f.seed}};
  for (const FigureRow& row : figure_rows())
    j[row.name] = std::visit([&](auto field) { return json_of(f.*field); }, row.field);
  return j;
}

Json results_part(const ReportData& d) {
  Json sources = Json::array(), methods = Json::array();
  for (const SourceResult& s : d.sources) {
    sources.push_back({{"name", s.name},
                       {"classes", s.classes},
                       {"test_accuracy", number(s.test_accuracy)},
                       {"similarity", number(s.similarity)},
                       {"similarity_low", number(s.similarity_low)},
                       {"similarity_high", number(s.similarity_high)},
                       {"chance", number(s.chance)},
                       {"mapped", number(s.mapped)},
                       {"alpha", number(s.alpha)}});
  }
  for (const MethodResult& m : d.methods) {
    Json seeds = Json::array();
    for (const Figures& f : m.seeds) seeds.push_back(figures_json(f));
    const Spread spread = test_accuracy(m);
    methods.push_back({{"name", m.name},
                       {"role", role_name(m.role)},
                       {"n", spread.n},
                       {"test_accuracy_mean", number(spread.mean)},
                       {"test_accuracy_std", number(spread.std)},
                       {"seeds", seeds}});
  }
  return {{"sources", sources}, {"ranking_notes", d.ranking_notes}, {"methods", methods}};
}

SourceResult read_source(const JsonReader& r) {
  return {r.get<std::string>("name"),  r.get<int>("classes"),           r.get<double>("test_accuracy"),
          r.get<double>("similarity"), r.get<double>("similarity_low"), r.get<double>("similarity_high"),
          r.get<double>("chance"),     r.get<double>("mapped"),         r.get<double>("alpha")};
}

MethodResult read_method(const JsonReader& r) {
  MethodResult m;
  m.name = r.get<std::string>("name");
  const auto role = r.get<std::string>("role");
  constexpr MethodRole roles[] = {MethodRole::labels_only, MethodRole::unlabelled, MethodRole::transferred,
                                  MethodRole::taught, MethodRole::reference};
  const auto* known =
      std::find_if(std::begin(roles), std::end(roles), [&](MethodRole k) { return role == role_name(k); });
  AKIN_CHECK(known != std::end(roles),
             "{}: unknown role \"{}\", expected labels_only, unlabelled, transferred, taught or reference", r.where(),
             role);
  m.role = *known;
  m.seeds = r.list("seeds", [](const JsonReader& s) {
    Figures f;
    f.seed = s.get<std::uint64_t>("seed");
    for (const FigureRow& row : figure_rows())
      if (s.has(row.name))
        std::visit([&](auto field) { f.*field = s.get<std::decay_t<decltype(f.*field)>>(row.name); }, row.field);
    return f;
  });
  return m;
}

SampleImage read_sample(const JsonReader& r) {
  SampleImage image;
  image.index = r.get<std::int64_t>("index");
  image.label = r.get<int>("label");
  std::vector<std::uint8_t> png;
  try {
    png = base64_decode(r.get<std::string>("png"));
  } catch (const Error& error) {
    fail("{}: {}", r.where(), error.what());
  }
  decode_sample(png, image, r.where());
  if (r.has("name")) image.name = r.get<std::string>("name");  // an earlier akin did not say
  image.predictions = r.list("predictions", [](const JsonReader& p) {
    return Prediction{p.get<std::string>("method"), p.get<int>("label"), p.get<double>("probability")};
  });
  return image;
}

Confusion read_confusion(const JsonReader& r) {
  Confusion c{r.get<std::string>("method"), r.get<std::uint64_t>("seed"), r.get<int>("classes"),
              r.list_of<std::int64_t>("counts")};
  AKIN_CHECK(c.classes > 0 && c.counts.size() % static_cast<std::size_t>(c.classes) == 0 &&
                 c.counts.size() / static_cast<std::size_t>(c.classes) == static_cast<std::size_t>(c.classes),
             "{}: {} counts for {} classes, expected classes squared", r.where(), c.counts.size(), c.classes);
  for (std::int64_t n : c.counts) AKIN_CHECK(n >= 0, "{}: a count is negative ({})", r.where(), n);
  return c;
}

FeatureMap read_map(const JsonReader& r) {
  FeatureMap m{r.get<std::string>("method"), r.get<std::uint64_t>("seed"), r.list_of<double>("x"),
               r.list_of<double>("y"),       r.list_of<int>("labels"),     r.list_of<int>("predictions"),
               r.get<double>("share_x"),     r.get<double>("share_y")};
  const std::size_t n = m.x.size();
  AKIN_CHECK(m.y.size() == n && m.labels.size() == n && m.predictions.size() == n,
             "{}: {} x, {} y, {} labels and {} predictions, expected one of each an image", r.where(), n, m.y.size(),
             m.labels.size(), m.predictions.size());
  return m;
}

SourceLikeness read_likeness(const JsonReader& r, std::size_t sources) {
  SourceLikeness l{r.get<std::int64_t>("images"), r.list_of<double>("cka")};
  AKIN_CHECK(l.cka.empty() || l.cka.size() == sources * sources,
             "{}: {} values for {} sources, expected sources squared", r.where(), l.cka.size(), sources);
  return l;
}

Json samples_json(const std::vector<SampleImage>& samples) {
  Json out = Json::array();
  for (const SampleImage& s : samples) {
    Json predictions = Json::array();
    for (const Prediction& p : s.predictions) {
      predictions.push_back({{"method", p.method}, {"label", p.label}, {"probability", number(p.probability)}});
    }
    out.push_back({{"index", s.index},
                   {"name", s.name},
                   {"label", s.label},
                   {"predictions", predictions},
                   {"png", base64_encode(encode_sample(s))}});
  }
  return out;
}

Json numbers_json(const std::vector<double>& values) {
  Json out = Json::array();
  for (const double v : values) out.push_back(number(v));
  return out;
}

}  // namespace

std::string report_to_json(const ReportData& d) {
  Json j = {{"format", "akin-report"},
            {"version", format_version},
            {"title", d.title},
            {"task", pairs_json(d.task)},
            {"classes", d.classes},
            {"labelled", d.labelled},
            {"unlabelled", d.unlabelled},
            {"validation_images", d.validation_images},
            {"test_images", d.test_images},
            {"device", d.device},
            {"threads", d.threads},
            {"seeds", d.seeds},
            {"commit", d.commit},
            {"time", d.time},
            {"seconds", number(d.seconds)},
            {"metric", d.metric},
            {"metric_scale", d.metric_scale},
            {"student", d.student},
            {"delivered", d.delivered}};
  j.update(results_part(d));
  j["curves"] = Json::array();
  for (const Curve& c : d.curves) {
    Json points = Json::array();  // one row a point: step, loss, accuracy
    for (const CurvePoint& p : c.points) points.push_back({p.step, number(p.loss), number(p.validation)});
    j["curves"].push_back({{"method", c.method}, {"seed", c.seed}, {"points", points}});
  }
  j["files"] = Json::array();
  for (const StudentFile& f : d.files)
    j["files"].push_back({{"method", f.method}, {"seed", f.seed}, {"last", f.last}, {"best", f.best}});
  j["agreement"] = {{"both", d.agreement.both},
                    {"student_only", d.agreement.student_only},
                    {"baseline_only", d.agreement.baseline_only},
                    {"neither", d.agreement.neither}};
  j["confusions"] = Json::array();
  for (const Confusion& c : d.confusions) {
    j["confusions"].push_back({{"method", c.method}, {"seed", c.seed}, {"classes", c.classes}, {"counts", c.counts}});
  }
  j["notes"] = d.notes;
  j["command"] = d.command;
  j["config"] = d.config;
  j["glossary"] = pairs_json(d.glossary);
  j["tables"] = d.tables;
  j["samples"] = samples_json(d.samples);
  j["errors"] = samples_json(d.errors);
  const FeatureMap& m = d.map;
  j["map"] = {{"method", m.method},           {"seed", m.seed},
              {"x", numbers_json(m.x)},       {"y", numbers_json(m.y)},
              {"labels", m.labels},           {"predictions", m.predictions},
              {"share_x", number(m.share_x)}, {"share_y", number(m.share_y)}};
  j["likeness"] = {{"images", d.likeness.images}, {"cka", numbers_json(d.likeness.cka)}};
  seal(j);
  return json_text(j, 1);
}

ReportData report_from_json(const std::string& text, const std::string& where) {
  Json json;
  try {
    json = parse_json(text, where);
  } catch (const Error& error) {
    fail("{}; run the experiment again to write it anew", error.what());
  }
  AKIN_CHECK(seal_of(json) != Seal::broken,
             "{}: its content is not what akin wrote (damaged, or changed by hand: its sha256 differs); run the "
             "experiment again, or take \"sha256\" out of it to have it drawn as it is",
             where);
  const JsonReader r(json, where);
  AKIN_CHECK(r.get<std::string>("format") == "akin-report", "{}: not a report of akin", where);
  const int version = r.get<int>("version");
  AKIN_CHECK(version == format_version, "{}: report format {}, this akin reads {}; run the experiment again", where,
             version, format_version);
  ReportData d;
  d.title = r.get<std::string>("title");
  d.task = r.pairs("task");
  d.classes = r.list_of<std::string>("classes");
  d.labelled = r.get<std::int64_t>("labelled");
  d.unlabelled = r.get<std::int64_t>("unlabelled");
  if (r.has("delivered")) {  // an earlier akin did not say
    d.validation_images = r.get<std::int64_t>("validation_images");
    d.test_images = r.get<std::int64_t>("test_images");
    d.delivered = r.get<std::string>("delivered");
  }
  d.device = r.get<std::string>("device");
  d.threads = r.get<int>("threads");
  d.seeds = r.list_of<std::uint64_t>("seeds");
  d.commit = r.get<std::string>("commit");
  d.time = r.get<std::string>("time");
  d.seconds = r.get<double>("seconds");
  d.metric = r.get<std::string>("metric");
  d.metric_scale = r.get<double>("metric_scale");
  AKIN_CHECK(std::isfinite(d.metric_scale) && d.metric_scale > 0, "{}.metric_scale: expected a number above 0", where);
  d.student = r.get<std::string>("student");
  d.sources = r.list("sources", read_source);
  if (json.contains("ranking_notes")) d.ranking_notes = r.list_of<std::string>("ranking_notes");
  d.methods = r.list("methods", read_method);
  d.curves = r.list("curves", [](const JsonReader& c) {
    return Curve{c.get<std::string>("method"), c.get<std::uint64_t>("seed"), c.list("points", [](const JsonReader& p) {
                   AKIN_CHECK(p.size() == 3, "{}: expected step, loss and accuracy", p.where());
                   return CurvePoint{p.item(0).as<std::int64_t>(), p.item(1).as<double>(), p.item(2).as<double>()};
                 })};
  });
  if (json.contains("files"))  // an earlier akin did not say
    d.files = r.list("files", [](const JsonReader& f) {
      return StudentFile{f.get<std::string>("method"), f.get<std::uint64_t>("seed"), f.get<std::string>("last"),
                         f.get<std::string>("best")};
    });
  d.samples = r.list("samples", read_sample);
  if (json.contains("errors")) {  // an earlier akin kept none of these
    d.errors = r.list("errors", read_sample);
    d.map = read_map(r.at("map"));
    d.likeness = read_likeness(r.at("likeness"), d.sources.size());
  }
  const JsonReader a = r.at("agreement");
  d.agreement = {a.get<std::int64_t>("both"), a.get<std::int64_t>("student_only"), a.get<std::int64_t>("baseline_only"),
                 a.get<std::int64_t>("neither")};
  d.confusions = r.list("confusions", read_confusion);
  d.notes = r.list_of<std::string>("notes");
  d.command = r.get<std::string>("command");
  d.config = r.get<std::string>("config");
  d.glossary = r.pairs("glossary");
  if (const auto tables = json.find("tables"); tables != json.end())
    for (const char* name : kept_tables())
      if (tables->contains(name)) d.tables[name] = r.at("tables").get<std::string>(name);
  return d;
}

void write_report(const ReportData& data, const std::filesystem::path& run_dir) {
  make_folder(run_dir);
  write_file_atomic(run_dir / "report.json", report_to_json(data));
  write_file_atomic(run_dir / "report.html", render_report(data));
}

ReportData load_run(const std::filesystem::path& run_dir) {
  const std::filesystem::path file = run_dir / "report.json";
  const std::filesystem::path config = run_dir / "config.toml";
  if (!is_there(file)) {
    AKIN_CHECK(is_folder(run_dir),
               "{}: no such folder; expected a run folder, as --out of `akin fit` or `akin distill` names it",
               run_dir.string());
    AKIN_CHECK(!is_there(config),
               "{}: this run is not finished (it has no report.json); the command of {} with --resume "
               "goes on",
               run_dir.string(), config.string());
    fail(
        "{}: no such file; expected a run folder, as `akin distill` and `akin demo` write one, or the run has not "
        "finished (`akin experiment FILE` makes the tables of an experiment again)",
        file.string());
  }
  ReportData data = report_from_json(read_text(file), file.string());
  AKIN_CHECK(
      data.config.empty() || !is_there(config) || read_text(config) == data.config,
      "{}: is not of this run: {} is not the configuration it was made with. Either a run that began later has not "
      "finished (the same command with --resume goes on), or one of the two files is another run's",
      file.string(), config.string());
  return data;
}

std::string results_json(const ReportData& data, const std::string& folder) {
  Json out = {{"title", data.title}, {"metric", data.metric}, {"delivered", data.delivered}};
  out["verdict"] = verdict_lines(data);
  if (!folder.empty()) out["folder"] = readable_text(folder);
  out.update(results_part(data));
  for (Json& method : out["methods"])
    for (Json& seed : method["seeds"])
      for (const FigureRow& row : figure_rows())
        if (is_whole(row) && seed[row.name] < 0) seed[row.name] = nullptr;
  return json_text(out);
}

}  // namespace akin
