#include "kernels/pool.hpp"

#include <limits>

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

namespace {

PoolShape checked_shape(const Tensor& x, std::int64_t window, std::int64_t stride, std::int64_t pad, bool ceil,
                        const char* op) {
  check_rank(x, 4, op, "images [N, H, W, C]");
  AKIN_CHECK(window >= 1 && stride >= 1, "{}: window {} and stride {} must be at least 1", op, window, stride);
  AKIN_CHECK(pad >= 0 && 2 * pad <= window, "{}: padding {} must be between 0 and half the window of {}", op, pad,
             window);
  const PoolShape s{x.dim(0), x.dim(1), x.dim(2), x.dim(3), window, stride, pad, ceil};
  const std::int64_t most = 2 * pad + (ceil ? stride - 1 : 0);
  AKIN_CHECK(s.H + most >= window && s.W + most >= window && s.H >= 1 && s.W >= 1,
             "{}: images {} with padding {} are smaller than the window of {} (image size too small for this network?)",
             op, x.shape().str(), pad, window);
  return s;
}

}  // namespace

Tensor max_pool(Context& ctx, const Tensor& x, std::int64_t window, std::int64_t stride, std::int64_t pad, bool ceil) {
  const PoolShape s = checked_shape(x, window, stride, pad, ceil, "max_pool");
  AKIN_CHECK(s.H <= std::numeric_limits<std::int32_t>::max() / s.W, "max_pool: images {} have too many pixels",
             x.shape().str());
  Tensor y = Tensor::empty(ctx, {s.N, s.P(), s.Q(), s.C}, x.dtype());
  const bool keep = ctx.tape != nullptr && x.requires_grad();
  const Tensor at = keep ? Tensor::empty(ctx, y.shape(), DType::i32) : Tensor();
  launch_on(ctx, x.dtype(), {"max_pool", pool_work(s, keep, size_of(x.dtype()))}, [&]<class T>(const auto& stream, T) {
    max_pool_fwd(stream, s, x.data<T>(), y.data<T>(), or_null<std::int32_t>(at));
  });
  const OpCall call{"max_pool", {{"window", s.window}, {"stride", s.stride}, {"pad", s.pad}}};
  return record(ctx, call, y, {x}, [s, at](const Tensor& dy, Grads& d) {
    const Grads::Sink dx = d.into(0);
    launch_on(d.ctx(), dy.dtype(), {"max_pool", pool_work(s, true, size_of(dy.dtype()))},
              [&]<class T>(const auto& stream, T) {
                max_pool_bwd(stream, s, at.data<std::int32_t>(), dy.data<T>(), dx.data<T>(), dx.mode);
              });
  });
}

Tensor avg_pool(Context& ctx, const Tensor& x, std::int64_t window, std::int64_t stride, std::int64_t pad) {
  const PoolShape s = checked_shape(x, window, stride, pad, false, "avg_pool");
  Tensor y = Tensor::empty(ctx, {s.N, s.P(), s.Q(), s.C}, x.dtype());
  launch_on(ctx, x.dtype(), {"avg_pool", pool_work(s, false, size_of(x.dtype()))},
            [&]<class T>(const auto& stream, T) { avg_pool_fwd(stream, s, x.data<T>(), y.data<T>()); });
  const OpCall call{"avg_pool", {{"window", s.window}, {"stride", s.stride}, {"pad", s.pad}}};
  return record(ctx, call, y, {x}, [s](const Tensor& dy, Grads& d) {
    const Grads::Sink dx = d.into(0);
    launch_on(d.ctx(), dy.dtype(), {"avg_pool", pool_work(s, false, size_of(dy.dtype()))},
              [&]<class T>(const auto& stream, T) { avg_pool_bwd(stream, s, dy.data<T>(), dx.data<T>(), dx.mode); });
  });
}

Tensor adaptive_avg_pool(Context& ctx, const Tensor& x, std::int64_t P, std::int64_t Q) {
  check_rank(x, 4, "adaptive_avg_pool", "images [N, H, W, C]");
  const AdaptivePoolShape s{x.dim(0), x.dim(1), x.dim(2), x.dim(3), P, Q};
  AKIN_CHECK(P >= 1 && Q >= 1, "adaptive_avg_pool: an output of {}x{} pixels (at least 1x1)", P, Q);
  AKIN_CHECK(s.H >= 1 && s.W >= 1, "adaptive_avg_pool: images {} hold no pixel", x.shape().str());
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  AKIN_CHECK(P <= kMost / s.H && Q <= kMost / s.W, "adaptive_avg_pool: {}x{} pixels from {}x{} are too many", P, Q, s.H,
             s.W);
  Tensor y = Tensor::empty(ctx, {s.N, P, Q, s.C}, x.dtype());
  launch_on(ctx, x.dtype(), {"adaptive_avg_pool", adaptive_avg_pool_work(s, size_of(x.dtype()))},
            [&]<class T>(const auto& stream, T) { adaptive_avg_pool_fwd(stream, s, x.data<T>(), y.data<T>()); });
  return record(ctx, "adaptive_avg_pool", y, {x}, [s](const Tensor& dy, Grads& d) {
    const Grads::Sink dx = d.into(0);
    launch_on(
        d.ctx(), dy.dtype(), {"adaptive_avg_pool", adaptive_avg_pool_work(s, size_of(dy.dtype()))},
        [&]<class T>(const auto& stream, T) { adaptive_avg_pool_bwd(stream, s, dy.data<T>(), dx.data<T>(), dx.mode); });
  });
}

Tensor global_avg_pool(Context& ctx, const Tensor& x) {
  check_rank(x, 4, "global_avg_pool", "images [N, H, W, C]");
  const std::int64_t N = x.dim(0), pixels = x.dim(1) * x.dim(2), C = x.dim(3);
  AKIN_CHECK(pixels >= 1, "global_avg_pool: images {} hold no pixel", x.shape().str());
  Tensor y = Tensor::empty(ctx, {N, C}, x.dtype());
  const Work work = global_avg_pool_work(N, pixels, C, size_of(x.dtype()));
  launch_on(ctx, x.dtype(), {"global_avg_pool", work}, [&]<class T>(const auto& stream, T) {
    global_avg_pool_fwd(stream, N, pixels, C, x.data<T>(), y.data<T>());
  });
  return record(ctx, "global_avg_pool", y, {x}, [N, pixels, C, work](const Tensor& dy, Grads& d) {
    const Grads::Sink dx = d.into(0);
    launch_on(d.ctx(), dy.dtype(), {"global_avg_pool", work}, [&]<class T>(const auto& stream, T) {
      global_avg_pool_bwd(stream, N, pixels, C, dy.data<T>(), dx.data<T>(), dx.mode);
    });
  });
}

}  // namespace akin::ops
