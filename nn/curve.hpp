// A point of a training curve.
#pragma once

#include <cmath>
#include <cstdint>

namespace akin {

struct CurvePoint {
  std::int64_t step = 0;             ///< steps done
  double loss = std::nan("");        ///< mean of the training loss since the last point
  double validation = std::nan("");  ///< accuracy in 0..1; NaN where none was measured
};

}  // namespace akin
