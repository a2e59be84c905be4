#include "apps/command_line.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/config_file.hpp"
#include "apps/flags.hpp"
#include "apps/ranks.hpp"
#include "distill/task/settings_file.hpp"
#include "engine/mpi_ranks.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {

/// CLI11 reads configuration files at the top level only, so `akin train --config f` becomes `akin --config f train`.
std::vector<std::string> reordered(int argc, const char* const* argv) {
  std::vector<std::string> front, rest;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool separate = argument == "--config" && i + 1 < argc;
    if (separate || argument.starts_with("--config=")) {
      if ((separate ? std::string(argv[i + 1]) : argument.substr(9)).empty())
        fail_usage("--config: is empty; give a file, or leave it out");
      front.push_back(argument);
      if (separate) front.emplace_back(argv[++i]);
    } else {
      rest.push_back(argument);
    }
  }
  front.insert(front.end(), rest.begin(), rest.end());
  return {front.rbegin(), front.rend()};  // CLI11 takes them from the back
}

/// The file that --config names.
std::string config_file(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--config" && i + 1 < argc) return argv[i + 1];
    if (argument.starts_with("--config=")) return argument.substr(9);
  }
  return {};
}

/// "akin data show": the command that is being parsed.
std::string used(const CLI::App& app) {
  std::string name = app.get_name();
  const CLI::App* at = &app;
  for (auto next = at->get_subcommands(); !next.empty(); next = at->get_subcommands()) {
    at = next.front();
    name += " " + at->get_name();
  }
  return name;
}

/// The command that is being parsed, itself.
const CLI::App& innermost(const CLI::App& app) {
  const CLI::App* at = &app;
  for (auto next = at->get_subcommands(); !next.empty(); next = at->get_subcommands()) at = next.front();
  return *at;
}

/// What may stand in a file of settings of the command.
std::vector<std::string> settings_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    if (option->get_configurable() && !option->get_lnames().empty()) names.push_back(option->get_lnames().front());
  return names;
}

/// "there is no option '--source'; did you mean '--sources'?", or which argument was one too many.
std::string unexpected(const CLI::App& app, int argc, const char* const* argv, const std::string& otherwise) {
  const CLI::App& command = innermost(app);
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options([](const CLI::Option* o) { return !o->get_group().empty(); }))
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  for (int i = 1; i < argc; ++i) {
    const std::string name = std::string(argv[i]).substr(0, std::string_view(argv[i]).find('='));
    if (name == "--") break;
    const bool number = name.size() > 1 && (std::isdigit(static_cast<unsigned char>(name[1])) != 0 || name[1] == '.');
    if (name.size() > 1 && name[0] == '-' && !number && command.get_option_no_throw(name) == nullptr &&
        name != "--config") {
      return fmt::format("there is no option '{}'{}", name, did_you_mean(name, known));
    }
  }
  std::vector<std::string> commands;
  for (const CLI::App* below : command.get_subcommands([](const CLI::App*) { return true; }))
    commands.push_back(below->get_name());
  return otherwise + did_you_mean(otherwise.substr(otherwise.find_last_of(' ') + 1), commands);
}

/// Names the first word that is no command where one is due, or the first option of a program without a command.
void refuse_unknown_command(const CLI::App& app, int argc, const char* const* argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::vector<const CLI::App*> below = at->get_subcommands([](const CLI::App*) { return true; });
    if (below.empty() || at->get_require_subcommand_min() == 0) return;
    if (word == "--config") ++i;  // and its file
    if (word.starts_with("-")) {
      if (at == &app && app.get_option_no_throw(word) == nullptr && !word.starts_with("--config"))
        fail_usage("there is no option '{}'{} (see akin --help)", word, suggestion(word, {"--help", "--version"}));
      continue;
    }
    std::vector<std::string> names;
    for (const CLI::App* command : below) names.push_back(command->get_name());
    const auto named = std::find(names.begin(), names.end(), word);
    if (named == names.end())
      fail_usage("there is no command '{}'{} (see {} --help)", at == &app ? word : at->get_name() + " " + word,
                 suggestion(word, names), at == &app ? "akin" : "akin " + at->get_name());
    at = below[static_cast<std::size_t>(named - names.begin())];
  }
}

/// `--size "$SIZE"` without a SIZE is a slip, and not as if the option were not there. Where empty means something, the
/// option's help says what.
void refuse_empty_values(CLI::App& app) {
  for (CLI::Option* option : app.get_options([](CLI::Option*) { return true; })) {
    const bool takes_value = option->get_expected_min() > 0 && !option->get_group().empty();
    if (takes_value && option->get_description().find("empty") == std::string::npos)
      option->check(CLI::Validator(
          [](const std::string& text) { return text.empty() ? "is empty; give a value, or leave it out" : ""; }, ""));
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) refuse_empty_values(*command);
}

