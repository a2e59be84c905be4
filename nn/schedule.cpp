#include "nn/schedule.hpp"

#include <cmath>
#include <numbers>

#include "kernels/common/error.hpp"

namespace akin {

void Schedule::check() const {
  if (kind != "cosine" && kind != "step" && kind != "constant")
    fail_usage("schedule '{}': use cosine, step or constant", kind);
  if (!(base > 0) || !std::isfinite(base)) fail_usage("learning rate {}: must be positive", base);
  if (steps < 1) fail_usage("steps {}: at least 1", steps);
  if (warmup < 0 || warmup >= steps)
    fail_usage("warm-up of {} steps in a run of {}: must be shorter than the run", warmup, steps);
}

double Schedule::at(std::int64_t t) const {
  if (t < warmup) return base * static_cast<double>(t + 1) / static_cast<double>(warmup);
  if (kind == "cosine") {
    const double done = static_cast<double>(t - warmup) / static_cast<double>(steps - warmup);
    return base * 0.5 * (1 + std::cos(std::numbers::pi * done));
  }
  double rate = base;
  if (kind == "step")
    for (const double m : milestones)
      if (static_cast<double>(t) >= m * static_cast<double>(steps)) rate *= gamma;
  return rate;
}

}  // namespace akin
