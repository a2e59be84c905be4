// akin report: the page and tables of a finished run, made again from its numbers.
#include "distill/report/report.hpp"

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/folder_lock.hpp"

namespace akin {

void add_report(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("report", "Make the page and the tables of a run again from its report.json");
  struct Options {
    std::string run;
    CommonOptions common;
  };
  const auto o = std::make_shared<Options>();
  app->add_option("run", o->run, "Run folder")->required()->type_name("DIR");
  add_output(*app, o->common);
  app->footer(
      "Writes report.html, results.csv, log.jsonl and, where the run has them, similarity.csv, weights.csv and\n"
      "oracle.csv.\n\n"
      "Example:\n  akin report runs/demo");
  app->callback([o] {
    if (!is_folder(o->run)) load_run(o->run);  // says so
    const FolderLock owner(o->run);
    const ReportData data = load_run(o->run);
    write_report(data, o->run);
    const std::vector<std::string> tables = write_tables(data, o->run);
    print(o->common.json ? results_json(data)
                         : (data.sources.empty() ? "" : sources_table(data, stdout_columns()) + "\n") +
                               results_table(data, stdout_columns()));
    std::vector<std::string> files{"report.html"};
    files.insert(files.end(), tables.begin(), tables.end());
    say_files(o->common, o->run, files);
    if (data.tables.empty())
      say(o->common,
          fmt::format("{}: an earlier akin made this run and kept no other table in report.json; its command "
                      "with --resume writes them again, without training",
                      o->run));
  });
}

}  // namespace akin
