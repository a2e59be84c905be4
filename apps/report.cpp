// akin report: the page and tables of a finished run, made again from its numbers; several runs side by side; the page
// of an experiment.
#include "distill/report/report.hpp"

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/run_folder.hpp"
#include "distill/report/compare.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/folder_lock.hpp"
#include "engine/io/path.hpp"

namespace akin {

namespace {

struct Options {
  std::vector<std::string> runs;
  std::string out;
  bool force = false;
  CommonOptions common;
};

/// An experiment has tables of cells, and no report of its own.
bool is_experiment(const std::filesystem::path& folder) {
  return is_there(folder / "results.csv") && is_there(folder / "results.md") && !is_there(folder / "report.json");
}

void report_run(const Options& o, const std::string& run) {
  if (!is_folder(run)) load_run(run);  // says so
  const FolderLock owner(run);
  const ReportData data = load_run(run);
  write_report(data, run);
  const std::vector<std::string> tables = write_tables(data, run);
  print(o.common.json ? results_json(data)
                      : (data.sources.empty() ? "" : sources_table(data, stdout_columns()) + "\n") +
                            results_table(data, stdout_columns()));
  std::vector<std::string> files{"report.html"};
  files.insert(files.end(), tables.begin(), tables.end());
  say_files(o.common, run, files);
  if (data.tables.empty())
    say(o.common, fmt::format("{}: an earlier akin made this run and kept no other table in report.json; its command "
                              "with --resume writes them again, without training",
                              run));
}

void report_experiment(const Options& o, const std::filesystem::path& folder) {
  const FolderLock owner(folder);
  const std::filesystem::path sources = folder / "sources.csv",
                              page = o.out.empty() ? folder / "report.html" : std::filesystem::path(o.out);
  const std::string html = render_experiment(last_name(folder), read_text(folder / "results.csv"),
                                             is_there(sources) ? read_text(sources) : "", folder.string());
  if (!o.out.empty()) check_output_file(page, o.force, {folder / "results.csv", sources});
  write_file_atomic(page, html);
  if (!o.common.json) print(read_text(folder / "results.md"));
  say(o.common, page.string());
}

/// Names of runs by their folders, longer where two are called alike.
std::vector<NamedRun> load_runs(const std::vector<std::string>& folders) {
  std::vector<NamedRun> out;
  for (const std::string& folder : folders) out.push_back({last_name(folder), load_run(folder)});
  for (std::size_t i = 0; i < out.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) {
      if (whole_path(folders[i]) == whole_path(folders[k]))
        fail_usage("{}: named twice; name runs to compare", folders[i]);
      if (out[i].name != out[k].name) continue;
      out[i].name = folders[i];
      out[k].name = folders[k];
    }
  return out;
}

void compare_runs(const Options& o) {
  for (const std::string& folder : o.runs)
    AKIN_CHECK(!is_experiment(folder), "{}: is an experiment; its page is made alone: akin report {}", folder, folder);
  const std::vector<NamedRun> runs = load_runs(o.runs);
  if (!o.out.empty()) {
    std::vector<std::filesystem::path> inputs;
    for (const std::string& folder : o.runs) inputs.push_back(std::filesystem::path(folder) / "report.json");
    check_output_file(o.out, o.force, inputs);
    write_file_atomic(o.out, render_comparison(runs));
  }
  print(o.common.json ? comparison_json(runs) : comparison_text(runs));
  if (!o.out.empty()) say(o.common, o.out);
}

void run(const Options& o) {
  if (o.runs.size() > 1) return compare_runs(o);
  if (is_experiment(o.runs.front())) return report_experiment(o, o.runs.front());
  if (!o.out.empty())
    fail_usage("--out: is for several runs and for experiments; the page of a run is its own report.html");
  report_run(o, o.runs.front());
}

}  // namespace

void add_report(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("report", "Make the page and the tables of a run again, or compare runs");
  const auto o = std::make_shared<Options>();
  app->add_option("run", o->runs, "Run folders, or one of an experiment")->required()->type_name("DIR...");
  app->add_option("--out", o->out, "Of several runs or an experiment: write the page there")->type_name("FILE");
  app->add_flag("--force", o->force, "Write over that file");
  add_output(*app, o->common);
  app->footer(
      "Of one run: writes report.html, results.csv, log.jsonl and, where the run has them, similarity.csv,\n"
      "weights.csv and oracle.csv. Of several: accuracies with intervals, costs, what settings differ and\n"
      "similarities, as text and with --out as a page. Of an experiment: its page, report.html.\n\n"
      "Example:\n  akin report runs/demo\n  akin report runs/a runs/b --out a-b.html");
  app->callback([o] { run(*o); });
}

}  // namespace akin
