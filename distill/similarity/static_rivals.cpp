#include "distill/similarity/static_rivals.hpp"

#include "distill/report/figures.hpp"

namespace akin {

namespace {

double parameters_of(const Source& source) {
  return source.is_table() ? not_measured : static_cast<double>(count_trainable(source.model.network->parameters()));
}

double accuracy_of(const Source& source) {
  const bool told = !source.is_table() && source.model.info.test_accuracy >= 0;
  return told ? source.model.info.test_accuracy : not_measured;
}

constexpr StaticRival kRivals[] = {{"static:params", parameters_of}, {"static:source-accuracy", accuracy_of}};

}  // namespace

std::span<const StaticRival> static_rivals() { return kRivals; }

}  // namespace akin
