// Groups of options that several subcommands share, and what they become for the libraries.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "distill/student/settings.hpp"

namespace akin {

/// Whole numbers in low..high, checked on the text: what does not fit is refused, never cut or rounded to fit. For
/// Option::transform: the option gets the number in plain digits, for CLI11 itself takes 010 for 8. Without a name of
/// its own, which would crowd the help.
CLI::Validator whole_in(std::int64_t low, std::int64_t high);
/// Finite numbers in low..high, likewise.
CLI::Validator number_in(double low, double high);
inline constexpr std::int64_t kMostImages = 1'000'000'000;  ///< of any list of images

/// One of these words; the error names the nearest.
CLI::Validator one_of(std::vector<std::string> words);
/// "28x28" (height x width); UsageError naming the option.
ImageFormat parse_size(const std::string& text, const std::string& option = "--size");

/// How the images of a folder are brought to one form: --size, --channels.
struct FormatFlags {
  std::string size;
  int channels = 0;
  ImageFormat format() const;
};
void add_format(CLI::App& app, FormatFlags& flags);

/// The option of one setting (a row of distill/student/settings.cpp) by its name; its values are checked as the table
/// says. `source`: as what trains a source calls it.
CLI::Option* add_setting(CLI::App& app, Settings& settings, std::string_view name, bool source = false);
/// Those of a group, in the order of the table, but for the ones named.
void add_settings(CLI::App& app, Settings& settings, std::string_view group, bool source = false,
                  const std::vector<std::string_view>& without = {});

/// What a model file of another program does not say: --arch, --width, --shortcut, --stem, --norm-eps, --mean, --std.
struct ForeignFlags {
  Architecture architecture{.name = ""};
  std::string mean, std;
  /// Empty where no --arch was given: the file must describe itself. UsageError on the other options without --arch.
  std::optional<ModelInfo> info() const;
};
void add_foreign(CLI::App& app, ForeignFlags& flags);

/// The target: --target, --labels-per-class, --labels, --unlabelled, --validation, and add_format.
struct TaskFlags {
  std::string target, labels;
  std::string labels_per_class = "all";  ///< or a number
  std::string validation = "0";          ///< a number in all, or a share of each class: 0.2
  SplitOptions split;                    ///< what those two do not say
  FormatFlags format;
  /// The label budget: of --labels or --labels-per-class, which exclude each other.
  LabelManifest manifest() const;

 private:
  mutable std::optional<LabelManifest> read_;  // the file once: it may be a pipe
};
/// `semi`: also the options of unlabelled and validation images.
void add_task(CLI::App& app, TaskFlags& flags, bool semi);

/// What a student is: a network by name; or the network and the weights of a source, by its name or file, which
/// settings.init then names.
void choose_student(const std::string& said, const std::vector<std::string>& files, Settings& settings);

/// Opens every source; UsageError where two have one name.
std::vector<Source> open_sources(Context& ctx, const std::vector<std::string>& files);

/// "parc, cka, ...": all metrics in their usual form, for --help.
std::string list_of_metrics();

}  // namespace akin
