#include "kernels/concat.hpp"

#include <algorithm>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

template <class Dev, class T>
void copy_columns(const Stream<Dev>&, const ColumnsCopy& s, const T* x, T* y, Accum mode) {
  constexpr std::int64_t kGrainElements = 1 << 14;
  parallel_for(s.rows, std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(s.columns, 1)),
               [=](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t r = begin; r < end; ++r) {
                   const T* from = x + r * s.x_stride;
                   T* to = y + r * s.y_stride;
                   for (std::int64_t c = 0; c < s.columns; ++c) store(to[c], widened(from[c]), mode);
                 }
               });
}

#define AKIN_INSTANTIATE(T) template void copy_columns(const Stream<Cpu>&, const ColumnsCopy&, const T*, T*, Accum);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)

}  // namespace akin
