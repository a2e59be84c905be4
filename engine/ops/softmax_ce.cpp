#include "kernels/softmax_ce.hpp"

#include <concepts>

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor softmax_ce(Context& ctx, const Tensor& logits, const Tensor& targets, const Tensor& weight) {
  check_rank(logits, 2, "softmax_ce", "logits [B, C]");
  const std::int64_t B = logits.dim(0), C = logits.dim(1);
  AKIN_CHECK(C >= 1, "softmax_ce: logits {} hold no class", logits.shape().str());
  AKIN_CHECK(targets.shape() == Shape{B}, "softmax_ce: {} rows of logits, targets of shape {}", B,
             targets.shape().str());
  AKIN_CHECK(!weight.defined() || (weight.shape() == Shape{B} && weight.dtype() == logits.dtype()),
             "softmax_ce: weights must be {} [{}], found {} {}", name_of(logits.dtype()), B,
             weight.defined() ? name_of(weight.dtype()) : "", weight.defined() ? weight.shape().str() : "");
  Tensor y = Tensor::empty(ctx, {B}, logits.dtype());
  const std::size_t size = size_of(logits.dtype());
  launch_on(ctx, logits.dtype(), {"softmax_ce", softmax_ce_fwd_work(B, C, size)},
            [&]<std::floating_point T>(const auto& stream, T) {
              softmax_ce_fwd(stream, B, C, logits.data<T>(), targets.data<std::int64_t>(), or_null<T>(weight),
                             y.data<T>());
            });
  return record(ctx, "softmax_ce", y, {logits},
                [x = logits.detach(), targets, weight, B, C, size](const Tensor& dy, Grads& d) {
                  const Grads::Sink dx = d.into(0);
                  launch_on(d.ctx(), dy.dtype(), {"softmax_ce", softmax_ce_bwd_work(B, C, size)},
                            [&]<std::floating_point T>(const auto& stream, T) {
                              softmax_ce_bwd(stream, B, C, x.data<T>(), targets.data<std::int64_t>(),
                                             or_null<T>(weight), dy.data<T>(), dx.data<T>(), dx.mode);
                            });
                });
}

PseudoLabels pseudo_label(Context& ctx, const Tensor& logits, double threshold, const Tensor& counted) {
  check_rank(logits, 2, "pseudo_label", "logits [B, C]");
  const std::int64_t B = logits.dim(0), C = logits.dim(1);
  AKIN_CHECK(C >= 1, "pseudo_label: logits {} hold no class", logits.shape().str());
  AKIN_CHECK(counted.shape() == Shape{2}, "pseudo_label: two counters are needed, found {}", counted.shape().str());
  PseudoLabels out{Tensor::empty(ctx, {B}, DType::i64), Tensor::empty(ctx, {B}, logits.dtype())};
  launch_on(ctx, logits.dtype(), {"pseudo_label", softmax_ce_fwd_work(B, C, size_of(logits.dtype()))},
            [&]<std::floating_point T>(const auto& stream, T) {
              akin::pseudo_label(stream, B, C, threshold, logits.data<T>(), out.target.data<std::int64_t>(),
                                 out.mask.data<T>(), counted.data<std::int32_t>());
            });
  return out;
}

}  // namespace akin::ops
