#include "kernels/reduce.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"
#include "kernels/elementwise.hpp"

namespace akin::ops {

namespace {

Tensor scaled_sum(Context& ctx, const Tensor& x, double factor, const char* op) {
  // A sum over bf16 comes out in float: it may be a loss.
  Tensor y = Tensor::empty(ctx, {1}, x.dtype() == DType::bf16 ? DType::f32 : x.dtype());
  launch_on(ctx, x.dtype(), {op, sum_work(x.numel(), size_of(x.dtype()))}, [&]<class T>(const auto& stream, T) {
    const Tensor scratch = scratch_of(ctx, sum_scratch(stream), DType::f64);
    akin::sum(stream, x.numel(), factor, x.data<T>(), or_null<double>(scratch), y.data<Full<T>>());
  });
  return record(ctx, op, y, {x}, [factor, op](const Tensor& dy, Grads& d) {
    const Grads::Sink dx = d.into(0);
    const Work work = fill_work(dx.buffer.numel(), dx.mode, size_of(dx.buffer.dtype()));
    launch_on(d.ctx(), dx.buffer.dtype(), {op, work}, [&]<class T>(const auto& stream, T) {
      fill(stream, dx.buffer.numel(), factor, dy.data<Full<T>>(), dx.data<T>(), dx.mode);
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
