#pragma once

#include <functional>
#include <string>

#include "engine/autograd.hpp"

namespace akin {

/// Compares backward() with central differences in double: d/dx f ~ (f(x + h) - f(x - h)) / 2h, h = 1e-5 max(1, |x|).
/// `f` maps f64 inputs to one tensor; its elements are weighted with fixed random numbers and summed.
/// Returns "" when every derivative agrees within tolerance * max(1, largest |derivative|), else what differs where.
/// Truncation (h^2 f''' / 6) and rounding (eps |f| / h) both stay near 1e-10 for values of order one; in float the
/// rounding term alone would be 1e-2, which is why gradients are checked in double only.
std::string gradcheck(Context& ctx, const std::function<Tensor(Context&, const std::vector<Tensor>&)>& f,
                      const std::vector<Array>& inputs, double tolerance = 1e-7, std::uint64_t seed = 1);

}  // namespace akin
