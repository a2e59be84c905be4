// The second demo: twenty kinds of birds from a few pictures each, taught by deployed networks of one architecture that
// know birds, insects and everyday things. Nobody tells akin which of them to ask.
#pragma once

#include "distill/pipeline.hpp"

namespace akin {

struct BirdsDemoOptions {
  std::filesystem::path data = "data/cub20";       ///< CUB-200-2011's pictures of 20 species, see docs/data.md
  std::filesystem::path weights = "data/weights";  ///< the networks, each as .safetensors and .graph.json
  std::vector<std::uint64_t> seeds = {0};
  std::int64_t labels_per_class = 5;
  std::int64_t side = 96;  ///< the student's images; each source sees them at its own size
  Settings settings;       ///< of the students; their network and start are set by the demo
};

/// The settings of the demo: AdamW, and the student's network is the smallest ImageNet one of the folder.
BirdsDemoOptions birds_demo_options();

/// Error naming what is not at hand and where it comes from.
void check_birds_files(const BirdsDemoOptions& options);

/// Ranks the networks, trains the students and fills in title, task and notes of the report. Errors as
/// check_birds_files.
PipelineResult run_birds_demo(Context& ctx, const BirdsDemoOptions& options, const PipelineOptions& place,
                              const Events& events);

}  // namespace akin
