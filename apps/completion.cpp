// Completion scripts: a case for every command, so that the shell needs nothing but the script.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "apps/command_table.hpp"
#include "engine/io/nearest_name.hpp"
#include "kernels/common/error.hpp"

namespace akin {

namespace {

using Visit = std::function<void(const CommandRow&)>;

void visit(const CommandRow& row, const Visit& body) {
  body(row);
  for (const CommandRow& command : row.commands) visit(command, body);
}

std::string words(const std::vector<std::string>& list) { return fmt::format("{}", fmt::join(list, " ")); }

std::string command_words(const CommandRow& row) {
  std::vector<std::string> names;
  for (const CommandRow& command : row.commands) names.push_back(command.name());
  return words(names);
}

std::string option_words(const CommandRow& row) {
  std::vector<std::string> names;
  for (const OptionRow& option : row.options) names.push_back(option.names.front());
  return words(names);
}

/// Text within single quotes of a shell; fish knows \' within them, the others must leave and come back.
std::string quoted(const std::string& text, bool fish) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += fish ? "\\'" : "'\\''";
    else if (c == '\\' && fish)
      out += "\\\\";
    else
      out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}

std::string bash_script(const CommandRow& akin) {
  std::string commands, options, values;
  visit(akin, [&](const CommandRow& row) {
    std::string next = command_words(row);
    if (next.empty() && !row.arguments.empty()) next = words(row.arguments.front().choices);
    commands += fmt::format("    '{}') words='{}' ;;\n", row.path, next);
    options += fmt::format("    '{}') words='{}' ;;\n", row.path, option_words(row));
    for (const OptionRow& option : row.options) {
      const std::string at = fmt::format("    '{} {}') ", row.path, option.names.front());
      if (!option.choices.empty())
        values += at + fmt::format("words='{}' ;;\n", words(option.choices));
      else if (option.takes == OptionRow::Takes::file)
        values += at + "mapfile -t COMPREPLY < <(compgen -f -- \"$last\"); return ;;\n";
      else if (option.takes == OptionRow::Takes::folder)
        values += at + "mapfile -t COMPREPLY < <(compgen -d -- \"$last\"); return ;;\n";
      else if (option.takes == OptionRow::Takes::text)
        values += at + "return ;;\n";
    }
  });
  // A list such as --methods a,b goes on behind its last comma.
  return "# bash completion for akin; made by `akin completion bash`.\n"
         "_akin() {\n"
         "  local last=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} path=akin words= lead= i\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    case \"$path\" in\n" +
         commands +
         "    *) words= ;;\n"
         "    esac\n"
         "    [[ \" $words \" == *\" ${COMP_WORDS[i]} \"* ]] && path+=\" ${COMP_WORDS[i]}\"\n"
         "  done\n"
         "  COMPREPLY=()\n"
         "  words=\n"
         "  case \"$path $before\" in\n" +
         values +
         "  esac\n"
         "  if [[ -n $words ]]; then\n"
         "    [[ $last == *,* ]] && lead=${last%,*},\n"
         "    COMPREPLY=($(compgen -P \"$lead\" -W \"$words\" -- \"${last##*,}\"))\n"
         "    return\n"
         "  fi\n"
         "  if [[ $last == -* ]]; then\n"
         "    case \"$path\" in\n" +
         options +
         "    esac\n"
         "  else\n"
         "    case \"$path\" in\n" +
         commands +
         "    esac\n"
         "  fi\n"
         "  if [[ -n $words ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$last\"))\n"
         "  else\n"
         "    mapfile -t COMPREPLY < <(compgen -f -- \"$last\")\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _akin akin\n";
}

/// zsh runs bash's, and knows what akin is when it is asked to complete it.
std::string zsh_script(const CommandRow& akin) {
  return "#compdef akin\n# zsh completion for akin, through its emulation of bash; made by `akin completion zsh`.\n"
         "autoload -U +X bashcompinit && bashcompinit\n" +
         bash_script(akin);
}

std::string fish_script(const CommandRow& akin) {
  std::string out = "# fish completion for akin; made by `akin completion fish`.\ncomplete -c akin -f\n";
  visit(akin, [&](const CommandRow& row) {
    // Where this command was named, and none below it.
    std::string where;
    std::vector<std::string> path;
    for (std::size_t at = 0; at < row.path.size();) {
      const std::size_t end = std::min(row.path.find(' ', at), row.path.size());
      path.push_back(row.path.substr(at, end - at));
      at = end + 1;
    }
    for (std::size_t i = 1; i < path.size(); ++i) where += "__fish_seen_subcommand_from " + path[i] + "; and ";
    const std::string below = row.commands.empty() ? "true" : "not __fish_seen_subcommand_from " + command_words(row);
    const std::string condition = quoted(where + below, true);
    for (const CommandRow& command : row.commands)
      out += fmt::format("complete -c akin -n {} -a {} -d {}\n", condition, command.name(), quoted(command.help, true));
    for (const OptionRow& option : row.options) {
      out += fmt::format("complete -c akin -n {}", condition);
      for (const std::string& name : option.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (!option.choices.empty())
        out += " -x -a " + quoted(words(option.choices), true);
      else if (option.takes == OptionRow::Takes::file || option.takes == OptionRow::Takes::folder)
        out += " -r -F";
      else if (option.takes == OptionRow::Takes::text)
        out += " -x";
      out += " -d " + quoted(option.help, true) + "\n";
    }
    if (!row.arguments.empty()) out += fmt::format("complete -c akin -n {} -F\n", condition);
  });
  return out;
}

}  // namespace

std::string completion_script(const CommandRow& akin, std::string_view shell) {
  if (shell == "bash") return bash_script(akin);
  if (shell == "zsh") return zsh_script(akin);
  if (shell == "fish") return fish_script(akin);
  fail_usage("'{}': there is completion for bash, zsh and fish{}", shell, did_you_mean(shell, {"bash", "zsh", "fish"}));
}

}  // namespace akin
