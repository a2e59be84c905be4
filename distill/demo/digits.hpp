// The demo: a digit reader from twenty labelled images, taught by models that never saw a handwritten digit.
#pragma once

#include "distill/demo/bank.hpp"
#include "distill/pipeline.hpp"

namespace akin {

struct DemoOptions {
  std::filesystem::path data = "data";  ///< with mnist/, fashion/, cifar10/ where they are at hand
  std::vector<std::uint64_t> seeds = {0, 1};
  std::int64_t labels_per_class = 2;
  std::int64_t unlabelled = 10000;
  std::int64_t validation = 1000;  ///< images that draw the curves and choose the step called best
  BankOptions bank;                ///< folder, data and fonts are set by the demo
  Settings settings;               ///< of the students
  std::vector<Method> methods = {Method::scratch, Method::fixmatch, Method::equal, Method::nearest, Method::weighted};
  bool glyph_target = false;  ///< use the drawn target even where MNIST is at hand
};

/// The settings of the demo: ResNet-8 of width 16 as sources, width 8 as student.
DemoOptions demo_options();

/// Makes the bank, runs all methods and fills in title, task and notes of the report. Where MNIST is missing the target
/// is a set of characters, in fonts that no source has seen; the report says so. The bank lies in <run folder>/bank;
/// the target is looked at before it, and `place.opened` called then.
PipelineResult run_demo(Context& ctx, const DemoOptions& options, const PipelineOptions& place, const Events& events);

}  // namespace akin
