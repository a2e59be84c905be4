// The report of a run: plain numbers in, one self-contained HTML page out. Knows nothing of tensors or models.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "distill/report/figures.hpp"

namespace akin {

/// One model of the bank and how near its task is to the target.
struct SourceResult {
  std::string name;
  int classes = 0;
  double test_accuracy = not_measured;                                   ///< on its own task, in [0, 1]
  double similarity = not_measured;                                      ///< raw value of the metric
  double similarity_low = not_measured, similarity_high = not_measured;  ///< bootstrap interval
  double chance = not_measured;                                          ///< the metric with permuted labels
  double mapped = not_measured;                                          ///< m_s >= 0, after the mapping
  double alpha = not_measured;                                           ///< final weight; all weights sum to 1
};

struct Prediction {
  std::string method;
  int label = -1;
  double probability = not_measured;
};

/// A test image with what some methods say of it.
struct SampleImage {
  std::int64_t index = 0;  ///< position in the test split
  int height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels;  ///< [H,W,C], C = 1 or 3
  int label = -1;
  std::vector<Prediction> predictions;
  std::string name = {};  ///< of its file, from the data set's folder; empty where nothing tells it
};

/// counts[t * classes + p]: test images of class t that were called p.
struct Confusion {
  std::string method;
  std::uint64_t seed = 0;
  int classes = 0;
  std::vector<std::int64_t> counts;
};

/// Test images by a model's features: their two strongest principal components. One entry an image.
struct FeatureMap {
  std::string method;
  std::uint64_t seed = 0;
  std::vector<double> x, y;
  std::vector<int> labels, predictions;
  double share_x = not_measured, share_y = not_measured;  ///< of the features' variance
};

/// How alike two sources see the target's images: debiased linear CKA of their features, in the order of
/// ReportData::sources, row by row; 1 on the diagonal, NaN where it is undefined.
struct SourceLikeness {
  std::int64_t images = 0;  ///< that were looked at
  std::vector<double> cka;
};

/// How the student and the method trained on labels only agree on the test images; negative = not counted.
struct Agreement {
  std::int64_t both = -1, student_only = -1, baseline_only = -1, neither = -1;
};

/// Networks that the figures are of: SHA-256 of their files, of the last step and best on validation; "" for none.
struct StudentFile {
  std::string method;
  std::uint64_t seed = 0;
  std::string last, best;
};

struct ReportData {
  std::string title;
  std::vector<std::pair<std::string, std::string>> task;  ///< lines "what: value" that describe the target
  std::vector<std::string> classes;                       ///< names of the target's classes
  std::int64_t labelled = -1;                             ///< labelled target images; -1: not told
  std::int64_t unlabelled = -1;
  std::int64_t validation_images = -1, test_images = -1;  ///< of the first seed; -1: not told
  std::string device, commit, time;                       ///< time: when the run began, ISO 8601
  int threads = 0;
  std::vector<std::uint64_t> seeds;
  double seconds = not_measured;  ///< wall time of the whole run

  std::string metric = "PARC";
  double metric_scale = 100;  ///< the metric is shown times this
  std::vector<SourceResult> sources;
  /// Shown beside them, in plain sentences: why this metric, and whether the draws agree on the nearest source.
  std::vector<std::string> ranking_notes;

  std::vector<MethodResult> methods;  ///< in the order of the table
  /// The method the run was made for; empty: the taught method with the best validation accuracy.
  std::string student;
  std::string delivered;  ///< the method whose model is the run's student.safetensors; empty: not told
  std::vector<Curve> curves;
  std::vector<StudentFile> files;
  std::vector<SampleImage> samples;
  Agreement agreement;
  std::vector<Confusion> confusions;  ///< the student's first
  std::vector<SampleImage> errors;    ///< what the delivered model calls wrong and is surest of, surest first
  FeatureMap map;                     ///< of the delivered model; without images: none
  SourceLikeness likeness;            ///< of the first seed

  std::vector<std::string> notes;                             ///< plain sentences
  std::string command;                                        ///< reproduces the run
  std::string config;                                         ///< effective configuration, TOML
  std::vector<std::pair<std::string, std::string>> glossary;  ///< empty: the built-in one
  /// The run's other tables, by the name of their file (kept_tables), as they were written. Empty: of an earlier akin,
  /// which did not keep them.
  std::map<std::string, std::string> tables;
};

/// Which tables of a run are kept in its report: similarity.csv, weights.csv, oracle.csv, errors.csv, log.jsonl.
std::span<const char* const> kept_tables();

/// Methods the page is about; null where the run has none.
struct Contest {
  const MethodResult* student = nullptr;    ///< taught by sources
  const MethodResult* scratch = nullptr;    ///< trained on the labels only
  const MethodResult* strongest = nullptr;  ///< best mean test accuracy among methods without teachers
  bool student_chosen_on_test = false;      ///< no validation accuracy to choose by
};
Contest contest_of(const ReportData& data);

/// What the numbers say, in sentences: `title` is the page's headline, `lines` follow it.
struct Headline {
  std::string title;
  std::vector<std::string> lines;
};
Headline headline_of(const ReportData& data);

/// Indices of test images worth showing, at most `per_group` of each kind, spread over the classes:
/// student right and baseline wrong, the reverse, both wrong. The three spans have one entry per image.
std::vector<std::int64_t> pick_samples(std::span<const int> labels, std::span<const int> student,
                                       std::span<const int> baseline, int per_group);
Agreement agreement_of(std::span<const int> labels, std::span<const int> student, std::span<const int> baseline);
/// Indices of the wrong predictions with the highest confidence, highest first, at most `limit`.
std::vector<std::int64_t> surest_errors(std::span<const int> labels, std::span<const int> predictions,
                                        std::span<const double> confidence, std::size_t limit);
/// counts of a Confusion. Throws on a label or prediction outside [0, classes).
std::vector<std::int64_t> confusion_counts(std::span<const int> labels, std::span<const int> predictions, int classes);

/// The whole page. Every string is escaped; nothing is loaded from outside.
std::string render_report(const ReportData& data);

/// The figures alone, for --json: title, metric, sources and methods with mean, std and every seed; null = not
/// measured. `folder`: of the run, where it shall be named.
std::string results_json(const ReportData& data, const std::string& folder = "");
/// One JSON object that holds everything, images as base64 PNG; from_json checks sizes and throws Error naming `where`.
std::string report_to_json(const ReportData& data);
ReportData report_from_json(const std::string& text, const std::string& where);

/// Writes run_dir/report.json and run_dir/report.html, each whole or not at all.
void write_report(const ReportData& data, const std::filesystem::path& run_dir);
/// Reads run_dir/report.json. Throws Error where it is missing, broken or of another version.
ReportData load_run(const std::filesystem::path& run_dir);

}  // namespace akin
