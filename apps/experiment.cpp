// akin experiment: a grid of targets, label budgets, seeds and methods from a TOML file.
#include "distill/grid/tables.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <random>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "apps/output_cache_place.hpp"
#include "apps/profiling.hpp"
#include "apps/ranks.hpp"
#include "apps/run_folder.hpp"
#include "apps/run_journal.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/nearest_name.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  std::string file, root, out, cache;
  std::vector<std::string> only;
  std::int64_t ranks_per_cell = 1;
  bool dry_run = false, redo_stale = false, keep_students = false, resume = false;
};

/// "12 s", "3 min", "2.5 h"
std::string duration(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  return seconds < 5400 ? fmt::format("{:.0f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / 3600);
}

const char* name_of(GridSurvey::Cell::State state) {
  using State = GridSurvey::Cell::State;
  return state == State::finished ? "finished" : state == State::stale ? "stale" : "to run";
}

void show(const GridSurvey& survey, bool json) {
  using State = GridSurvey::Cell::State;
  TextTable table({{"cell", TextTable::Align::left},
                   {"state", TextTable::Align::left},
                   {"time", TextTable::Align::right},
                   {"what changed", TextTable::Align::left}});
  nlohmann::ordered_json cells = nlohmann::ordered_json::array();
  double left = 0;
  std::size_t finished = 0, unknown = 0;
  for (const GridSurvey::Cell& c : survey.cells) {
    const bool done = c.state == State::finished;
    finished += done;
    if (!done && c.estimate) left += *c.estimate;
    unknown += !done && !c.estimate;
    const std::optional<double> time = done ? c.seconds : c.estimate;
    table.add({c.label, name_of(c.state), time ? (done ? "" : "~") + duration(*time) : "–", c.changed});
    nlohmann::ordered_json j = {{"cell", c.label}, {"state", name_of(c.state)}, {"changed", c.changed}};
    j["seconds"] = time ? nlohmann::ordered_json(*time) : nlohmann::ordered_json(nullptr);
    cells.push_back(j);
  }
  if (json) {
    print(nlohmann::ordered_json{
              {"cells", cells}, {"finished", finished}, {"seconds_left", left}, {"cells_without_estimate", unknown}}
              .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
          "\n");
    return;
  }
  print(table.str(stdout_columns()) +
        fmt::format("{} cells, {} finished; about {} left{}\n", survey.cells.size(), finished, duration(left),
                    unknown > 0 ? fmt::format(", and {} cells of methods that have not run yet", unknown) : ""));
}

/// Error with all that the file names and that is not there: before the first target is read.
void check_there(const Grid& grid, const GridFilter& only, const std::string& file) {
  std::vector<std::string> missing;
  const auto look = [&](const std::filesystem::path& path) {
    const std::string name = path.string();
    if (!path.empty() && !is_there(path) && std::find(missing.begin(), missing.end(), name) == missing.end())
      missing.push_back(name);
  };
  for (const GridTarget& t : grid.targets) {
    if (!only.takes(t)) continue;
    look(t.data);
    for (const GridSource& s : grid.sources)
      if (std::find(t.sources.begin(), t.sources.end(), s.name) != t.sources.end()) look(with_target(s.path, t.name));
  }
  if (missing.empty()) return;
  const std::string near = missing.size() == 1 ? nearest_file(missing.front()) : "";
  fail(
      "{}: names what is not there: {}{} (relative paths are seen from its root, or from --root; its comments may say "
      "where data come from)",
      file, fmt::join(missing, ", "), near);
}

/// What ranks do not share would be lost without a word: each would find all files that it looks for to be missing.
/// Throws on all ranks where one does not see the first one's run folder.
void check_shared(Ranks& ranks, const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  struct Mark {
    fs::path file = {};
    ~Mark() {
      std::error_code ignored;
      if (!file.empty()) fs::remove(file, ignored);
    }
  } mark;
  std::string text;
  std::random_device random;
  if (ranks.is_first()) text = fmt::format("{:08x}{:08x}", random(), random());
  // Named as what killed writers leave, so that the next run removes it; and as nothing that a network file system may
  // remember to be missing.
  const auto file_of = [&] { return folder / fmt::format(".ranks.akin-{}.tmp", text); };
  if (ranks.is_first()) {
    mark.file = file_of();
    write_file_atomic(mark.file, std::string_view(text));
  }
  broadcast(ranks, text, 0, "the run folder");
  std::string seen;
  try {
    seen = read_text(file_of());
  } catch (const Error&) {  // that it is not there is said below
  }
  std::error_code ignored;
  const std::vector<std::string> others =
      gather(ranks, seen == text ? "" : fs::absolute(folder, ignored).string(), "the run folder");
  for (int r = 0; r < ranks.size(); ++r)
    AKIN_CHECK(others[static_cast<std::size_t>(r)].empty(),
               "{}: the run folder {} is not that of {}; name one that all ranks see with --out, on a file system that "
               "their machines share",
               ranks.name(r), others[static_cast<std::size_t>(r)], ranks.name(0));
}

/// What steers which cells the ranks take together, as options.
std::string steering(const Options& o) {
  std::string text = o.ranks_per_cell == 1 ? "" : fmt::format(" --gpus-per-cell {}", o.ranks_per_cell);
  for (const std::string& item : o.only) text += " --only " + item;
  if (o.dry_run) text += " --dry-run";
  if (o.redo_stale) text += " --redo-stale";
  return text;
}

void run(const CLI::App& app, Options& o) {
  const std::filesystem::path file = o.file;
  Grid grid = read_grid(file, o.root, o.ranks_per_cell);
  // What the command line says of the whole run goes before what the file says.
  for (const Setting& s : setting_list())
    if (s.whole_run && app.get_option(option_of(s.name))->count() > 0)
      std::visit([&](auto field) { grid.settings.*field = o.common.settings.*field; }, s.field);
  copy_settings(grid.settings, "General", o.common.settings);
  GridOptions options;
  options.place.folder = o.out.empty() ? std::filesystem::path("runs") / file.stem() : std::filesystem::path(o.out);
  const std::filesystem::path& run_folder = options.place.folder;
  for (const std::string& item : o.only) add_filter(options.only, item, grid);
  check_there(grid, options.only, o.file);
  options.redo_stale = o.redo_stale;
  options.keep_students = o.keep_students;
  options.made_by = version_line();
  options.ranks = join_ranks(o.common, steering(o));
  const bool first = options.ranks == nullptr || options.ranks->is_first();
  const std::int64_t ranks = options.ranks == nullptr ? 1 : options.ranks->size();
  if (ranks % o.ranks_per_cell != 0 && !o.dry_run)
    fail_usage("--gpus-per-cell {}: {} cannot be cut into groups of {}; start a multiple of {} with mpirun or srun",
               o.ranks_per_cell, ranks == 1 ? "one process" : fmt::format("{} ranks", ranks), o.ranks_per_cell,
               o.ranks_per_cell);
  Context ctx = start(o.common);
  if (options.ranks != nullptr) check_device(*options.ranks, ctx);
  if (options.ranks != nullptr && o.ranks_per_cell > 1 && !o.dry_run)
    use_ranks(ctx, options.ranks->group(static_cast<int>(o.ranks_per_cell)), o.common);
  const Profiling profiling(o.common, ctx, first);
  if (o.dry_run) {
    show(survey_grid(ctx, grid, options), o.common.json);
    return;
  }
  catch_interrupts();
  const OutputCachePlace cache(o.cache, {});
  options.cache = cache.folder();
  std::optional<RunFolder> owner;  // for all ranks
  if (first) owner.emplace(RunKind::experiment, run_folder, inputs_of(grid), RunFolder::Wish{.takes_force = false});
  if (options.ranks != nullptr) check_shared(*options.ranks, run_folder);
  RunJournal journal;
  if (first)
    options.listener.opened = [&](const Task&, const std::vector<Source>&) {
      write_file_atomic(run_folder / ("experiment" + file.extension().string()), std::string_view(read_text(file)));
      journal.open(run_folder);
    };
  const GridOutcome outcome = run_experiment(ctx, grid, options, journaled(make_events(o.common), journal));
  if (!first) return;
  const std::string folder = run_folder.string();
  AKIN_CHECK(outcome.finished, "stopped on request; finished cells are kept in {}: the same command goes on", folder);
  if (o.common.json)
    print(nlohmann::ordered_json{{"folder", folder},
                                 {"cells", outcome.cells},
                                 {"ran", outcome.ran},
                                 {"failed", outcome.failed},
                                 {"metrics_chosen", outcome.chosen_metrics},
                                 {"rankings_unsure", outcome.disputed}}
              .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
          "\n");
  else
    print(read_text(run_folder / "results.md"));
  say(o.common, fmt::format("{} of {} cells run now", outcome.ran, outcome.cells));
  say_files(o.common, run_folder, {"results.csv", "sources.csv", "results.md"});
  AKIN_CHECK(outcome.failed.empty(), "{} cells have no result, the first: {}; the others are in {}/results.md",
             outcome.failed.size(), outcome.failed.front(), folder);
}

}  // namespace

