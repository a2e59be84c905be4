// Runs a kernel where the Context says: the one place that turns the Device of a Context into the type of a Stream, by
// which the kernels are chosen.
#pragma once

#include "engine/profile.hpp"
#include "engine/tensor.hpp"
#include "kernels/common/stream.hpp"

namespace akin {

/// Calls body(stream) with the Stream<Cuda> or Stream<Sim> of `ctx`: for what devices alone do. False, and no call, on
/// the CPU. `call`: what it is and costs, for the profiler.
template <class Body>
bool on_gpu(Context& ctx, const KernelCall& call, Body&& body) {
  if (ctx.device == Device::cpu) return false;
  const LaunchScope told(ctx, call);
#if defined(AKIN_HAVE_CUDA)
  if (ctx.device == Device::cuda) {
    body(Stream<Cuda>{ctx.stream->handle(), &ctx.gpu->limits(), ctx.launches});
    return true;
  }
#endif
  body(Stream<Sim>{ctx.stream->handle(), &ctx.gpu->limits(), ctx.launches});
  return true;
}

/// The same on every device: the CPU's is a Stream<Cpu>.
template <class Body>
void launch_on(Context& ctx, const KernelCall& call, Body&& body) {
  if (on_gpu(ctx, call, body)) return;
  const LaunchScope told(ctx, call);
  body(ctx.use_fast_paths ? Stream<Cpu>{true, &ctx.onednn} : kSpec);
}

/// With the element type: body(stream, float{}), body(stream, bf16{}) where it takes that (losses do not:
/// `std::floating_point T`), or body(stream, double{}) on the CPU. Other types are an error that names the op.
template <class Body>
void launch_on(Context& ctx, DType dtype, const KernelCall& call, Body&& body) {
  launch_on(ctx, call, [&]<class Dev>(const Stream<Dev>& stream) {
    constexpr bool cpu = std::is_same_v<Dev, Cpu>;
    constexpr bool wide = cpu && std::is_invocable_v<Body&, const Stream<Dev>&, double>;
    constexpr bool low = std::is_invocable_v<Body&, const Stream<Dev>&, bf16>;
    if (dtype == DType::f32) return body(stream, float{});
    if constexpr (wide)
      if (dtype == DType::f64) return body(stream, double{});
    if constexpr (low)
      if (dtype == DType::bf16) return body(stream, bf16{});
    fail("{}: works on f32{}{}{}, found {}", call.name,
         !wide ? ""
         : low ? ", f64"
               : " and f64",
         low ? " and bf16" : "", cpu ? "" : " on a GPU", name_of(dtype));
  });
}

}  // namespace akin
