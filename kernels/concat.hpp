// concat: matrices of the same number of rows, side by side. Its one kernel copies a matrix between places whose rows
// lie `x_stride` and `y_stride` elements apart, so that one side is a range of columns of the whole:
//   copy_columns  y[r y_stride + c] = x[r x_stride + c]  (+= in Accum::add),  0 <= r < rows, 0 <= c < columns
// Forward: y points at a part's columns of the whole; backward: x does, with y the part's gradient.
// FLOPs: none. Bytes: reads 1 and writes 1 element.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

struct ColumnsCopy {
  std::int64_t rows, columns, x_stride, y_stride;
};

constexpr Work copy_columns_work(const ColumnsCopy& s, std::size_t size) {
  return elementwise_work(s.rows * s.columns, 0, 2, size);
}

/// One launch.
template <class Dev, class T>
void copy_columns(const Stream<Dev>& stream, const ColumnsCopy& s, const T* x, T* y, Accum mode);

}  // namespace akin
