// Groups of options that several subcommands share, and what they become for the libraries.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "distill/pipeline.hpp"
#include "nn/classifier.hpp"

namespace akin {

/// "28x28" (height x width); UsageError naming the option.
ImageFormat parse_size(const std::string& text, const std::string& option = "--size");

/// How the images of a folder are brought to one form: --size, --channels.
struct FormatFlags {
  std::string size;
  int channels = 0;
  ImageFormat format() const;
};
void add_format(CLI::App& app, FormatFlags& flags);

/// Network of `role` ("Network", "Student"): --<name>, --<prefix>width, --<prefix>shortcut.
void add_architecture(CLI::App& app, Architecture& architecture, const std::string& name, const std::string& prefix);

/// --lr, --schedule, --warmup, --optimizer, --momentum, --nesterov, --weight-decay, --clip-norm, --checkpoint-every.
void add_training(CLI::App& app, TrainOptions& options);

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
  SplitOptions split;
  FormatFlags format;
  /// The label budget: --labels where it is given, else --labels-per-class.
  LabelManifest manifest() const;
};
/// `semi`: also the options of unlabelled and validation images.
void add_task(CLI::App& app, TaskFlags& flags, bool semi);

/// --p, --mapping, --probe, --reference, --replicates; the metric is each command's own.
void add_rank_options(CLI::App& app, RankOptions& options);

/// The student's network and loss: --student*, --steps, --batch, --lambda, --temperature, --teacher-view, --threshold,
/// --augment, --flip, --init, --eval-every, and add_training.
struct StudentFlags {
  StudentOptions options;
  std::string teacher_view = "clean", init;
  StudentOptions student() const;
};
void add_student(CLI::App& app, StudentFlags& flags);

/// Opens every source; UsageError where two have one name.
std::vector<Source> open_sources(Context& ctx, const std::vector<std::string>& files);

/// "parc, cka, ...": all metrics in their usual form, for --help.
std::string list_of_metrics();

}  // namespace akin
