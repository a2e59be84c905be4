// What a batchnorm with ReLU tells those who read its output y, so that the one who writes the last part of y's
// gradient may do the first pass of its backward (NormGradient of kernels/common/moments.hpp).
#pragma once

#include "engine/tensor.hpp"

namespace akin {

class Tape;

/// Hangs on y's Tensor where a tape has the batchnorm. Whoever adds to y's gradient takes `parts` back to 0 (Grads
/// does): the sums are of all of it.
struct NormSums {
  Tensor x, mean, invstd, gamma, beta;
  bool from_output = false;  ///< the ReLU is told from y alone: there was a residual
  Tensor sums;
  const Tape* tape = nullptr;  ///< the sums are for a backward pass over this one
  std::int64_t parts = 0;      ///< more than 0: the gradient is masked already, and `sums` holds that many parts
};

}  // namespace akin
