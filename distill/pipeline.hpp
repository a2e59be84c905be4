// The whole flow on one page:
//
//   Task          task/task.hpp              labelled and unlabelled target images, drawn by the seed
//   Source        task/source.hpp            trained models of other tasks, or tables of their outputs
//   FeatureBank   task/outputs.hpp           features and logits of every source on the target images, cached on disk
//   Similarity    similarity/metrics.hpp     how well each source's features fit the labels of the probe
//   Weights       similarity/weights.hpp     similarity -> alpha
//   Settings      student/settings.hpp       THE list of what a student depends on besides its data
//   Plan          student/plan.hpp           a method (student/method.hpp) and a seed: who teaches, where it starts
//   Loss          student/loss.hpp           lambda CE + (1 - lambda) sum_s alpha_s D_s
//   Student       student/train.hpp          one small network per method and seed
//   Test          student/evaluator.hpp      the one place that opens the test split
//   Record        grid/cell.hpp              settings, figures and curve of a student; what changed since it was made
//   Grid          grid/grid.hpp, runner.hpp  targets x budgets x seeds x methods: runs what has no record yet
//   Report        report/report.hpp          tables and a page
//
// Each stage is a function without hidden state. `akin experiment` runs a grid; a run of `akin distill` is the grid of
// one target and one label budget, whose folder is flat and has a report:
//   runs/<name>/ similarity.csv weights.csv results.csv log.jsonl report.json report.html
//                labels-seed<k>.json  the split of each seed (task/labels.hpp); oracle.csv
//                student.safetensors  students/<method>-seed<k>.safetensors  after the last step
//                student_best.safetensors  students/<method>-seed<k>_best.safetensors  best on validation, if any
//                students/<method>-seed<k>.json  its record
//                tensorboard/<method>-seed<k>/  event files, if asked for
//                checkpoints/ (while a student is being trained)
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "distill/grid/runner.hpp"
#include "distill/report/report.hpp"

namespace akin {

struct PipelineOptions {
  std::filesystem::path run_folder;
  std::filesystem::path cache = {};  ///< of the sources' outputs; empty: none
  bool resume = false;               ///< keep finished students of this folder and go on with stopped ones
  std::string made_by = {};          ///< version, for the records
  bool tensorboard = false;          ///< every student's curves as event files, too, below tensorboard/
  /// All was opened and checked, and nothing is written yet; optional.
  std::function<void(const Task& first)> opened = {};
  /// All students are planned, and the first of those that are missing is next: the time to forget what an earlier run
  /// left. `written`: names of the files that tell of this one; optional.
  std::function<void(const std::vector<std::string>& written)> begins = {};
};

struct PipelineResult {
  ReportData report;      ///< numbers of all seeds; title, command and notes are the caller's to add
  bool finished = false;  ///< false: stopped on request; resume goes on
};

/// The grid of one target and one budget, with a variant for each method. Sources are named as their files are;
/// UsageError where two are called alike. Where no method uses sources there are none.
Grid single_grid(GridTarget target, LabelManifest labels, const std::vector<std::string>& source_files,
                 const std::vector<Method>& methods, std::vector<std::uint64_t> seeds, Settings settings);

/// With several ranks in the Context all of them call it and share the work on each student; the first alone writes,
/// and has the result's report. Runs every method on every seed of a single_grid. Throws before any training where an
/// input is unusable. Writes all of the run folder but config.toml and the report.
PipelineResult run_pipeline(Context& ctx, const Grid& grid, const PipelineOptions& options, const Events& events = {});

}  // namespace akin
