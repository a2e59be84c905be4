// The program's commands and options as a table, read from what parses them, and what is made of it: completion for
// shells and manual pages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace akin {

struct OptionRow {
  enum class Takes { nothing, text, file, folder };
  std::vector<std::string> names;  ///< "--help", "-h"; of a positional argument its name alone
  std::string value;               ///< "N", "FILE..."; empty where it takes nothing
  std::string help, standard;      ///< standard: its default, where that tells something
  Takes takes = Takes::nothing;
  std::vector<std::string> choices;  ///< all it may be, where they are few
  bool in_files = false;             ///< may stand in a file of settings
};

struct CommandRow {
  std::string path;  ///< "akin", "akin data show"
  std::string help, footer;
  std::vector<OptionRow> options, arguments;
  std::vector<CommandRow> commands;
  std::string name() const { return path.substr(path.find_last_of(' ') + 1); }
};

/// Of a command and all below it; hidden options are left out.
CommandRow table_of(const CLI::App& app);

/// A file of settings for a command: every option as a comment with what it means and its default, but for `given`,
/// pairs of an option's name without dashes and its text.
std::string settings_text(const CommandRow& command, const std::vector<std::pair<std::string, std::string>>& given);

/// A completion script for "bash", "zsh" or "fish".
std::string completion_script(const CommandRow& akin, std::string_view shell);

struct ManualPage {
  std::string file;  ///< "akin-data-show.1"
  std::string text;  ///< roff with the man macros
};
/// One of the program and one of each command.
std::vector<ManualPage> manual_pages(const CommandRow& akin, const std::string& version);

}  // namespace akin
