#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace akin {

/// Learning rate over the steps of a run.
struct Schedule {
  std::string kind = "cosine";                   ///< cosine, step or constant
  double base = 0.1;                             ///< the highest learning rate
  std::int64_t steps = 1000;                     ///< steps of the whole run
  std::int64_t warmup = 0;                       ///< steps of linear warm-up: base * (t + 1) / warmup
  std::vector<double> milestones = {0.5, 0.75};  ///< step: fractions of the run at which the rate is multiplied ...
  double gamma = 0.1;                            ///< ... by this

  /// The rate of step t in 0..steps-1. cosine: base * (1 + cos(pi (t - warmup) / (steps - warmup))) / 2
  /// (Loshchilov, Hutter, "SGDR", ICLR 2017, one period).
  double at(std::int64_t t) const;
  /// Throws UsageError for an unknown kind or numbers out of range.
  void check() const;
};

}  // namespace akin
