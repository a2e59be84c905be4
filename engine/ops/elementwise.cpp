#include "kernels/elementwise.hpp"

#include <cstring>

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor add(Context& ctx, const Tensor& a, const Tensor& b) {
  check_same(a, b, "add");
  Tensor y = Tensor::empty(ctx, a.shape(), a.dtype());
  by_type(a.dtype(), "add", [&]<class T>(T) { spec::add<T>(y.numel(), a.data<T>(), b.data<T>(), y.data<T>()); });
  return record(ctx, "add", y, {a, b}, [](const Tensor& dy, Grads& d) {
    for (const std::size_t i : {0u, 1u})
      if (d.wanted(i)) d.add(i, dy);
  });
}

Tensor mul(Context& ctx, const Tensor& a, const Tensor& b) {
  check_same(a, b, "mul");
  Tensor y = Tensor::empty(ctx, a.shape(), a.dtype());
  by_type(a.dtype(), "mul",
          [&]<class T>(T) { spec::mul<T>(y.numel(), a.data<T>(), b.data<T>(), y.data<T>(), Accum::overwrite); });
  return record(ctx, "mul", y, {a, b}, [a, b](const Tensor& dy, Grads& d) {
    for (const std::size_t i : {0u, 1u}) {
      if (!d.wanted(i)) continue;
      const auto [dx, mode] = d.into(i);
      const Tensor& other = i == 0 ? b : a;
      by_type(dy.dtype(), "mul", [&, m = mode, g = dx]<class T>(T) {
        spec::mul<T>(dy.numel(), dy.data<T>(), other.data<T>(), g.template data<T>(), m);
      });
    }
  });
}

Tensor scale(Context& ctx, const Tensor& x, double factor) {
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  by_type(x.dtype(), "scale", [&]<class T>(T) {
    spec::axpy<T>(x.numel(), static_cast<T>(factor), x.data<T>(), y.data<T>(), Accum::overwrite);
  });
  return record(ctx, "scale", y, {x}, [factor](const Tensor& dy, Grads& d) {
    const auto [dx, mode] = d.into(0);
    by_type(dy.dtype(), "scale", [&, m = mode, g = dx]<class T>(T) {
      spec::axpy<T>(dy.numel(), static_cast<T>(factor), dy.data<T>(), g.template data<T>(), m);
    });
  });
}

Tensor relu(Context& ctx, const Tensor& x) {
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  by_type(x.dtype(), "relu", [&]<class T>(T) { spec::relu_fwd<T>(x.numel(), x.data<T>(), y.data<T>()); });
  return record(ctx, "relu", y, {x}, [saved = y.detach()](const Tensor& dy, Grads& d) {
    const auto [dx, mode] = d.into(0);
    by_type(dy.dtype(), "relu", [&, m = mode, g = dx]<class T>(T) {
      spec::relu_bwd<T>(dy.numel(), saved.data<T>(), dy.data<T>(), g.template data<T>(), m);
    });
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
    if (mode == Accum::overwrite) std::memset(dx.raw(), 0, dx.bytes());
    by_type(dy.dtype(), "rows", [&, g = dx]<class T>(T) {
      spec::axpy<T>(dy.numel(), T(1), dy.data<T>(), g.template data<T>() + begin * row, Accum::add);
    });
  });
}

}  // namespace akin::ops
