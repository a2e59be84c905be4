#pragma once

#include <limits>

namespace akin {

/// A number that was not measured. Pages and tables show it as "–", JSON as null, CSV as an empty cell.
inline constexpr double not_measured = std::numeric_limits<double>::quiet_NaN();

}  // namespace akin
