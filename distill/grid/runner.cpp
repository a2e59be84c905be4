#include "distill/grid/grid.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "distill/grid/cell.hpp"
#include "distill/grid/tables.hpp"
#include "distill/similarity/measure.hpp"
#include "distill/student/run.hpp"
#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

using Json = Settings::Json;
using State = ExperimentSurvey::Cell::State;

/// A target's images and bank: read once for all of its cells.
struct Loaded {
  ImageSet train, test, unlabelled;
  std::vector<Source> sources;
  TargetInputs inputs;
  std::vector<Outputs> outputs;  ///< of each source for the whole pool; empty until somebody asks

  std::vector<std::string> teachers() const {
    std::vector<std::string> names;
    for (const Source& s : sources)
      if (s.classes() > 0) names.push_back(s.name);
    return names;
  }
};

/// The same `n` images for everybody, whatever the seed.
void keep_some(ImageSet& set, std::int64_t n) {
  constexpr std::uint32_t kStream = 0x696d6773;  // "imgs"
  const std::int64_t all = set.images.shape()[0];
  if (n == 0 || n >= all) return;
  Indices kept = permutation(all, 0, kStream);
  kept.resize(static_cast<std::size_t>(n));
  std::sort(kept.begin(), kept.end());
  set.images = pick_images(set.images, kept);
  for (std::size_t i = 0; i < kept.size(); ++i) set.labels[i] = set.labels[static_cast<std::size_t>(kept[i])];
  set.labels.resize(kept.size());
}

struct CellState {
  Cell cell;
  Json settings;
  State state;
  std::optional<CellResult> found;
  std::string changed;
};

class Runner {
 public:
  Runner(Context& ctx, const Experiment& e, const ExperimentOptions& o, const Events& events)
      : ctx_(ctx), e_(e), o_(o), events_(events) {}

  /// All cells of the targets that the filter takes.
  std::vector<CellState> survey() {
    std::vector<CellState> all;
    for (const ExperimentTarget& t : e_.targets) {
      if (!o_.only.takes(t)) continue;
      const std::vector<CellState> own = states(t, load(t));
      all.insert(all.end(), own.begin(), own.end());
    }
    return all;
  }

  bool taken(const Cell& c) const {
    return o_.only.takes(*c.budget) && o_.only.takes(*c.variant) && o_.only.takes_seed(c.seed);
  }

  ExperimentOutcome run() {
    ExperimentOutcome out;
    std::vector<std::string> stale;
    std::map<std::string, bool> busy;
    for (const CellState& s : survey()) {
      if (!taken(s.cell)) continue;
      ++out.cells;
      if (s.state == State::stale) stale.push_back(fmt::format("{} ({})", s.cell.name(), s.changed));
      if (s.state != State::finished) ++pending_;
      busy[s.cell.target->name] |= s.state != State::finished;
    }
    if (!stale.empty() && !o_.redo_stale) {
      const std::size_t shown = std::min<std::size_t>(stale.size(), 5);
      fail(
          "{}: {} of {} cells were made with other settings or data: {}{}; --redo-stale runs them again, --out DIR "
          "starts another folder",
          o_.run_folder.string(), stale.size(), out.cells,
          fmt::join(stale.begin(), stale.begin() + static_cast<std::ptrdiff_t>(shown), "; "),
          shown < stale.size() ? fmt::format("; and {} more", stale.size() - shown) : "");
    }
    make_folder(o_.run_folder);
    bool stopped = false;
    for (const ExperimentTarget& t : e_.targets) {
      if (stopped || !o_.only.takes(t)) continue;
      if (!busy[t.name] && rankings_there(t)) continue;
      stopped = !run_target(t, out);
      write_tables();
    }
    write_tables();
    out.finished = !stopped;
    return out;
  }

 private:
  void say(const std::string& line) const {
    if (events_.stage) events_.stage(line);
  }

