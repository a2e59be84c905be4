#include "distill/similarity/metrics/plasticity.hpp"

#include <cmath>

namespace akin {

std::vector<double> plasticity(std::span<const double> values, std::span<const int> layers) {
  AKIN_CHECK(values.size() == layers.size(), "plasticity: {} values for {} sources", values.size(), layers.size());
  AKIN_CHECK(values.size() >= 2,
             "plasticity is undefined: it compares the sources of a bank, and {} has a value; use the metric itself",
             values.size());
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / double(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  AKIN_CHECK(squares > 0, "plasticity is undefined: all {} sources have the same value of the metric; use another one",
             values.size());
  const double std = std::sqrt(squares / double(values.size() - 1));
  std::vector<double> result;
  for (std::size_t s = 0; s < values.size(); ++s) {
    AKIN_CHECK(layers[s] > 0,
               "plasticity is undefined: source {} does not say how many layers it has; give --layers, or use the "
               "metric itself",
               s + 1);
    result.push_back((values[s] - mean) / std + layers[s] / 50.0);
  }
  return result;
}

}  // namespace akin
