// What the op files share: choice by element type, and the checks that many ops make.
#pragma once

#include "engine/on_gpu.hpp"
#include "kernels/common/accum.hpp"

namespace akin::ops {

/// On the CPU: calls body(float{}) or body(double{}) by dtype; other types are an error that names the op.
template <class Body>
auto by_type(DType dtype, const char* op, Body&& body) {
  if (dtype == DType::f32) return body(float{});
  AKIN_CHECK(dtype == DType::f64, "{}: works on f32 and f64, found {}", op, name_of(dtype));
  return body(double{});
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

/// Losses keep f32 on a device, whatever the activations are.
inline void check_f32_on_gpu(const Context& ctx, const Tensor& x, const char* op) {
  AKIN_CHECK(ctx.device == Device::cpu || x.dtype() == DType::f32, "{}: works on f32 on a GPU, found {}", op,
             name_of(x.dtype()));
}

/// A parameter of f32 in the type that kernels multiply it in: itself for activations of f32, else its bf16 shadow or,
/// without an optimiser that keeps one, a converted copy. No gradient flows: the caller gives it to `w`.
Tensor low_precision(Context& ctx, const Tensor& w, DType activations);

/// y = factor scalar x, or y += ...; `scalar` [1] may be undefined. Not differentiable: for backward rules.
void axpy(Context& ctx, double factor, const Tensor& scalar, const Tensor& x, const Tensor& y, Accum mode);

/// The fast path serves f32 unless the Context asks for the specification.
inline bool fast_path(const Context& ctx, const Tensor& x) { return ctx.use_fast_paths && x.dtype() == DType::f32; }

}  // namespace akin::ops
