#include "kernels/kd_multi.hpp"

#include <cmath>
#include <concepts>

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor kd_multi(Context& ctx, const Tensor& student, const Tensor& teacher, const KdSources& sources) {
  check_rank(student, 2, "kd_multi", "student logits [B, sum of C_s]");
  check_same(student, teacher, "kd_multi");
  const auto& offsets = sources.offsets;
  AKIN_CHECK(offsets.size() >= 2 && offsets.size() == sources.alpha.size() + 1 && offsets.front() == 0,
             "kd_multi: {} weights need {} column offsets from 0, found {}", sources.alpha.size(),
             sources.alpha.size() + 1, offsets.size());
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s)
    AKIN_CHECK(offsets[s] < offsets[s + 1], "kd_multi: source {} has no column", s);
  for (const double a : sources.alpha)
    AKIN_CHECK(a >= 0 && std::isfinite(a), "kd_multi: weight {} must be finite and not negative", a);
  AKIN_CHECK(!teacher.requires_grad(), "kd_multi: the teacher gets no gradient; detach it");
  AKIN_CHECK(offsets.back() == student.dim(1), "kd_multi: the sources have {} classes, the logits {} columns",
             offsets.back(), student.dim(1));
  AKIN_CHECK(student.dim(0) > 0, "kd_multi: no row");
  AKIN_CHECK(sources.temperature > 0, "kd_multi: temperature {} must be positive", sources.temperature);

  Tensor loss = Tensor::empty(ctx, {1}, student.dtype());
  const bool differentiate = ctx.tape != nullptr && student.requires_grad();
  const Tensor gradient = differentiate ? Tensor::empty(ctx, student.shape(), student.dtype()) : Tensor();
  const KdShape shape{student.dim(0), static_cast<std::int64_t>(sources.alpha.size()), offsets.data(),
                      sources.alpha.data(), sources.temperature};
  const Work work = kd_multi_work(shape, differentiate, size_of(student.dtype()));
  launch_on(ctx, student.dtype(), {"kd_multi", work}, [&]<std::floating_point T>(const auto& stream, T) {
    const Tensor scratch = scratch_of(ctx, kd_multi_scratch(stream, shape), DType::f64);
    akin::kd_multi(stream, shape, teacher.data<T>(), student.data<T>(), or_null<T>(gradient), or_null<double>(scratch),
                   loss.data<T>());
  });
  // The gradient was written in the same pass that read the logits; only its scale comes later.
  return record(ctx, "kd_multi", loss, {student}, [gradient](const Tensor& dy, Grads& d) {
    const auto [dx, mode] = d.into(0);
    axpy(d.ctx(), 1.0, dy, gradient, dx, mode);
  });
}

}  // namespace akin::ops
