// Runs a device kernel where the Context says: the one place that turns the Device of a Context into the type of a
// Stream, by which the functions of namespace gpu are chosen.
#pragma once

#include "engine/tensor.hpp"

namespace akin {

/// Calls body(stream) with the Stream<Cuda> or Stream<Sim> of `ctx`. False, and no call, on the CPU.
template <class Body>
bool on_gpu(Context& ctx, Body&& body) {
  if (ctx.device == Device::cpu) return false;
#if defined(AKIN_HAVE_CUDA)
  if (ctx.device == Device::cuda) {
    body(Stream<Cuda>{ctx.stream->handle(), &ctx.gpu->limits(), ctx.launches});
    return true;
  }
#endif
  body(Stream<Sim>{ctx.stream->handle(), &ctx.gpu->limits(), ctx.launches});
  return true;
}

/// The same with the element type: body(stream, float{}) or body(stream, bf16{}); other types are an error that names
/// the op.
template <class Body>
bool on_gpu(Context& ctx, DType dtype, const char* op, Body&& body) {
  return on_gpu(ctx, [&](const auto& stream) {
    if (dtype == DType::f32) return body(stream, float{});
    AKIN_CHECK(dtype == DType::bf16, "{}: works on f32 and bf16 on a GPU, found {}", op, name_of(dtype));
    body(stream, bf16{});
  });
}

}  // namespace akin
