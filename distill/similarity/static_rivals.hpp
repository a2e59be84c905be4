// What tells sources apart without a look at any image: the rivals that a metric of similarity has to beat. They stand
// beside the metrics in the tables of an experiment. They are no metrics: nobody is weighted by them.
#pragma once

#include <span>
#include <string_view>

#include "distill/task/source.hpp"

namespace akin {

/// All their names begin so.
inline constexpr std::string_view kStaticPrefix = "static:";

struct StaticRival {
  std::string_view name;
  double (*value)(const Source&);  ///< NaN where the source's file does not say
};

/// static:params: trained numbers of the source's network, its head included. static:source-accuracy: its test accuracy
/// on its own task, in [0, 1]. A table has neither.
std::span<const StaticRival> static_rivals();

}  // namespace akin