void add_experiment(CLI::App& akin) {
  CLI::App* app =
      akin.add_subcommand("experiment", "Run a grid of targets, label budgets, seeds and methods from a TOML file");
  const auto o = std::make_shared<Options>();
  app->add_option("file", o->file, "TOML or JSON, as docs/cli.md says")->required()->type_name("FILE")->group("Data");
  app->add_option("--root", o->root, "Folder that the file's relative paths start from; default: what the file says")
      ->type_name("DIR")
      ->group("Data");
  app->add_option("--out", o->out, "Run folder; default runs/<name of the file>")->type_name("DIR")->group("Run");
  add_cache(*app, o->cache);
  app->add_option("--only", o->only,
                  "Part of the grid: target=, budget=, method=, variant=NAME or seed=N; several add up")
      ->default_str("")
      ->type_name("KIND=NAME...")
      ->group("Run");
  app->add_flag("--dry-run", o->dry_run, "List the cells with what they took or may take, and run nothing")
      ->group("Run");
  app->add_flag("--redo-stale", o->redo_stale, "Run cells again that were made with other settings or data")
      ->group("Run");
  app->add_flag("--keep-students", o->keep_students, "Save every student below students/")->group("Run");
  app->add_flag("--resume", o->resume, "Nothing to ask for: finished cells are never run again")->group("Run");
  app->add_option("--gpus-per-cell,--ranks-per-cell", o->ranks_per_cell,
                  "So many ranks, each with its card, train a cell together; settings without slices get one for each")
      ->transform(whole_in(1, 65536))
      ->configurable(false)
      ->group("Run");
  add_detect_anomaly(*app, o->common);
  add_profiling(*app, o->common);
  add_common(*app, o->common);
  add_ranks(*app, o->common);
  add_exchange(*app, o->common, "the ranks of one cell (--gpus-per-cell)");
  app->footer(
      "Every finished cell is a small file below cells/; interrupted and started again, the command goes on.\n\n"
      "Example:\n  akin experiment configs/mini/example.toml --out runs/example");
  app->callback([app, o] { run(*app, *o); });
}

}  // namespace akin
