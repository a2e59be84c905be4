// THE list of settings: what a student depends on besides its data, and how it is run. Every setting is a member of
// Settings and a row of the table in settings.cpp. The command line, experiment files, the record of a student, what
// makes a record stale, the recipe of a bank and the tables in docs/cli.md are all made from that table.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "distill/similarity/ranking.hpp"
#include "distill/student/method.hpp"
#include "distill/task/settings_file.hpp"
#include "nn/classifier.hpp"

namespace akin {

struct Settings {
  // The student's network.
  std::string student = "resnet8";  ///< a row of nn/zoo/zoo.cpp, or "init": that of the model `init`
  std::int64_t student_width = 0;
  std::string student_shortcut, student_stem;
  std::string init;  ///< a model file: Start::fresh begins with its extractor instead of random weights
  bool unfold = true;
  // Training.
  std::int64_t steps = 1000, batch = 64, unlabelled_batch = 64, eval_every = 0;
  bool augment = true;
  std::string flip = "none";
  std::int64_t shift = kShiftBySide;
  double lr = 0.1;
  std::string schedule = "cosine";
  std::int64_t warmup = 0;
  std::string optimizer = "sgd";
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 5e-4, clip_norm = 0;
  /// Of students that begin with trained weights, where they say so: above 0, not empty, from 0.
  double pretrained_lr = 0;
  std::string pretrained_optimizer;
  double pretrained_weight_decay = -1;
  double head_lr = 1;
  bool graph = true;
  bool sync_batchnorm = false;
  std::int64_t slices = 1;  ///< of a step; on several ranks count_slices() makes it at least one each
  std::int64_t compare_every = 100;
  std::int64_t checkpoint_every = 500;
  std::int64_t epochs = 8, seed = 0;  ///< of a source; a student has steps, and a plan with its seed
  // Distillation.
  double lambda = 0.2, temperature = 1;
  std::string teacher_view = "clean";
  double threshold = 0.95, probe_l2 = 0;
  std::string transfer;
  bool match_channels = false;
  // Similarity.
  std::string metric = "parc", mapping;
  double p = 12;
  std::int64_t probe = 500;
  std::string reference;
  std::int64_t replicates = 200;
  // Where it runs.
  std::string device = "auto", precision = "f32", gemm = "own", conv = "own";
  std::shared_ptr<FileDigests>
      files;  ///< of the run that these are for; nullptr: what changes meanwhile is not noticed

  bool operator==(const Settings&) const = default;
};

/// What values a setting may have.
struct Range {
  double low = -1e300, high = 1e300;                     ///< of numbers
  bool above = false;                                    ///< `low` itself is out
  bool below = false;                                    ///< `high` itself is out
  bool infinite = false;                                 ///< inf is allowed
  std::vector<std::string> choices = {};                 ///< of texts; empty: any
  std::string (*problem)(const std::string&) = nullptr;  ///< why a text is no value, or ""
  bool file = false;                                     ///< a path: relative ones in a file start at its root
};

struct Setting {
  using Field = std::variant<bool Settings::*, std::int64_t Settings::*, double Settings::*, std::string Settings::*>;
  /// Whose students depend on it.
  using Matters = bool (*)(const MethodTraits&, const Settings&);

  const char* name;    ///< in files and records; as an option it has - for _. nullptr: a student has no such setting
  const char* source;  ///< the same for what trains a source (akin train); nullptr: it has no such setting
  const char* group;   ///< heading in --help and docs/cli.md
  const char* help;
  Field field;
  Range range;
  Matters matters;         ///< nullptr: it changes no result of anybody
  bool whole_run = false;  ///< one for all cells of a grid
  bool later = false;      ///< a record without it is older than the setting, and was made with its default
};

/// All of them, in the order of --help.
std::span<const Setting> setting_list();

/// "--teacher-view": of a name in the table.
std::string option_of(std::string_view name);
/// Why `text` is no value of the setting, or "".
std::string problem_of(const Setting& setting, const std::string& text);
/// The value as people write it: "0.1", "true", "adamw".
std::string text_of(const Setting& setting, const Settings& settings);
/// "a number above 0", "sgd or adamw": what it may be.
std::string range_text(const Setting& setting);

/// UsageError, naming the option and what is allowed, where a value is out of its range or two do not go together.
/// `student`: or else what trains a source.
void check(const Settings& settings, bool student = true);

/// The same of the number of slices alone, which is known later: with the number of ranks.
void check_slices(const Settings& settings, bool student = true);

/// Sets what the table names; unknown keys are left to table.done(). Paths start at `root`. UsageErrors name the file
/// and the key. `whole_run`: whether the settings of a whole run may stand there.
void read_settings(const SettingsTable& table, const std::filesystem::path& root, bool whole_run, Settings& settings);

/// The values of a group, such as where it runs.
void copy_settings(const Settings& from, std::string_view group, Settings& to);

/// What a student of the method depends on, by name; of a file its digest, or nothing where `files` is false.
Json settings_of_student(const Settings& settings, const MethodTraits& method, bool files = true);
/// What a source depends on.
Json settings_of_source(const Settings& settings);
/// "lr was 0.1 and is 0.05, images: other content, ..."; empty where they are equal. Tables within tables count by
/// their path.
std::string settings_changes(const Json& before, const Json& now);

/// The table of docs/cli.md, in Markdown: option, key, default, allowed values, meaning.
std::string settings_markdown();

/// The parts of the settings as the lower floors take them.
Flip flip_of(const Settings& settings);
Schedule schedule_of(const Settings& settings);
OptimizerOptions optimizer_of(const Settings& settings);
RankOptions rank_options_of(const Settings& settings);
/// Of a network by name, its channels and classes left open; not for student = "init".
Architecture architecture_of(const Settings& settings);
ClassifierOptions classifier_of(const Settings& settings);
/// The defaults of `akin train`.
Settings source_settings();

/// Whether a student of the method begins with trained weights: of a source, or of the model `init`.
bool begins_trained(const MethodTraits& method, const Settings& settings);
/// The settings with the recipe of a student of the method: lr, optimizer and weight_decay for where it begins.
Settings with_recipe(Settings settings, const MethodTraits& method);

/// Whether a student of the method depends on similarities.
bool needs_similarity(const MethodTraits& method, const Settings& settings);

}  // namespace akin
