#include "kernels/topk.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/common/error.hpp"
#include "kernels/common/instantiate.hpp"

namespace akin::spec {

template <class T>
void topk(std::int64_t B, std::int64_t C, std::int64_t k, const T* x, T* y, std::int64_t* index) {
  AKIN_CHECK(0 <= k && k <= C, "topk: {} of {} columns asked for", k, C);
  std::vector<std::int64_t> order(static_cast<std::size_t>(C));
  for (std::int64_t b = 0; b < B; ++b) {
    const T* row = x + b * C;
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::partial_sort(order.begin(), order.begin() + k, order.end(), [row](std::int64_t i, std::int64_t j) {
      if (std::isnan(row[i]) || std::isnan(row[j]))
        return std::isnan(row[i]) != std::isnan(row[j]) ? std::isnan(row[i]) : i < j;
      return row[i] != row[j] ? row[i] > row[j] : i < j;
    });
    for (std::int64_t j = 0; j < k; ++j) {
      const std::int64_t at = order[static_cast<std::size_t>(j)];
      y[b * k + j] = row[at];
      index[b * k + j] = at;
    }
  }
}

#define AKIN_INSTANTIATE(T) \
  template void topk<T>(std::int64_t, std::int64_t, std::int64_t, const T*, T*, std::int64_t*);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace akin::spec
