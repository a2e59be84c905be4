// akin report: the page and tables of a finished run, made again from its numbers.
#include "distill/report/report.hpp"

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/folder_lock.hpp"

namespace akin {

void add_report(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("report", "Rebuild report.html of a run from its report.json");
  struct Options {
    std::string run;
    CommonOptions common;
  };
  const auto o = std::make_shared<Options>();
  app->add_option("run", o->run, "Run folder")->required()->type_name("DIR");
  add_output(*app, o->common);
  app->footer("Example:\n  akin report runs/demo");
  app->callback([o] {
    if (!is_folder(o->run)) load_run(o->run);  // says so
    const FolderLock owner(o->run);
    const ReportData data = load_run(o->run);
    write_report(data, o->run);
    print(o->common.json ? results_json(data)
                         : (data.sources.empty() ? "" : sources_table(data) + "\n") + results_table(data));
    say(o->common, (std::filesystem::path(o->run) / "report.html").string() + ": written");
  });
}

}  // namespace akin
