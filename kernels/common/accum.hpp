#pragma once

namespace akin {

/// How a kernel writes its result: a write mode is an argument, never folklore.
enum class Accum {
  overwrite,  ///< y = f(x); y may hold anything before, NaN included
  add         ///< y += f(x)
};

/// Stores `value` in `y` as the mode says.
template <class T>
inline void store(T& y, T value, Accum mode) {
  y = mode == Accum::add ? y + value : value;
}

}  // namespace akin
