// What all subcommands share: options every command has, progress and interruption, the record of a run.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "distill/events.hpp"
#include "distill/report/report.hpp"
#include "distill/student/settings.hpp"
#include "engine/build_info.hpp"
#include "engine/context.hpp"

namespace akin {

/// Who hears what a command says, in place of the terminal: a program that runs it as a library (api/).
struct Console {
  std::function<void(std::string_view)> out;  ///< what a terminal gets on stdout
  Events events;                              ///< what it gets on stderr; `stop` stands for its signals
};

struct CommonOptions {
  Settings settings;              ///< of which each command offers its own; those of the device all
  std::string ranks = "auto";     ///< auto, mpi or none (ranks.hpp)
  double rank_timeout = 300;      ///< seconds
  std::string exchange = "auto";  ///< of tensors between ranks on cards: auto, nccl or mpi
  int threads = 0;                ///< 0: OMP_NUM_THREADS or the processors at hand
  bool quiet = false;
  bool json = false;
  bool detect_anomaly = false;
  bool profile = false;
  std::string trace = {};            ///< file for a timeline; empty: none
  std::int64_t stop_after = 0;       ///< for tests: behave as if interrupted before this many further steps; 0 = never
  const Console* console = nullptr;  ///< of fit and distill; nullptr: the terminal
};

/// --detect-anomaly, of what trains.
void add_detect_anomaly(CLI::App& app, CommonOptions& options);
/// --tensorboard, of what trains.
void add_tensorboard(CLI::App& app, bool& wanted);
/// --json, --quiet.
void add_output(CLI::App& app, CommonOptions& options);
/// --device, --threads and add_output.
void add_common(CLI::App& app, CommonOptions& options);
/// --config FILE, in the help of a command that runs long. main() hands the option to CLI11.
void add_config(CLI::App& app);

/// Sets the threads and says on stderr where the work runs (unless quiet).
Context start(const CommonOptions& options);

/// A line on stderr, unless quiet.
void say(const CommonOptions& options, const std::string& line);
/// "FOLDER: report.html, results.csv" on stderr, unless quiet; on a terminal names and folder are links (OSC 8).
void say_files(const CommonOptions& options, const std::filesystem::path& folder,
               const std::vector<std::string>& names);
/// Makes the folder that a file is to lie in.
void make_parent(const std::filesystem::path& file);
/// Columns of the terminal that standard output is; 0 where it is none.
std::size_t stdout_columns();
/// "akin: warning: ..." on stderr, always.
void warn(const std::string& line);
void warn(const CommonOptions& options, const std::string& line);
/// What the loader of a data set tells of its folder: notes with say, warnings with warn.
void tell(const CommonOptions& options, const ImageSet& set);
/// How a folder is read for a model: as `asked`; where that says no size, files of several sizes are brought to the
/// model's own, as it says they should be.
ImageFormat format_for(const ImageFormat& asked, const ModelInfo& info);
/// A line on what becomes of the images before the model sees them; nothing where they are of its size.
void say_preparation(const CommonOptions& options, const Model& model, const std::string& file, const ImageSet& set);
/// Warns where `model` learnt from images of another size than those of `set`: it runs, but sees something unusual.
void warn_of_size(const Model& model, const std::string& file, const ImageSet& set);
/// "wren, robin, tit ... (20)": of many names the first ones.
std::string some_of(const std::vector<std::string>& names);
/// Warns where images of this shape [N, H, W, C] leave one pixel of the network's last feature map: its 3x3
/// convolutions then see nothing but padding beside it.
void warn_of_small_images(const CommonOptions& options, const Network& network, const Shape& images);
/// The text on stdout. Throws where stdout cannot take it (a full disk).
void print(std::string_view text);
void print(const CommonOptions& options, std::string_view text);
/// The same of lines for another program, which get the names of files byte by byte; only a terminal is spared control
/// characters.
void print_data(std::string_view text);

/// The first SIGINT, SIGTERM or SIGHUP from now on only asks to stop; the second one ends the program at once.
void catch_interrupts();
bool interrupted();

/// Progress bar or lines, stage lines and the stop flag, for run_pipeline and the training loops. --quiet leaves
/// warnings. An interruption while images are run through a network throws: there is nothing to save yet.
Events make_events(const CommonOptions& options);

/// "2026-01-31T12:05:07Z", now.
std::string iso_time();
/// "20260131-120507", now: name of a run without one.
std::string run_stamp();

/// config_text to config.toml in a run folder that this process holds (RunFolder), whole or not at all.
void save_config(const CLI::App& app, const std::filesystem::path& run_folder);
/// "akin train --data ...": the options that were given, quoted for a shell.
std::string command_of(const CLI::App& app);
/// Fills what a report says of the run itself: device, threads, commit, times, command and configuration.
void sign_report(ReportData& report, const CLI::App& app, const Context& ctx, const std::string& begun,
                 std::chrono::steady_clock::time_point clock);

}  // namespace akin
