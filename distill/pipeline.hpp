// The whole flow on one page:
//
//   Task          distill/task.hpp         labelled and unlabelled target images, drawn by the seed
//   Source        distill/source.hpp       trained models of other tasks, or tables of their outputs
//   FeatureBank   distill/source.hpp       features and logits of every source on the target images, cached on disk
//   Similarity    distill/similarity.hpp   how well each source's features fit the labels of the probe
//   Weights       distill/weights.hpp      similarity -> alpha
//   Loss          distill/student.hpp      lambda CE + (1 - lambda) sum_s alpha_s D_s
//   Student       distill/student.hpp      one small network per method and seed
//   Report        distill/report.hpp       tables and a page
//
// Each stage is a function without hidden state; what it found lies in the run folder:
//   runs/<name>/ similarity.csv weights.csv results.csv log.jsonl report.json report.html
//                student.safetensors  students/<method>-seed<k>.safetensors  after the last step
//                student_best.safetensors  students/<method>-seed<k>_best.safetensors  best on validation, if any
//                checkpoints/ (while a student is being trained)
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "distill/report.hpp"
#include "distill/similarity.hpp"
#include "distill/student.hpp"

namespace akin {

struct RankOptions {
  std::string metric = "parc";
  std::string mapping = "";              ///< empty: the metric's own
  double power = 12;                     ///< p of DistillWeighted
  std::int64_t probe_limit = 500;        ///< labelled images that similarity is measured on
  int replicates = 200;                  ///< bootstrap draws and label shuffles; 0 = none
  std::filesystem::path reference = {};  ///< a model trained on the target or its table, for rsa and dds
};

/// What each source says of the target and how similar its task is.
struct Ranking {
  std::vector<Outputs> outputs;     ///< a source each, for task.target
  std::vector<SimilarityRow> rows;  ///< in the order of the sources
  Mapping mapping;
};

struct PipelineOptions {
  RankOptions rank;
  std::vector<Method> methods = {Method::scratch, Method::fixmatch, Method::equal, Method::nearest, Method::weighted};
  std::vector<std::uint64_t> seeds = {0};
  StudentOptions student;  ///< its method, seed and checkpoint are set per run
  OutputOptions outputs;
  std::filesystem::path run_folder;
  bool resume = false;      ///< keep finished students of this folder and go on with stopped ones
  std::string fingerprint;  ///< of the configuration; students of another one are not kept
};

/// What the caller may want to hear; all optional.
struct PipelineEvents {
  std::function<void(const std::string& line)> stage = {};
  std::function<void(const std::string& label, std::int64_t done, std::int64_t total, const std::string& unit,
                     const std::string& note)>
      progress = {};
  std::function<bool()> stop = {};
};

/// Stage FeatureBank: features and logits of every source for task.target. `known`: those of the first sources.
std::vector<Outputs> bank_outputs(Context& ctx, const Task& task, std::vector<Source>& sources,
                                  const OutputOptions& outputs, const PipelineEvents& events = {},
                                  std::vector<Outputs> known = {});

/// The same for options.reference; nothing where it is empty.
std::optional<Outputs> reference_outputs(Context& ctx, const Task& task, const RankOptions& options,
                                         const OutputOptions& outputs);

/// Stages FeatureBank and Similarity for one task. Error, with the source's name, where the metric is undefined.
/// `known`: the outputs of an earlier ranking of the same sources for the same task, which are then not computed again.
Ranking rank_sources(Context& ctx, const Task& task, std::vector<Source>& sources, const RankOptions& options,
                     const OutputOptions& outputs, std::uint64_t seed, const PipelineEvents& events = {},
                     std::vector<Outputs> known = {});

/// alpha of each source for a method: equal (p = 0), nearest (p = infinity) or weighted (p = options.power).
Weights weights_for(Method method, const Ranking& ranking, const RankOptions& options);

/// For a run that goes on: Error where a finished student of `run_folder` was trained with other settings than those
/// of `fingerprint`; going on would replace it. `difference` says what differs. Damaged records are no obstacle.
void check_same_settings(const std::filesystem::path& run_folder, const std::string& fingerprint,
                         const std::string& difference);

struct PipelineResult {
  ReportData report;      ///< numbers of all seeds; title, command and notes are the caller's to add
  bool finished = false;  ///< false: stopped on request; resume goes on
};

/// Runs every method on every seed. `make_task(seed)` gives the target with that seed's labelled images. Throws before
/// any training where an input is unusable. Writes all of the run folder but config.toml and the report.
PipelineResult run_pipeline(Context& ctx, const std::function<Task(std::uint64_t seed)>& make_task,
                            std::vector<Source>& sources, const PipelineOptions& options,
                            const PipelineEvents& events = {});

}  // namespace akin
