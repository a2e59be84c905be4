#include "distill/similarity/likeness.hpp"

#include <algorithm>

#include "distill/similarity/metrics/cka.hpp"
#include "distill/task/table.hpp"

namespace akin {

SourceLikeness likeness_of(const std::vector<Outputs>& outputs, std::int64_t images) {
  SourceLikeness out;
  const std::size_t sources = outputs.size();
  if (sources < 2) return out;
  const std::int64_t n = outputs.front().features.shape()[0];
  out.images = std::min(n, images);
  Indices rows;
  for (std::int64_t i = 0; i < out.images; ++i) rows.push_back(i * n / out.images);
  std::vector<Array> features;
  for (const Outputs& o : outputs) features.push_back(pick_rows(o.features, rows));
  out.cka.assign(sources * sources, 1);
  for (std::size_t a = 0; a < sources; ++a)
    for (std::size_t b = 0; b < a; ++b) {
      double& value = out.cka[a * sources + b];
      try {
        value = cka(features[a], features[b], CkaForm::debiased).value;
      } catch (const Error&) {  // undefined, see the header
        value = not_measured;
      }
      out.cka[b * sources + a] = value;
    }
  return out;
}

}  // namespace akin