/// The OpenMP library takes what it can make of it: a slip would mean thousands of threads, or one for each processor.
void check_thread_environment() {
  const char* said = std::getenv("OMP_NUM_THREADS");
  if (said == nullptr) return;
  const std::string text = said;
  std::string first = text.substr(0, text.find(','));  // of nested regions, of which akin has none
  first.erase(0, first.find_first_not_of(' '));
  first.erase(first.find_last_not_of(' ') + 1);
  if (text.empty()) return;
  if (!whole_in(1, kMostThreads)(first).empty())
    fail_usage("OMP_NUM_THREADS is '{}': expected a whole number from 1 to {}; set it right, or unset it", text,
               kMostThreads);
}

/// Where other programs took a good part of the processors: one line, as it is the reason why the command was slow.
void warn_of_busy_processors() {
  const CrewTime time = crew_time();
  if (time.wanted < 10 || time.processor > 0.75 * time.wanted) return;
  warn(
      fmt::format("other programs kept this machine's processors busy: {} threads got the time of {:.1f}; beside them "
                  "--threads {} may be as fast",
                  time.helpers + 1, 1 + time.helpers * time.processor / time.wanted, std::max(time.helpers, 1)));
}

}  // namespace

int run_command_line(int argc, const char* const* argv, const std::function<void(CLI::App&)>& declared,
                     const Host& host) {
  const std::string settings = host.settings.empty() ? config_file(argc, argv) : host.settings;
  CLI::App app("Distils one small image classifier for a new task out of many models trained on other tasks.", "akin");
  app.set_version_flag("--version", version_line());
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  app.config_formatter(std::make_shared<ConfigFile>(app, settings));
  app.set_config("--config")->group("");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.footer(
      "Data goes to stdout, progress and warnings to stderr.\n"
      "Exit codes: 0 done, 1 failed or stopped (a stopped run goes on with --resume), 2 wrong usage.\n\n"
      "Example:\n  akin eval --model model.safetensors --data data/mnist\n"
      "Each command's --help ends with an example of its own.");
  add_fit(app, host.console);
  add_bank(app);
  add_data(app);
  add_train(app);
  add_import(app);
  add_features(app);
  add_rank(app);
  add_distill(app, host.console);
  add_experiment(app);
  add_eval(app);
  add_predict(app);
  add_label(app);
  add_export(app);
  add_report(app);
  add_watch(app);
  add_info(app);
  add_demo(app);
  add_init(app);
  add_completion(app);
  add_manual(app);
  refuse_empty_values(app);
  if (declared) declared(app);
  app.parse_complete_callback([&] {
    check_thread_environment();
    if (host.console == nullptr && innermost(app).get_option_no_throw("--ranks") == nullptr) refuse_ranks();
  });
  try {
    app.parse(reordered(argc, argv));
  } catch (const CLI::FileError& e) {
    const std::string file = e.get_name() == "FileError" ? settings : e.what();
    fail("--config: {}: cannot be read (check the path{})", file, nearest_file(file));
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // help and version
    refuse_unknown_command(app, argc, argv);
    const std::string command = used(app);
    // A mistyped option is the likelier reason for one that is missing.
    if (dynamic_cast<const CLI::ExtrasError*>(&e) != nullptr || dynamic_cast<const CLI::RequiredError*>(&e) != nullptr)
      fail_usage("{} (see {} --help)", unexpected(app, argc, argv, e.what()), command);
    if (dynamic_cast<const CLI::ConfigError*>(&e) != nullptr) {
      // "INI was not able to parse train.colour"
      const std::string_view what = e.what();
      // "profile: This option is not allowed in a configuration file"
      if (const std::size_t end = what.find(": This option is not allowed"); end != std::string_view::npos) {
        const std::string_view name = what.substr(0, end);
        fail_usage("--config: {}: '{}' cannot stand in a file; give it on the command line (see {} --help)", settings,
                   name.substr(name.find_last_of('.') + 1), command);
      }
      const std::string_view key = what.substr(what.find_last_of(' ') + 1);
      const std::string_view setting = key.substr(key.find('.') + 1);
      fail_usage("--config: {}: unknown or unusable setting '{}'{} (see {} --help)", settings, setting,
                 did_you_mean(setting, settings_of(innermost(app))), command);
    }
    if (dynamic_cast<const CLI::ExcludesError*>(&e) != nullptr)  // "--labels excludes --labels-per-class"
      fail_usage("{}: give one of the two (see {} --help)", e.what(), command);
    fail_usage("{} (see {} --help)", e.what(), command);
  }
  if (host.console == nullptr) warn_of_busy_processors();
  return 0;
}

Failure failure_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const UsageError& e) {
    return {e.what(), 2};
  } catch (const ToldElsewhere& e) {
    return {.text = e.what(), .told = true};
  } catch (const RankError& e) {
    return {.text = e.what(), .of_ranks = true};
  } catch (const Error& e) {
    return {e.what()};
  } catch (const std::bad_alloc&) {
    return {"out of memory; use smaller batches or a smaller network"};
  } catch (const std::filesystem::filesystem_error& e) {  // a loop of links, a folder that may not be looked into
    return {fmt::format("{}: {}", e.path1().string(), e.code().message())};
  } catch (const std::exception& e) {
    return {fmt::format("internal error: {}", e.what())};
  } catch (...) {
    return {"internal error: of an unknown kind"};
  }
}

}  // namespace akin
