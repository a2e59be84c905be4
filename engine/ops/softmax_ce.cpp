#include "kernels/softmax_ce.hpp"

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
  check_f32_on_gpu(ctx, logits, "softmax_ce");
  Tensor y = Tensor::empty(ctx, {B}, logits.dtype());
  const auto pointer = [weight]<class T>(T) -> const T* { return weight.defined() ? weight.data<T>() : nullptr; };
  if (!on_gpu(ctx, [&](const auto& stream) {
        gpu::softmax_ce_fwd(stream, B, C, logits.data<float>(), targets.data<std::int64_t>(), pointer(float{}),
                            y.data<float>());
      }))
    by_type(logits.dtype(), "softmax_ce", [&]<class T>(T one) {
      spec::softmax_ce_fwd<T>(B, C, logits.data<T>(), targets.data<std::int64_t>(), pointer(one), y.data<T>());
    });
  return record(ctx, "softmax_ce", y, {logits},
                [x = logits.detach(), targets, pointer, B, C](const Tensor& dy, Grads& d) {
                  const auto [dx, mode] = d.into(0);
                  if (on_gpu(d.ctx(), [&, m = mode, g = dx](const auto& stream) {
                        gpu::softmax_ce_bwd(stream, B, C, x.data<float>(), targets.data<std::int64_t>(),
                                            pointer(float{}), dy.data<float>(), g.template data<float>(), m);
                      }))
                    return;
                  by_type(dy.dtype(), "softmax_ce", [&, m = mode, g = dx]<class T>(T one) {
                    spec::softmax_ce_bwd<T>(B, C, x.data<T>(), targets.data<std::int64_t>(), pointer(one), dy.data<T>(),
                                            g.template data<T>(), m);
                  });
                });
}

PseudoLabels pseudo_label(Context& ctx, const Tensor& logits, double threshold, const Tensor& counted) {
  check_rank(logits, 2, "pseudo_label", "logits [B, C]");
  const std::int64_t B = logits.dim(0), C = logits.dim(1);
  AKIN_CHECK(C >= 1, "pseudo_label: logits {} hold no class", logits.shape().str());
  AKIN_CHECK(counted.shape() == Shape{2}, "pseudo_label: two counters are needed, found {}", counted.shape().str());
  PseudoLabels out{Tensor::empty(ctx, {B}, DType::i64), Tensor::empty(ctx, {B}, logits.dtype())};
  auto* target = out.target.data<std::int64_t>();
  auto* counters = counted.data<std::int32_t>();
  if (!on_gpu(ctx, [&](const auto& stream) {
        gpu::pseudo_label(stream, B, C, threshold, logits.data<float>(), target, out.mask.data<float>(), counters);
      }))
    by_type(logits.dtype(), "pseudo_label", [&]<class T>(T) {
      spec::pseudo_label<T>(B, C, threshold, logits.data<T>(), target, out.mask.data<T>(), counters);
    });
  return out;
}

}  // namespace akin::ops
