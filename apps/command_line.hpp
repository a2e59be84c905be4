// The whole command line of akin: all commands, the file of --config, and what is said where they cannot be read.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace akin {

/// Reads the arguments and runs the command; the exit code. Throws UsageError on wrong usage, and what the command
/// throws. `declared` is given all commands before anything is read: a test may take what they run away from them.
int run_command_line(int argc, const char* const* argv, const std::function<void(CLI::App&)>& declared = {});

}  // namespace akin
