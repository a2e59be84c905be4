#include "kernels/reduce.hpp"

#include <algorithm>

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"
#include "kernels/elementwise.hpp"

namespace akin::ops {

namespace {

Tensor scaled_sum(Context& ctx, const Tensor& x, double factor, const char* op) {
  // A sum over bf16 comes out in float: it may be a loss.
  Tensor y = Tensor::empty(ctx, {1}, x.dtype() == DType::bf16 ? DType::f32 : x.dtype());
  if (!on_gpu(ctx, x.dtype(), op, [&]<class T>(const auto& stream, T) {
        const Tensor scratch = Tensor::empty(ctx, {gpu::kSumScratch}, DType::f64);
        gpu::sum(stream, x.numel(), factor, x.data<T>(), scratch.data<double>(), y.data<float>());
      }))
    by_type(x.dtype(), op,
            [&]<class T>(T) { y.data<T>()[0] = static_cast<T>(spec::sum<T>(x.numel(), x.data<T>()) * factor); });
  return record(ctx, op, y, {x}, [factor, op](const Tensor& dy, Grads& d) {
    const auto [dx, mode] = d.into(0);
    if (on_gpu(d.ctx(), dx.dtype(), op, [&, m = mode, g = dx]<class T>(const auto& stream, T) {
          gpu::fill(stream, g.numel(), static_cast<float>(factor), dy.data<float>(), g.template data<T>(), m);
        }))
      return;
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