  Loaded load(const ExperimentTarget& t) {
    Loaded l;
    l.train = load_images(t.data, Split::train, t.format);
    keep_some(l.train, t.images);
    l.test = load_images(t.data, Split::test, t.format);
    if (has_split(t.data, Split::unlabeled)) l.unlabelled = load_images(t.data, Split::unlabeled, t.format);
    l.inputs.images = content_hash(l.train);
    if (l.unlabelled.images.numel() > 0) l.inputs.images = sha256_hex(l.inputs.images + content_hash(l.unlabelled));
    l.inputs.test = content_hash(l.test);
    for (const ExperimentSource& s : e_.sources) {
      if (std::find(t.sources.begin(), t.sources.end(), s.name) == t.sources.end()) continue;
      std::string path = s.path;
      for (std::size_t at; (at = path.find("{target}")) != std::string::npos;) path.replace(at, 8, t.name);
      l.sources.push_back(open_source(ctx_, path, s.foreign ? &*s.foreign : nullptr));
      l.sources.back().name = s.name;
      l.inputs.sources.emplace_back(s.name, l.sources.back().hash);
    }
    return l;
  }

  std::vector<CellState> states(const ExperimentTarget& t, const Loaded& loaded) const {
    std::vector<CellState> out;
    for (const Cell& c : cells_of(e_, t, loaded.teachers())) {
      CellState s{c, cell_settings(c, e_.options(t, *c.variant), loaded.inputs), State::pending, {}, {}};
      s.found = read_cell(o_.run_folder, c);
      if (s.found) {
        s.changed = settings_changes(s.found->settings, s.settings);
        if (!s.changed.empty())
          s.state = s.found->error.empty() ? State::stale : State::pending;
        else if (s.found->error.empty())
          s.state = State::finished;
      }
      out.push_back(std::move(s));
    }
    return out;
  }

  bool takes(const ExperimentBudget& b, std::uint64_t seed) const {
    return o_.only.takes(b) && o_.only.takes_seed(seed);
  }

  bool rankings_there(const ExperimentTarget& t) const {
    if (t.sources.empty()) return true;
    for (const ExperimentBudget& b : e_.budgets)
      for (const std::uint64_t seed : e_.seeds) {
        if (!takes(b, seed)) continue;
        const std::optional<Json> known = read_ranking(o_.run_folder, t, b, seed);
        if (!known || known->value("metrics", Json()) != Json(experiment_metrics(e_))) return false;
      }
    return true;
  }

  /// What each source says of the pool, worked out when first needed.
  void need_outputs(Loaded& loaded, const Task& task, const PlanOptions& how) {
    if (!loaded.outputs.empty()) return;
    Task all;
    all.pool = task.pool;
    all.target = all_indices(task.pool.images.shape()[0]);
    all.hash = task.hash;
    OutputOptions outputs{.cache = o_.cache, .match_channels = how.match_channels, .progress = {}};
    for (const Source& s : loaded.sources) {
      outputs.progress = [&](std::int64_t done) {
        if (events_.progress)
          events_.progress("outputs of " + s.name, done, static_cast<std::int64_t>(all.target.size()), "images", "");
      };
      loaded.outputs.push_back(source_outputs(ctx_, s, all, outputs));
    }
  }

  /// The cells of one budget and seed that are not finished, and its ranking.
  bool run_group(const ExperimentTarget& t, Loaded& loaded, const std::vector<CellState*>& todo,
                 const ExperimentBudget& b, std::uint64_t seed, ExperimentOutcome& out) {
    LabelManifest labels = b.labels;
    labels.draw.seed = seed;
    const Task task = make_task(loaded.train, loaded.test, loaded.unlabelled, labels);
    const std::filesystem::path manifest =
        o_.run_folder / "labels" / fmt::format("{}/{}/seed{}.json", t.name, b.name, seed);
    make_folder(manifest.parent_path());
    write_file_atomic(manifest, std::string_view(manifest_of(task, seed)));
    std::vector<Outputs> outputs;
    if (!loaded.sources.empty()) {
      need_outputs(loaded, task, e_.options(t, e_.variants.front()));
      for (const Outputs& o : loaded.outputs)
        outputs.push_back({pick_rows(o.features, task.target), pick_rows(o.logits, task.target)});
      if (!rank_all(t, loaded, task, outputs, b, seed)) return false;
    }
    std::map<std::string, Ranking> rankings;  // by metric and probe
    for (CellState* s : todo) {
      CellResult result;
      result.settings = s->settings;
      try {
        if (!run_cell(*s, loaded, task, outputs, rankings, result)) return false;
      } catch (const Error& e) {
        if (events_.stop && events_.stop()) return false;  // progress outside of a training loop stops with an error
        result.error = e.what();
        out.failed.push_back(s->cell.label() + ": " + e.what());
      }
      write_cell(o_.run_folder, s->cell, result, o_.made_by);
      std::error_code none;
      std::filesystem::remove(checkpoint(s->cell), none);
      ++out.ran;
      say(result.error.empty()
              ? fmt::format("[{}/{}] {}: {:.2f} % ({:.1f} s)", ++done_, pending_, s->cell.label(),
                            100 * result.figures.test_accuracy, result.figures.seconds)
              : fmt::format("warning: [{}/{}] {}: {}", ++done_, pending_, s->cell.label(), result.error));
    }
    return true;
  }

