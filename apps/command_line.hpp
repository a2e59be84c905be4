// The whole command line of akin: all commands, the file of --config, and what is said where they cannot be read.
#pragma once

#include <exception>
#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace akin {

struct Console;  // apps/common.hpp

/// Another program that runs a command as a library.
struct Host {
  const Console* console = nullptr;  ///< of fit and distill, instead of the terminal
  std::string settings = {};         ///< what messages call the file of --config; empty: its own name
};

/// Reads the arguments and runs the command; the exit code. Throws UsageError on wrong usage, and what the command
/// throws. `declared` is given all commands before anything is read: a test may take what they run away from them.
int run_command_line(int argc, const char* const* argv, const std::function<void(CLI::App&)>& declared = {},
                     const Host& host = {});

/// What a program says of an exception that left a command, and the exit code that goes with it: 1, or 2 for wrong
/// usage.
struct Failure {
  std::string text;
  int code = 1;
  bool of_ranks = false;  ///< of another rank, which the text names
  bool told = false;      ///< another rank says it
};
Failure failure_of(const std::exception_ptr& error);

}  // namespace akin
