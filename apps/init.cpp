// akin init: a file of settings to start from.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "apps/command_table.hpp"
#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "apps/run_folder.hpp"
#include "engine/io/file.hpp"
#include "engine/io/nearest_name.hpp"
#include "engine/io/path.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {

namespace {

/// What a command calls the folder that it works on.
const std::map<std::string, std::string> kFolderOption{
    {"fit", "data"}, {"distill", "target"}, {"rank", "target"}, {"train", "data"}};

struct Options {
  std::string folder, command = "fit", out;
  bool force = false;
};

void run(const CLI::App& akin, const Options& o) {
  check_output_file(o.out, o.force, {});
  AKIN_CHECK(is_folder(o.folder), "{}: no such folder{}", o.folder, nearest_file(o.folder));
  layout_of(o.folder);  // says what is wrong with it
  const CommandRow all = table_of(akin);
  const auto command = std::find_if(all.commands.begin(), all.commands.end(),
                                    [&](const CommandRow& row) { return row.name() == o.command; });
  make_parent(o.out);
  write_file_atomic(
      o.out, std::string_view(settings_text(*command, {{kFolderOption.at(o.command), whole_path(o.folder).string()}})));
  print(fmt::format("{}: settings of akin {}; `akin {} --config {}` runs it\n", o.out, o.command, o.command, o.out));
}

}  // namespace

void add_init(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("init", "Write a commented file of settings for a folder of pictures");
  const auto o = std::make_shared<Options>();
  app->add_option("folder", o->folder, "Folder of the pictures")->required()->type_name("DIR");
  std::vector<std::string> commands;
  for (const auto& [name, option] : kFolderOption) commands.push_back(name);
  app->add_option("--command", o->command, "fit, distill, rank or train")->check(one_of(commands));
  app->add_option("--out", o->out, "File to write")->required()->type_name("FILE");
  app->add_flag("--force", o->force, "Replace the file");
  app->footer("Example:\n  akin init birds --out birds.toml\n  akin fit --config birds.toml --out runs/birds");
  app->callback([&akin, o] { run(akin, *o); });
}

}  // namespace akin
