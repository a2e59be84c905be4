// Completion and manual pages know every command and option there is, and shells and roff take them.
#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>

#include "apps/command_line.hpp"
#include "apps/command_table.hpp"
#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

CommandRow table() {
  CommandRow row;
  const char* arguments[] = {"akin", "completion", "none"};
  try {
    run_command_line(3, arguments, [&](CLI::App& app) { row = table_of(app); });
  } catch (const UsageError& e) {
    CHECK(has(e.what(), "'none': there is completion for bash, zsh and fish"));
  }
  return row;
}

void each(const CommandRow& row, const std::function<void(const CommandRow&)>& body) {
  body(row);
  for (const CommandRow& command : row.commands) each(command, body);
}

/// What bash offers behind `words`.
std::string offered(const TempFolder& folder, const std::string& words) {
  write_file_atomic(folder / "try.sh",
                    "source " + (folder / "akin.bash").string() + "\nCOMP_WORDS=(" + words +
                        ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_akin\nprintf '%s\\n' \"${COMPREPLY[*]}\"\n");
  const std::string line = "cd '" + folder.path().string() + "' && bash try.sh > said 2>&1";
  REQUIRE_EQ(std::system(line.c_str()), 0);
  std::string text = read_text(folder / "said");
  if (!text.empty()) text.pop_back();
  return text;
}

bool installed(const char* program) {
  return std::system((std::string("command -v ") + program + " > /dev/null 2>&1").c_str()) == 0;
}

}  // namespace

TEST_CASE("completion: bash offers commands, options, what an option may be, and the rest of a list") {
  const TempFolder folder;
  const Finished script = akin_(folder, {"completion", "bash"});
  REQUIRE_EQ(script.code, 0);
  write_file_atomic(folder / "akin.bash", std::string_view(script.out));
  make_folder(folder / "birds");
  CHECK_EQ(offered(folder, "akin dis"), "distill");
  CHECK_EQ(offered(folder, "akin data sh"), "show");
  CHECK_EQ(offered(folder, "akin distill --metho"), "--methods");
  CHECK_EQ(offered(folder, "akin distill --flip ''"), "none h v hv");
  CHECK_EQ(offered(folder, "akin distill --methods scratch,probe-c"), "scratch,probe-cv");
  CHECK_EQ(offered(folder, "akin distill --target bi"), "birds");
  CHECK_EQ(offered(folder, "akin distill --target birds --sou"), "--sources");
  CHECK_EQ(offered(folder, "akin fit bir"), "birds");
  CHECK_EQ(offered(folder, "akin completion ''"), "bash zsh fish");
  CHECK_EQ(offered(folder, "akin init birds --command r"), "rank");
  make_folder(folder / "two words");
  write_file_atomic(folder / "two words/a b.png", std::string_view("x"));
  CHECK_EQ(offered(folder, "akin fit two"), "two words");
  CHECK_EQ(offered(folder, "akin predict m 'two words/a'"), "two words/a b.png");
  CHECK_EQ(offered(folder, "akin distill --steps ''"), "");
  CHECK_FALSE(has(offered(folder, "akin ''"), "--stop-after"));
}

TEST_CASE("completion and manual: every command and option is there") {
  const CommandRow akin = table();
  CHECK(akin.commands.size() >= 15);
  const std::string scripts[] = {completion_script(akin, "bash"), completion_script(akin, "zsh"),
                                 completion_script(akin, "fish")};
  std::map<std::string, std::string> pages;
  for (const ManualPage& page : manual_pages(akin, "1.2.3")) pages[page.file] = page.text;
  int commands = 0, options = 0;
  each(akin, [&](const CommandRow& row) {
    ++commands;
    CAPTURE(row.path);
    for (const std::string& script : {scripts[0], scripts[1]}) CHECK(has(script, "'" + row.path + "') words="));
    std::string file = row.path + ".1";
    std::replace(file.begin(), file.end(), ' ', '-');
    REQUIRE(pages.contains(file));
    CHECK_FALSE(row.help.empty());
    for (const OptionRow& option : row.options) {
      ++options;
      const std::string name = option.names.front();
      CAPTURE(name);
      CHECK(has(scripts[0], name));
      CHECK(has(scripts[2], name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1)));
      std::string printed;
      for (const char c : name) printed += c == '-' ? std::string("\\-") : std::string(1, c);
      CHECK(has(pages[file], "\\fB" + printed + "\\fR"));
    }
  });
  CHECK_EQ(static_cast<std::size_t>(commands), pages.size());
  CHECK(options > 200);
}

TEST_CASE("completion and manual: the shells and groff that are installed take them without a word") {
  const TempFolder folder;
  for (const auto& [shell, check] : {std::pair{"bash", "bash -n"}, {"zsh", "zsh -n"}, {"fish", "fish -n"}}) {
    const Finished script = akin_(folder, {"completion", shell});
    CHECK_EQ(script.code, 0);
    write_file_atomic(folder / "script", std::string_view(script.out));
    if (!installed(shell)) {
      MESSAGE(shell, " is not installed: its script was not looked at");
      continue;
    }
    CHECK_EQ(std::system((std::string(check) + " '" + (folder / "script").string() + "'").c_str()), 0);
  }
  const fs::path man = folder / "man";
  CHECK_EQ(akin_(folder, {"manual", "--out", man.string()}).code, 0);
  CHECK(fs::exists(man / "akin-data-show.1"));
  if (!installed("groff")) {
    MESSAGE("groff is not installed: the manual pages were not looked at");
    return;
  }
  for (const std::string& page : names_in(man)) {
    CAPTURE(page);
    CHECK_EQ(std::system(("groff -man -ww -Tutf8 '" + (man / page).string() + "' > '" + (folder / "out").string() +
                          "' 2> '" + (folder / "warnings").string() + "'")
                             .c_str()),
             0);
    CHECK_EQ(read_text(folder / "warnings"), "");
  }
}
