#pragma once

#include "kernels/common/bf16.hpp"

namespace akin {

/// How a kernel writes its result: a write mode is an argument, never folklore.
enum class Accum {
  overwrite,  ///< y = f(x); y may hold anything before, NaN included
  add         ///< y += f(x)
};

/// Stores `value` in `y` as the mode says; bf16 is rounded once, after the addition.
template <class T>
inline void store(T& y, Full<T> value, Accum mode = Accum::overwrite) {
  y = narrowed<T>(mode == Accum::add ? widened(y) + value : value);
}

}  // namespace akin