  std::filesystem::path checkpoint(const Cell& c) const {
    return o_.run_folder / "checkpoints" / (sha256_hex(c.name()).substr(0, 16) + ".safetensors");
  }

  bool run_cell(const CellState& s, Loaded& loaded, const Task& task, std::vector<Outputs>& outputs,
                std::map<std::string, Ranking>& rankings, CellResult& result) {
    const Cell& c = s.cell;
    const PlanOptions how = e_.options(*c.target, *c.variant);
    const Ranking& ranking = ranking_for(how, c, loaded, task, outputs, rankings);
    std::vector<StudentPlan> plans = plan_students(ctx_, c.variant->method, c.seed, task, loaded.sources, ranking, how);
    std::erase_if(
        plans, [&](const StudentPlan& p) { return !c.teacher.empty() && loaded.sources[*p.source].name != c.teacher; });
    RunFiles files{{}, {}, checkpoint(c), sha256_hex(s.settings.dump()), true};
    if (o_.keep_students) {
      files.student = o_.run_folder / "students" / (c.name() + ".safetensors");
      files.best = o_.run_folder / "students" / (c.name() + "_best.safetensors");
      make_folder(files.student.parent_path());
    }
    const OutputOptions options{.cache = o_.cache, .match_channels = how.match_channels, .progress = {}};
    Events events = events_;
    events.stage = {};  // a line a cell is enough
    StudentRecord record;
    if (!run_student(ctx_, {task, loaded.sources, outputs, options}, plans.at(0), how.student, files, events, record))
      return false;
    result.figures = record.result;
    result.top_source = record.source;
    result.top_weight = record.weight;
    result.labelled = static_cast<std::int64_t>(task.split.labelled.size());
    result.unlabelled = static_cast<std::int64_t>(task.split.unlabelled.size());
    return true;
  }

  /// One ranking serves all cells that ask for the same metric; methods that look at none get the names alone.
  const Ranking& ranking_for(const PlanOptions& how, const Cell& c, Loaded& loaded, const Task& task,
                             std::vector<Outputs>& outputs, std::map<std::string, Ranking>& rankings) {
    const bool looks = needs_similarity(c.variant->method, how);
    const std::string key =
        !looks ? "" : fmt::format("{}|{}|{}", how.rank.metric, how.rank.mapping, how.rank.probe_limit);
    const auto [it, is_new] = rankings.try_emplace(key);
    if (!is_new) return it->second;
    Ranking& ranking = it->second;
    try {
      if (looks) {
        ranking = rank_sources(ctx_, task, loaded.sources, how.rank, {.match_channels = how.match_channels}, c.seed, {},
                               outputs);
        ranking.outputs.clear();
      } else {
        for (const Source& s : loaded.sources)
          ranking.rows.push_back({.source = s.name, .similarity = {.metric = "", .value = not_measured}});
      }
    } catch (...) {
      rankings.erase(it);
      throw;
    }
    return ranking;
  }

