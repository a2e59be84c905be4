#include "kernels/elementwise.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

void axpy(Context& ctx, double factor, const Tensor& scalar, const Tensor& x, const Tensor& y, Accum mode) {
  launch_on(ctx, x.dtype(), {"axpy", axpy_work(x.numel(), mode, size_of(x.dtype()))},
            [&]<class T>(const auto& stream, T) {
              akin::axpy(stream, x.numel(), factor, or_null<Full<T>>(scalar), x.data<T>(), y.data<T>(), mode);
            });
}

Tensor low_precision(Context& ctx, const Tensor& w, DType activations) {
  if (w.dtype() == activations) return w.detach();
  if (w.shadow().defined()) return w.shadow();
  return convert(ctx, w.detach(), activations);
}

namespace {

void multiply(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& y, Accum mode) {
  launch_on(ctx, a.dtype(), {"mul", binary_work(y.numel(), size_of(a.dtype()))}, [&]<class T>(const auto& stream, T) {
    akin::mul(stream, y.numel(), a.data<T>(), b.data<T>(), y.data<T>(), mode);
  });
}

}  // namespace

Tensor add(Context& ctx, const Tensor& a, const Tensor& b) {
  check_same(a, b, "add");
  Tensor y = Tensor::empty(ctx, a.shape(), a.dtype());
  launch_on(ctx, a.dtype(), {"add", binary_work(y.numel(), size_of(a.dtype()))}, [&]<class T>(const auto& stream, T) {
    akin::add(stream, y.numel(), a.data<T>(), b.data<T>(), y.data<T>());
  });
  return record(ctx, "add", y, {a, b}, [](const Tensor& dy, Grads& d) {
    for (const std::size_t i : {0u, 1u})
      if (d.wanted(i)) d.add(i, dy);
  });
}

Tensor mul(Context& ctx, const Tensor& a, const Tensor& b) {
  check_same(a, b, "mul");
  Tensor y = Tensor::empty(ctx, a.shape(), a.dtype());
  multiply(ctx, a, b, y, Accum::overwrite);
  return record(ctx, "mul", y, {a, b}, [a, b](const Tensor& dy, Grads& d) {
    for (const std::size_t i : {0u, 1u}) {
      if (!d.wanted(i)) continue;
      const auto [dx, mode] = d.into(i);
      multiply(d.ctx(), dy, i == 0 ? b : a, dx, mode);
    }
  });
}

Tensor scale(Context& ctx, const Tensor& x, double factor) {
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  axpy(ctx, factor, Tensor(), x, y, Accum::overwrite);
  const OpCall call{"scale", {{"factor", factor}}};
  return record(ctx, call, y, {x}, [factor](const Tensor& dy, Grads& d) {
    const auto [dx, mode] = d.into(0);
    axpy(d.ctx(), factor, Tensor(), dy, dx, mode);
  });
}

Tensor convert(Context& ctx, const Tensor& x, DType to) {
  if (x.dtype() == to) return x;
  const auto run = [](Context& c, const Tensor& from, const Tensor& into) {
    const bool up = from.dtype() == DType::bf16 && into.dtype() == DType::f32;
    AKIN_CHECK(up || (from.dtype() == DType::f32 && into.dtype() == DType::bf16), "convert: {} to {} is not offered",
               name_of(from.dtype()), name_of(into.dtype()));
    launch_on(c, {"convert", convert_work(from.numel())}, [&](const auto& stream) {
      if (up)
        akin::convert(stream, from.numel(), from.data<bf16>(), into.data<float>());
      else
        akin::convert(stream, from.numel(), from.data<float>(), into.data<bf16>());
    });
  };
  Tensor y = Tensor::empty(ctx, x.shape(), to);
  run(ctx, x, y);
  return record(ctx, "convert", y, {x}, [run, from = x.dtype()](const Tensor& dy, Grads& d) {
    const Tensor dx = Tensor::empty(d.ctx(), dy.shape(), from);
    run(d.ctx(), dy, dx);
    d.add(0, dx);
  });
}

Tensor reshape(Context& ctx, const Tensor& x, Shape shape) {
  AKIN_CHECK(shape.numel() == x.numel(), "reshape: {} has {} elements, {} asks for {}", x.shape().str(), x.numel(),
             shape.str(), shape.numel());
  return record(ctx, "reshape", x.view(std::move(shape)), {x},
                [from = x.shape()](const Tensor& dy, Grads& d) { d.add(0, dy.view(from)); });
}

Tensor rows(Context& ctx, const Tensor& x, std::int64_t begin, std::int64_t end) {
  AKIN_CHECK(0 <= begin && begin <= end && end <= x.dim(0), "rows: {}..{} of a tensor of shape {}", begin, end,
             x.shape().str());
  std::vector<std::int64_t> dims = x.shape().dims();
  const std::int64_t row = dims[0] == 0 ? 0 : x.numel() / dims[0];
  dims[0] = end - begin;
  return record(ctx, "rows", x.view(Shape(dims), begin * row), {x}, [begin, row](const Tensor& dy, Grads& d) {
    const auto [dx, mode] = d.into(0);
    if (mode == Accum::overwrite) dx.set_zero();
    axpy(d.ctx(), 1.0, Tensor(), dy, dx.view(dy.shape(), begin * row), Accum::add);
  });
}

}  // namespace akin::ops
