// What the op files share: pointers to what may be absent, and the checks that many ops make.
#pragma once

#include "engine/launch_on.hpp"
#include "engine/ops.hpp"
#include "kernels/common/accum.hpp"
#include "kernels/common/moments.hpp"

namespace akin::ops {

/// nullptr for an undefined tensor.
template <class T>
T* or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

/// Memory for the time of a kernel; undefined where it asks for none.
inline Tensor scratch_of(Context& ctx, std::int64_t n, DType dtype = DType::f32) {
  return n == 0 ? Tensor() : Tensor::empty(ctx, {n}, dtype);
}

/// What an op gives its kernel for the statistics that its caller wants: as many floats as floats() says.
template <class Floats>
PartMoments room_for(Context& ctx, ChannelMoments* wanted, Floats&& floats) {
  if (wanted == nullptr) return {};
  wanted->data = scratch_of(ctx, floats());
  return {wanted->data.defined() ? wanted->data.data<float>() : nullptr, 0};
}

inline void check_same(const Tensor& a, const Tensor& b, const char* op) {
  AKIN_CHECK(a.shape() == b.shape() && a.dtype() == b.dtype(), "{}: {} {} and {} {} must have one shape and type", op,
             name_of(a.dtype()), a.shape().str(), name_of(b.dtype()), b.shape().str());
}

inline void check_rank(const Tensor& x, std::size_t rank, const char* op, const char* layout) {
  AKIN_CHECK(x.shape().rank() == rank, "{}: expected {}, found shape {}", op, layout, x.shape().str());
}

/// The padding at the end of a convolution's sides: -1 stands for as much as at the beginning.
inline std::int64_t checked_padding(std::int64_t stride, std::int64_t pad, std::int64_t pad_end, const char* op) {
  AKIN_CHECK(stride >= 1 && pad >= 0 && pad_end >= -1,
             "{}: stride {}, padding {} and at the end {} (at least 1, 0 and 0; -1 at the end: as at the beginning)",
             op, stride, pad, pad_end);
  return pad_end < 0 ? pad : pad_end;
}

/// Of a Conv2dShape or DepthwiseShape.
template <class WindowShape>
void check_window(const WindowShape& s, const char* op) {
  const std::int64_t all = s.pad + s.pad_end;
  AKIN_CHECK(s.H + all >= s.R && s.W + all >= s.S, "{}: a {}x{} window does not fit in {}x{} padded by {}{}", op, s.R,
             s.S, s.H, s.W, s.pad, s.pad_end == s.pad ? "" : fmt::format(" and {}", s.pad_end));
}

/// A parameter of f32 in the type that kernels multiply it in: itself for activations of f32, else its bf16 shadow or,
/// without an optimiser that keeps one, a converted copy. No gradient flows: the caller gives it to `w`.
Tensor low_precision(Context& ctx, const Tensor& w, DType activations);

/// y = factor scalar x, or y += ...; `scalar` [1] may be undefined. Not differentiable: for backward rules.
void axpy(Context& ctx, double factor, const Tensor& scalar, const Tensor& x, const Tensor& y, Accum mode);

}  // namespace akin::ops
