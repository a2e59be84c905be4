// activation: y[i] = f(x[i]) over n elements; gradients at the kinks are PyTorch's.
//   kind         f(x)                              f'(x)
//   none         x                                 1
//   relu         max(x, 0)                         x > 0
//   relu6        min(max(x, 0), 6)                 0 < x < 6
//   hardswish    x hardsigmoid(x)                  0 below -3, 1 above 3, x / 3 + 1/2 from -3 to 3 (both included)
//   hardsigmoid  min(max(x + 3, 0), 6) / 6         1/6 where -3 < x < 3
// NaN stays NaN. relu6: Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010; hardswish and hardsigmoid:
// Howard et al., "Searching for MobileNetV3", ICCV 2019.
//   activation_bwd  dx = f'(x) dy, from what keeps_output() says: the output of relu and relu6, which the next op keeps
//                   anyway, and the input of the others
// FLOPs: 1 to 5 an element. Bytes: forward reads 1 and writes 1, backward reads 2 and writes 1.
// In-place use (an output equal to an input) is allowed; partial overlap is not.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/error.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

enum class Activation { none, relu, relu6, hardswish, hardsigmoid };

constexpr const char* name_of(Activation kind) {
  switch (kind) {
    case Activation::none:
      return "none";
    case Activation::relu:
      return "relu";
    case Activation::relu6:
      return "relu6";
    case Activation::hardswish:
      return "hardswish";
    case Activation::hardsigmoid:
      return "hardsigmoid";
  }
  return "?";
}

/// True: the backward reads the output; false: the input (none: neither).
constexpr bool keeps_output(Activation kind) { return kind == Activation::relu || kind == Activation::relu6; }

/// On a card instructions that keep NaN, where a choice takes two each; of -0 they make 0.
template <class T>
AKIN_HOST_DEVICE inline T relu(T x) {
#if defined(__CUDA_ARCH__)
  if constexpr (std::is_same_v<T, float>) {
    asm("max.NaN.f32 %0,%1,%2;" : "=f"(x) : "f"(x), "f"(0.0f));
    return x;
  }
#endif
  return x < T(0) ? T(0) : x;
}
template <class T>
AKIN_HOST_DEVICE inline T relu6(T x) {
#if defined(__CUDA_ARCH__)
  if constexpr (std::is_same_v<T, float>) {
    asm("min.NaN.f32 %0,%1,%2;" : "=f"(x) : "f"(relu(x)), "f"(6.0f));
    return x;
  }
#endif
  return x < T(0) ? T(0) : x > T(6) ? T(6) : x;
}

/// f(x), for T float or double.
template <class T>
AKIN_HOST_DEVICE inline T activate(Activation kind, T x) {
  switch (kind) {
    case Activation::relu:
      return relu(x);
    case Activation::relu6:
      return relu6(x);
    case Activation::hardswish:
      return x * relu6(x + T(3)) * (T(1) / T(6));
    case Activation::hardsigmoid:
      return relu6(x + T(3)) * (T(1) / T(6));
    default:
      return x;
  }
}

/// f'(x) dy from the kept value: y or x.
template <class T>
AKIN_HOST_DEVICE inline T activation_gradient(Activation kind, T kept, T dy) {
  switch (kind) {
    case Activation::relu:
      return kept > T(0) ? dy : T(0);
    case Activation::relu6:
      return kept > T(0) && kept < T(6) ? dy : T(0);
    case Activation::hardswish: {  // choices of a number, not of a path: such loops run in vectors
      const T slope = kept * (T(1) / T(3)) + T(0.5);
      return dy * (kept < T(-3) ? T(0) : kept > T(3) ? T(1) : slope);
    }
    case Activation::hardsigmoid:
      return kept > T(-3) && kept < T(3) ? dy * (T(1) / T(6)) : T(0);
    default:
      return dy;
  }
}

/// body.operator()<kind>(): a loop whose activation is known when it is compiled runs in vectors.
template <class Body>
void with_activation(Activation kind, Body&& body) {
  switch (kind) {
    case Activation::none:
      return body.template operator()<Activation::none>();
    case Activation::relu:
      return body.template operator()<Activation::relu>();
    case Activation::relu6:
      return body.template operator()<Activation::relu6>();
    case Activation::hardswish:
      return body.template operator()<Activation::hardswish>();
    case Activation::hardsigmoid:
      return body.template operator()<Activation::hardsigmoid>();
  }
  fail("activation: there is no kind {}", static_cast<int>(kind));
}

/// `size`: bytes an element, here and in every contract.
constexpr Work activation_fwd_work(Activation kind, std::int64_t n, std::size_t size) {
  const double flops = kind == Activation::relu ? 1 : kind == Activation::relu6 ? 2 : kind == Activation::none ? 0 : 4;
  return elementwise_work(n, kind == Activation::hardswish ? 5 : flops, 2, size);
}
constexpr Work activation_bwd_work(Activation kind, std::int64_t n, std::size_t size) {
  return elementwise_work(n, activation_fwd_work(kind, 1, 1).flops, 3, size);
}

/// One launch each.
template <class Dev, class T>
void activation_fwd(const Stream<Dev>& stream, Activation kind, std::int64_t n, const T* x, T* y);
template <class Dev, class T>
void activation_bwd(const Stream<Dev>& stream, Activation kind, std::int64_t n, const T* kept, const T* dy, T* dx,
                    Accum mode);

}  // namespace akin
