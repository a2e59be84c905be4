// Manual pages in roff, and the commands that write them and the completion scripts.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "apps/command_table.hpp"
#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "engine/io/file.hpp"

namespace akin {

namespace {

/// Plain text for roff: backslashes, leading dots and quotes mean something, and a hyphen is no minus.
std::string roff(std::string_view text) {
  std::string out;
  bool begins = true;
  for (const char c : text) {
    if (begins && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
    begins = c == '\n';
  }
  return out;
}

/// With a full stop, as more may follow.
std::string sentence(const std::string& text) { return roff(text) + (text.empty() || text.back() == '.' ? "" : "."); }

std::string dashed(std::string path) {
  std::replace(path.begin(), path.end(), ' ', '-');
  return path;
}

std::string rows_of(const std::vector<OptionRow>& rows) {
  std::string out;
  for (const OptionRow& row : rows) {
    std::string names;
    for (const std::string& name : row.names)
      names += (names.empty() ? "" : ", ") + std::string("\\fB") + roff(name) + "\\fR";
    out += ".TP\n" + names + (row.value.empty() ? "" : " \\fI" + roff(row.value) + "\\fR") + "\n" + sentence(row.help) +
           "\n";
    if (!row.standard.empty()) out += "Default: " + roff(row.standard) + ".\n";
    if (!row.choices.empty()) out += "One of: " + roff(fmt::format("{}", fmt::join(row.choices, ", "))) + ".\n";
  }
  return out;
}

void add_pages(const CommandRow& row, const std::string& version, std::vector<ManualPage>& pages) {
  std::string text = fmt::format(".TH {} 1 \"\" \"{}\" \"akin\"\n.SH NAME\n{} \\- {}\n", roff(dashed(row.path)),
                                 roff(version), roff(dashed(row.path)), roff(row.help));
  text += ".SH SYNOPSIS\n\\fB" + roff(row.path) + "\\fR";
  if (!row.options.empty()) text += " [\\fIOPTIONS\\fR]";
  for (const OptionRow& argument : row.arguments) text += " \\fI" + roff(argument.value) + "\\fR";
  if (!row.commands.empty()) text += " \\fICOMMAND\\fR";
  text += "\n";
  if (!row.commands.empty()) {
    text += ".SH COMMANDS\n";
    for (const CommandRow& command : row.commands)
      text += ".TP\n\\fB" + roff(command.name()) + "\\fR\n" + roff(command.help) + "\n";
  }
  if (!row.arguments.empty()) text += ".SH ARGUMENTS\n" + rows_of(row.arguments);
  if (!row.options.empty()) text += ".SH OPTIONS\n" + rows_of(row.options);
  if (!row.footer.empty()) text += ".SH NOTES\n.nf\n" + roff(row.footer) + "\n.fi\n";
  if (!row.commands.empty()) {
    text += ".SH SEE ALSO\n";
    for (std::size_t i = 0; i < row.commands.size(); ++i)
      text += fmt::format(".BR {} (1){}\n", roff(dashed(row.commands[i].path)), i + 1 < row.commands.size() ? "," : "");
  }
  pages.push_back({dashed(row.path) + ".1", text});
  for (const CommandRow& command : row.commands) add_pages(command, version, pages);
}

}  // namespace

std::vector<ManualPage> manual_pages(const CommandRow& akin, const std::string& version) {
  std::vector<ManualPage> pages;
  add_pages(akin, version, pages);
  return pages;
}

void add_completion(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("completion", "Print a script that completes akin's commands in a shell");
  const auto shell = std::make_shared<std::string>();
  app->add_option("shell", *shell, "bash, zsh or fish")->required()->type_name("SHELL");
  app->footer(
      "Example:\n  akin completion bash > ~/.local/share/bash-completion/completions/akin\n"
      "  akin completion zsh > ~/.zfunc/_akin          (with fpath+=~/.zfunc before compinit)\n"
      "  akin completion fish > ~/.config/fish/completions/akin.fish");
  app->callback([&akin, shell] { print(completion_script(table_of(akin), *shell)); });
}

void add_manual(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("manual", "Write akin's manual pages, one a command");
  const auto folder = std::make_shared<std::string>();
  app->add_option("--out", *folder, "Folder to write akin.1, akin-fit.1 ... into")->required()->type_name("DIR");
  app->footer("Example:\n  akin manual --out ~/.local/share/man/man1\n  man akin-fit");
  app->callback([&akin, folder] {
    make_folder(*folder);
    for (const ManualPage& page : manual_pages(table_of(akin), version()))
      write_file_atomic(std::filesystem::path(*folder) / page.file, std::string_view(page.text));
  });
}

}  // namespace akin
