// --profile and --trace: where a command's time goes.
#pragma once

#include <memory>

#include "apps/common.hpp"
#include "engine/profile.hpp"

namespace akin {

/// --profile, --trace FILE.
void add_profiling(CLI::App& app, CommonOptions& options);

/// While alive, what runs on `ctx` is measured, if the options ask for it; of several ranks by the first alone. At its
/// end, however the command ends, the tables go to stderr and the timeline to its file. Throws before anything runs
/// where that cannot be written.
class Profiling {
 public:
  Profiling(const CommonOptions& options, Context& ctx, bool first_rank = true);
  ~Profiling();
  Profiling(const Profiling&) = delete;
  Profiling& operator=(const Profiling&) = delete;

 private:
  const CommonOptions& options_;
  Context& ctx_;
  std::unique_ptr<Profiler> profiler_;
};

}  // namespace akin
