#include "kernels/reduce.hpp"

#include <algorithm>

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

namespace {

Tensor scaled_sum(Context& ctx, const Tensor& x, double factor, const char* op) {
  Tensor y = Tensor::empty(ctx, {1}, x.dtype());
  by_type(x.dtype(), op,
          [&]<class T>(T) { y.data<T>()[0] = static_cast<T>(spec::sum<T>(x.numel(), x.data<T>()) * factor); });
  return record(ctx, op, y, {x}, [factor, op](const Tensor& dy, Grads& d) {
    const auto [dx, mode] = d.into(0);
    by_type(dy.dtype(), op, [&, m = mode, g = dx]<class T>(T) {
      const T value = static_cast<T>(static_cast<double>(dy.data<T>()[0]) * factor);
      T* out = g.template data<T>();
      for (std::int64_t i = 0; i < g.numel(); ++i) store(out[i], value, m);
    });
  });
}

}  // namespace

Tensor sum(Context& ctx, const Tensor& x) { return scaled_sum(ctx, x, 1.0, "sum"); }

Tensor mean(Context& ctx, const Tensor& x) {
  AKIN_CHECK(x.numel() > 0, "mean: of no element");
  return scaled_sum(ctx, x, 1.0 / static_cast<double>(x.numel()), "mean");
}

}  // namespace akin::ops
