// Settings of one command in a TOML file: what --config reads and a run writes as config.toml.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace akin {

/// Reads TOML for CLI11: top-level keys and the section of the command that is running; sections of other commands are
/// refused. UsageErrors name the file, and line and column of what is no TOML.
class ConfigFile : public CLI::ConfigTOML {
 public:
  /// `file`: for messages.
  ConfigFile(const CLI::App& app, std::string file) : app_(app), file_(std::move(file)) {}
  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override;

 private:
  const CLI::App& app_;
  std::string file_;
};

/// {"demo", "birds"}: the names of a command, from below the program.
std::vector<std::string> command_path(const CLI::App& app);

/// The effective settings of a parsed subcommand as TOML, under its name ("[demo.birds]"); `akin <command> --config`
/// reads the very same texts, whatever characters they hold: numbers and flags are written plain, all else in quotes.
std::string config_text(const CLI::App& app);

}  // namespace akin
