// What `akin distill` and `akin fit` share: one run of a target and a bank, its folder, its report, what is printed.
#pragma once

#include "apps/common.hpp"
#include "apps/run_folder.hpp"
#include "distill/pipeline.hpp"

namespace akin {

struct DistillRun {
  RunKind kind = RunKind::distill;
  GridTarget target;
  LabelManifest labels;
  std::string budget;  ///< "2 labels a class"
  std::vector<std::string> sources;
  std::vector<Method> methods;
  std::vector<std::uint64_t> seeds;
  std::string out, cache, title;
  std::vector<std::filesystem::path> files = {};  ///< that are read besides
  bool resume = false, force = false, tensorboard = false;
};

/// "scratch,fixmatch": UsageError on a name that is none, or there twice.
std::vector<Method> parse_methods(const std::string& text);

/// Checks, runs, writes the report and prints it. `begun` and `clock`: when the command began.
void run_distillation(const CLI::App& app, const CommonOptions& common, const DistillRun& run, Context& ctx,
                      const std::string& begun, std::chrono::steady_clock::time_point clock);

/// --out, --cache, --title, --tensorboard, --resume, --force.
void add_run_place(CLI::App& app, DistillRun& run);

}  // namespace akin
