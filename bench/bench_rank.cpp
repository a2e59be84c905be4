#include <algorithm>

#include "bench/op_bench.hpp"
#include "kernels/rank.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

// Pairs of a probe of 100, 500 and 2000 images; a tenth of them of one class. Sorting is timed with the copy that
// restores the disorder.
const bool registered = [] {
  for (const std::int64_t images : {100, 500, 2000}) {
    const std::int64_t n = images * (images - 1) / 2, same = n / 10;
    add("average_ranks/" + std::to_string(n), [=](benchmark::State& state) {
      Rotating<double> t{n, n};
      measure(state, {0, 16.0 * static_cast<double>(n)}, [&] {
        average_ranks({t[0], static_cast<std::size_t>(n)}, {t[1], static_cast<std::size_t>(n)});
        t.next();
      });
    });
    add("spearman/" + std::to_string(n), [=](benchmark::State& state) {
      Rotating<double> t{n};
      std::vector<double> keys(static_cast<std::size_t>(n));
      measure(state, {0, 16.0 * static_cast<double>(n)}, [&] {
        std::copy(t[0], t[0] + n, keys.begin());
        const std::span<double> all(keys);
        benchmark::DoNotOptimize(spearman_two_valued(all.first(static_cast<std::size_t>(same)),
                                                     all.subspan(static_cast<std::size_t>(same))));
        t.next();
      });
    });
  }
  return true;
}();

}  // namespace
