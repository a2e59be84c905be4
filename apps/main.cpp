// akin: dispatch and exit codes; the subcommands are in the files beside this one.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/config_file.hpp"

namespace akin {
namespace {

/// CLI11 reads configuration files at the top level only, so `akin train --config f` becomes `akin --config f train`.
std::vector<std::string> reordered(int argc, char** argv) {
  std::vector<std::string> front, rest;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool separate = argument == "--config" && i + 1 < argc;
    if (separate || argument.starts_with("--config=")) {
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
std::string config_file(int argc, char** argv) {
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

int run(int argc, char** argv) {
  CLI::App app("Distils one small image classifier for a new task out of many models trained on other tasks.", "akin");
  app.set_version_flag("--version", version_line());
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  app.config_formatter(std::make_shared<ConfigFile>(app, config_file(argc, argv)));
  app.set_config("--config")->group("");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.footer(
      "Data goes to stdout, progress and warnings to stderr.\n"
      "Exit codes: 0 done, 1 failed or stopped (a stopped run goes on with --resume), 2 wrong usage.\n\n"
      "Example:\n  akin eval --model model.safetensors --data data/mnist\n"
      "Each command's --help ends with an example of its own.");
  add_data(app);
  add_train(app);
  add_import(app);
  add_features(app);
  add_rank(app);
  add_distill(app);
  add_experiment(app);
  add_eval(app);
  add_export(app);
  add_report(app);
  add_info(app);
  add_demo(app);
  try {
    app.parse(reordered(argc, argv));
  } catch (const CLI::FileError& e) {
    fail("--config: {}: cannot be read (check the path)",
         e.get_name() == "FileError" ? config_file(argc, argv) : e.what());
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // help and version
    const auto named = [&](const CLI::App* command) { return argc > 1 && command->get_name() == argv[1]; };
    if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(named).empty())
      fail_usage("there is no command '{}' (see akin --help)", argv[1]);
    const std::string command = used(app);
    if (dynamic_cast<const CLI::ConfigError*>(&e) != nullptr) {
      // "INI was not able to parse train.colour"
      const std::string_view what = e.what();
      const std::string_view key = what.substr(what.find_last_of(' ') + 1);
      fail_usage("--config: {}: unknown or unusable setting '{}' (see {} --help)", config_file(argc, argv),
                 key.substr(key.find('.') + 1), command);
    }
    fail_usage("{} (see {} --help)", e.what(), command);
  }
  return 0;
}

int report(const char* kind, const char* what, int code) {
  std::fprintf(stderr, "akin: %s%s\n", kind, what);  // where stderr is gone too, nobody is left to be told
  return code;
}

/// A file opened later must not get the number of a standard stream that the caller closed: messages would go into it.
/// Reading finds an empty stdin, stdout refuses to be written, and stderr swallows what nobody hears.
void occupy_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF)
      if (::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd) return;
}

}  // namespace
}  // namespace akin

/// Idle threads of libgomp spin for milliseconds by default. On a machine where anything else runs, that costs far more
/// than it saves. libgomp reads its setting when the program is loaded, so akin starts itself once more with it.
void let_idle_threads_sleep(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error || setenv("GOMP_SPINCOUNT", "10000", 1) != 0) return;
  execv(self.c_str(), argv);  // by its own name, which ps and pkill show; returns only if it failed: go on as it is
}

int main(int argc, char** argv) {
  akin::occupy_standard_streams();
  let_idle_threads_sleep(argv);
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit shall fail the write, with a message, not end the program
  std::signal(SIGPIPE, SIG_IGN);  // nor shall a reader of stderr that is gone end a training run
  try {
    return akin::run(argc, argv);
  } catch (const akin::UsageError& e) {
    return akin::report("", e.what(), 2);
  } catch (const akin::Error& e) {
    return akin::report("", e.what(), 1);
  } catch (const std::bad_alloc&) {
    return akin::report("", "out of memory; use smaller batches or a smaller network", 1);
  } catch (const std::exception& e) {
    return akin::report("internal error: ", e.what(), 1);
  }
}