  /// Every metric for every source, kept in a file; undefined ones with their reason. False: stopped on request.
  bool rank_all(const ExperimentTarget& t, const Loaded& loaded, const Task& task, const std::vector<Outputs>& outputs,
                const ExperimentBudget& b, std::uint64_t seed) {
    const std::int64_t limit = e_.options(t, e_.variants.front()).rank.probe_limit;
    Json settings = {{"images", loaded.inputs.images}, {"labels", budget_settings(b.labels)}, {"probe", limit}};
    for (const auto& [name, hash] : loaded.inputs.sources) settings["sources"][name] = hash;
    const std::optional<Json> known = read_ranking(o_.run_folder, t, b, seed);
    if (known && (*known)["settings"] == settings && (*known)["metrics"] == Json(experiment_metrics(e_))) return true;
    const std::vector<Candidate> bank = candidates_of(ctx_, loaded.sources, outputs, task, probe_of(task, limit));
    Json rows = Json::array();
    for (const Source& source : loaded.sources)
      rows.push_back({{"source", source.name}, {"values", Json::object()}, {"undefined", Json::object()}});
    for (const std::string& name : experiment_metrics(e_)) {
      if (events_.stop && events_.stop()) return false;
      const Measurement measured = measure(find_metric(name), bank);
      for (std::size_t s = 0; s < bank.size(); ++s) {
        const SimilarityRow& row = measured.rows[s];
        const bool defined = std::isfinite(row.similarity.value);
        rows[s]["values"][name] = defined ? Json(row.similarity.value) : Json(nullptr);
        if (!defined) rows[s]["undefined"][name] = row.undefined;
      }
    }
    const Json j = {{"settings", settings}, {"metrics", experiment_metrics(e_)}, {"sources", rows}};
    const std::filesystem::path file = ranking_file(o_.run_folder, t, b, seed);
    make_folder(file.parent_path());
    write_file_atomic(file, std::string_view(j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"));
    return true;
  }

  bool run_target(const ExperimentTarget& t, ExperimentOutcome& out) {
    Loaded loaded = load(t);
    std::vector<CellState> own = states(t, loaded);
    for (const ExperimentBudget& b : e_.budgets)
      for (const std::uint64_t seed : e_.seeds) {
        if (!takes(b, seed)) continue;
        std::vector<CellState*> todo;
        for (CellState& s : own)
          if (s.cell.budget == &b && s.cell.seed == seed && taken(s.cell) && s.state != State::finished)
            todo.push_back(&s);
        if (!run_group(t, loaded, todo, b, seed, out)) return false;
      }
    return true;
  }

  void write_tables() const {
    const ExperimentTables tables = collect_tables(e_, o_.run_folder);
    write_file_atomic(o_.run_folder / "results.csv", std::string_view(experiment_results_csv(tables)));
    write_file_atomic(o_.run_folder / "sources.csv", std::string_view(experiment_sources_csv(tables)));
    write_file_atomic(o_.run_folder / "results.md", std::string_view(experiment_markdown(tables)));
    std::error_code not_empty;
    std::filesystem::remove(o_.run_folder / "checkpoints", not_empty);
  }

  Context& ctx_;
  const Experiment& e_;
  const ExperimentOptions& o_;
  const Events& events_;
  std::size_t pending_ = 0, done_ = 0;
};

}  // namespace

ExperimentSurvey survey_experiment(Context& ctx, const Experiment& experiment, const ExperimentOptions& options) {
  const Events quiet;
  Runner runner(ctx, experiment, options, quiet);
  const std::vector<CellState> states = runner.survey();
  // A cell takes as long as others of its method, best of its target.
  std::map<std::string, std::vector<double>> seconds;
  const auto keys = [](const Cell& c) {
    return std::vector<std::string>{c.target->name + "/" + c.variant->name,
                                    c.target->name + "/" + name_of(c.variant->method), name_of(c.variant->method)};
  };
  for (const CellState& s : states)
    if (s.found && s.found->error.empty())
      for (const std::string& key : keys(s.cell)) seconds[key].push_back(s.found->figures.seconds);
  ExperimentSurvey out;
  for (const CellState& s : states) {
    if (!runner.taken(s.cell)) continue;
    ExperimentSurvey::Cell c{s.cell.label(), s.state, s.changed, {}, {}};
    if (s.state == State::finished) c.seconds = s.found->figures.seconds;
    for (const std::string& key : keys(s.cell))
      if (!c.seconds && !c.estimate && seconds.contains(key)) c.estimate = spread_of(seconds[key]).mean;
    out.cells.push_back(std::move(c));
  }
  return out;
}

ExperimentOutcome run_experiment(Context& ctx, const Experiment& experiment, const ExperimentOptions& options,
                                 const Events& events) {
  return Runner(ctx, experiment, options, events).run();
}

}  // namespace akin
