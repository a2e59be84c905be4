#include "apps/command_table.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "distill/similarity/metrics.hpp"
#include "distill/student/settings.hpp"
#include "engine/io/json.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

/// What an option may be: of settings their table knows, of these the code that reads them.
std::vector<std::string> choices_of(const std::string& name) {
  std::vector<std::string> names;
  if (name == "--methods") {
    for (const MethodTraits& m : methods()) names.emplace_back(m.name);
  } else if (name == "--metric") {
    names.emplace_back("auto");
    for (const Metric& m : metrics()) names.push_back(m.name);
  } else if (name == "shell") {
    names = {"bash", "zsh", "fish"};
  } else if (name == "--command") {
    names = {"fit", "distill", "rank", "train"};
  } else if (name == "--student" || name == "--arch") {
    names = known_architectures();
  } else {
    for (const Setting& row : setting_list())
      for (const char* own : {row.name, row.source})
        if (own != nullptr && name == option_of(own)) return row.range.choices;
  }
  return names;
}

OptionRow row_of(const CLI::Option& option) {
  OptionRow row;
  if (option.nonpositional()) {
    for (const std::string& name : option.get_lnames()) row.names.push_back("--" + name);
    for (const std::string& name : option.get_snames()) row.names.push_back("-" + name);
    row.choices = choices_of(row.names.front());
    row.in_files = option.get_configurable();
  } else {
    row.names.push_back(option.get_name(true));
    row.choices = choices_of(row.names.front());
  }
  row.help = option.get_description();
  if (option.get_items_expected_max() == 0) return row;
  row.value = option.get_type_name();
  row.standard = option.get_default_str();
  row.takes = row.value.starts_with("FILE") || row.value.ends_with("FILE") ? OptionRow::Takes::file
              : row.value.starts_with("DIR")                               ? OptionRow::Takes::folder
                                                                           : OptionRow::Takes::text;
  return row;
}

CommandRow table_below(const CLI::App& app, const std::string& above) {
  CommandRow row;
  row.path = above.empty() ? app.get_name() : above + " " + app.get_name();
  row.help = app.get_description();
  row.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return !o->get_group().empty(); })) {
    (option->nonpositional() ? row.options : row.arguments).push_back(row_of(*option));
    if (option->nonpositional() && option->get_positional()) row.arguments.push_back(row_of(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); }))
    row.commands.push_back(table_below(*command, row.path));
  return row;
}

}  // namespace

CommandRow table_of(const CLI::App& app) { return table_below(app, ""); }

std::string settings_text(const CommandRow& command, const std::vector<std::pair<std::string, std::string>>& given) {
  const auto value = [](const OptionRow& row) {
    if (row.takes == OptionRow::Takes::nothing || row.standard == "true" || row.standard == "false")
      return row.standard.empty() ? std::string("true") : row.standard;
    if (row.value.ends_with("...") && row.standard.empty()) return std::string("[]");
    const bool number = !row.standard.empty() && row.choices.empty() &&
                        row.standard.find_first_not_of("0123456789.-e") == std::string::npos;
    return number ? row.standard : Json(row.standard).dump();
  };
  const std::string table = command.path.substr(command.path.find(' ') + 1);
  std::string text = fmt::format(
      "# Settings of `{}`. Take the # away from what shall differ from its default, and run\n"
      "#   {} --config THIS-FILE\n[{}]\n",
      command.path, command.path, table);
  for (const auto& [name, said] : given) text += fmt::format("{} = {}\n", name, Json(said).dump());
  for (const OptionRow& row : command.options) {
    const std::string name = row.names.front().substr(2);
    const bool told = std::any_of(given.begin(), given.end(), [&](const auto& g) { return g.first == name; });
    if (!row.in_files || told || name == "help") continue;
    text += fmt::format("\n# {}\n", row.help);
    if (!row.choices.empty()) text += fmt::format("# one of: {}\n", fmt::join(row.choices, ", "));
    text += fmt::format("# {} = {}\n", name, value(row));
  }
  return text;
}

}  // namespace akin
