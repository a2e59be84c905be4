// Settings that a command writes and reads again (apps/config_file.hpp): the very same texts, under its own name.
#include "apps/config_file.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <tuple>

#include "engine/io/text.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// A program with one command, "try", below which is another, "again"; both take an option of each kind.
struct Program {
  struct Values {
    std::string text, named;
    std::vector<std::string> list;
    std::int64_t whole = 3;
    double number = 0.5;
    bool flag = false;
  };
  CLI::App app{"", "akin"};
  CLI::App *outer = nullptr, *inner = nullptr;
  Values of_outer, of_inner;

  Program() {
    app.option_defaults()->always_capture_default();
    outer = declare(app, "try", of_outer);
    inner = declare(*outer, "again", of_inner);
    outer->require_subcommand(0, 1);
  }
  static CLI::App* declare(CLI::App& parent, const char* name, Values& v) {
    CLI::App* command = parent.add_subcommand(name);
    command->add_option("--text", v.text);
    command->add_option("--named", v.named)->type_name("N,...");
    command->add_option("--list", v.list)->default_str("");
    command->add_option("--whole", v.whole);
    command->add_option("--number", v.number);
    command->add_flag("--flag,!--no-flag", v.flag)->default_str("false");
    return command;
  }
  void parse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
  }
};

/// The texts of an option after `arguments`, and after what config_text says of them is read; they must be equal.
std::vector<std::string> round_trip(const std::vector<std::string>& command, const std::vector<std::string>& options,
                                    const std::string& option) {
  Program first, second;
  std::vector<std::string> arguments = command;
  arguments.insert(arguments.end(), options.begin(), options.end());
  first.parse(arguments);
  const CLI::App& used = command.size() > 1 ? *first.inner : *first.outer;
  const std::string saved = config_text(used);
  CAPTURE(saved);
  const TempFolder folder;
  { std::ofstream(folder / "config.toml") << saved; }
  second.app.config_formatter(std::make_shared<ConfigFile>(second.app, "config.toml"));
  second.app.set_config("--config");
  second.app.allow_config_extras(CLI::config_extras_mode::error);
  arguments = {"--config", (folder / "config.toml").string()};
  arguments.insert(arguments.end(), command.begin(), command.end());
  second.parse(arguments);
  const CLI::App& again = command.size() > 1 ? *second.inner : *second.outer;
  CHECK_EQ(config_text(again), saved);
  CHECK_EQ(again.get_option(option)->results(), used.get_option(option)->results());
  return again.get_option(option)->results();
}

/// What the file `text` gives for an option of `command`.
std::string read(const std::vector<std::string>& command, const std::string& text, const std::string& option) {
  Program p;
  p.parse(command);
  std::istringstream in(text);
  for (const CLI::ConfigItem& item : ConfigFile(p.app, "f.toml").from_config(in))
    if (item.name == option) return item.inputs.front();
  return "(not there)";
}

}  // namespace

TEST_CASE("config.toml: a text comes back as it was, also one that looks like a number") {
  for (const std::string text : {"1.10",
                                 "1.50",
                                 "1e3",
                                 "007",
                                 "20240101123000123456",
                                 "9223372036854775808",
                                 "0x10",
                                 "1_000",
                                 "true",
                                 "inf",
                                 "nan",
                                 "-0",
                                 "+5",
                                 ".5",
                                 "5.",
                                 "2024-01-01",
                                 "12:30:00",
                                 "a # b",
                                 "'",
                                 "\"",
                                 "\\",
                                 "a\nb",
                                 " x ",

                                 "{}"}) {
    CAPTURE(text);
    CHECK_EQ(round_trip({"try"}, {"--text=" + text}, "--text"), std::vector<std::string>{text});
    CHECK_EQ(round_trip({"try"}, {"--named=" + text}, "--named"), std::vector<std::string>{text});
    CHECK_EQ(round_trip({"try"}, {"--list", "a", text, "b"}, "--list"), std::vector<std::string>{"a", text, "b"});
  }
  Program p;
  p.parse({"try", "--text=7", "--named=0", "--whole=12", "--number=0.25", "--flag"});
  CHECK_EQ(config_text(*p.outer).substr(config_text(*p.outer).find('\n') + 1),
           "[try]\ntext=\"7\"\nnamed=\"0\"\nwhole=12\nnumber=0.25\nflag=true\n");
}

TEST_CASE("config.toml: a number comes back as it was written") {
  for (const std::string text : {"0.1", "0.10", "1e3", "1e-3", "5", "-0", "99999999999999999999", "1e300", "inf",
                                 "0.0005", "123456789012345678"}) {
    CAPTURE(text);
    CHECK_EQ(round_trip({"try"}, {"--number=" + text}, "--number"), std::vector<std::string>{text});
  }
  for (const std::string text : {"0", "-5", "9223372036854775807", "-9223372036854775808"})
    CHECK_EQ(round_trip({"try"}, {"--whole=" + text}, "--whole"), std::vector<std::string>{text});
}

TEST_CASE("config.toml: a number where a text is expected is refused, for TOML does not say how it was written") {
  const std::string error = error_of([] { read({"try"}, "text = 1.10\n", "text"); });
  CHECK_MESSAGE(has(error, "f.toml: text: a text is expected, found the number 1.1; put it in quotes"), error);
  CHECK(has(error_of([] { read({"try"}, "list = [\"a\", 1.10]\n", "list"); }), "list: a text is expected"));
  CHECK_EQ(read({"try"}, "named = 0\n", "named"), "0");  // seeds = 0
  CHECK_EQ(read({"try"}, "number = 1.10\n", "number"), "1.1");
}

TEST_CASE("config.toml: a command below another one has the section of both") {
  CHECK_EQ(round_trip({"try", "again"}, {"--whole", "7"}, "--whole"), std::vector<std::string>{"7"});
  Program p;
  p.parse({"try", "again"});
  CHECK(has(config_text(*p.inner), "\n[try.again]\n"));
  CHECK_EQ(command_path(*p.inner), std::vector<std::string>{"try", "again"});
  CHECK_EQ(read({"try", "again"}, "whole = 4\n", "whole"), "4");
  CHECK_EQ(read({"try", "again"}, "[try.again]\nwhole = 5\n", "whole"), "5");
  CHECK_EQ(read({"try", "again"}, "[try]\nagain = {whole = 6}\n", "whole"), "6");
  for (const auto& [command, text, expected] :
       std::vector<std::tuple<std::vector<std::string>, std::string, std::string>>{
           {{"try", "again"}, "[again]\nwhole = 5\n", "holds [again], the settings of another command than try again"},
           {{"try", "again"}, "[try]\nwhole = 5\n", "[try] holds whole, a setting of another command than try again"},
           {{"try"}, "[try.again]\nwhole = 5\n", "holds [try.again], the settings of another command than try"},
           {{"try", "again"}, "[try.again.more]\nwhole = 5\n", "a table [try.again.more] stands where a value"}}) {
    const std::string error = error_of([&] { read(command, text, "whole"); });
    CHECK_MESSAGE(has(error, expected), error);
  }
}
