// The whole flow on one page:
//
//   Task          distill/task/task.hpp         labelled and unlabelled target images, drawn by the seed
//   Source        distill/task/source.hpp       trained models of other tasks, or tables of their outputs
//   FeatureBank   distill/task/source.hpp       features and logits of every source on the target images, cached on disk
//   Similarity    distill/similarity/metrics.hpp   how well each source's features fit the labels of the probe
//   Weights       distill/similarity/weights.hpp      similarity -> alpha
//   Plan          distill/student/plan.hpp a method (distill/student/method.hpp) and a seed: who teaches, where it starts
//   Loss          distill/student/loss.hpp lambda CE + (1 - lambda) sum_s alpha_s D_s
//   Student       distill/student/train.hpp      one small network per method and seed
//   Test          distill/student/evaluator.hpp     the one place that opens the test split
//   Report        distill/report/report.hpp       tables and a page
//
// Each stage is a function without hidden state; what it found lies in the run folder:
//   runs/<name>/ similarity.csv weights.csv results.csv log.jsonl report.json report.html
//                labels-seed<k>.json  the split of each seed (distill/task/labels.hpp); oracle.csv
//                student.safetensors  students/<method>-seed<k>.safetensors  after the last step
//                student_best.safetensors  students/<method>-seed<k>_best.safetensors  best on validation, if any
//                checkpoints/ (while a student is being trained)
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "distill/report/report.hpp"
#include "distill/similarity/ranking.hpp"
#include "distill/student/train.hpp"

namespace akin {

struct PipelineOptions {
  RankOptions rank;
  std::vector<Method> methods = {Method::scratch, Method::fixmatch, Method::equal, Method::nearest, Method::weighted};
  std::vector<std::uint64_t> seeds = {0};
  StudentOptions student;  ///< its method, seed and checkpoint are set per run
  OutputOptions outputs;
  std::string transfer;  ///< see PlanOptions
  std::filesystem::path run_folder;
  bool resume = false;      ///< keep finished students of this folder and go on with stopped ones
  std::string fingerprint;  ///< of the configuration; students of another one are not kept
};

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
                            const std::vector<Source>& sources, const PipelineOptions& options,
                            const Events& events = {});

}  // namespace akin
