#include "apps/command_table.hpp"

#include <CLI/CLI.hpp>

#include "distill/similarity/metrics.hpp"
#include "distill/student/settings.hpp"
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
  } else {
    row.names.push_back(option.get_name(true));
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
  for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return !o->get_group().empty(); }))
    (option->nonpositional() ? row.options : row.arguments).push_back(row_of(*option));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); }))
    row.commands.push_back(table_below(*command, row.path));
  return row;
}

}  // namespace

CommandRow table_of(const CLI::App& app) { return table_below(app, ""); }

}  // namespace akin
