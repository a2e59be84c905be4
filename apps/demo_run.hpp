// What the demos share: a pipeline on known data, its report, and what is printed of it.
#pragma once

#include <functional>
#include <string>

#include "apps/common.hpp"
#include "distill/pipeline.hpp"

namespace akin {

struct DemoRunOptions {
  CommonOptions common;
  std::string data, out, seeds;
  bool resume = false, tensorboard = false;
};

/// --steps, --p, --lambda, --out, --seeds, --resume and those of all commands.
void add_demo_run(CLI::App& app, DemoRunOptions& options, Settings& students);

/// Runs a demo from its flags; `run` is called when the run folder is locked. `inputs`: what the demo reads.
void run_demo_command(const CLI::App& app, const DemoRunOptions& options, const GridInputs& inputs,
                      const std::function<PipelineResult(Context&, const PipelineOptions&, const Events&)>& run);

}  // namespace akin
