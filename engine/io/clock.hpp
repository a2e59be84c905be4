// What time it is.
#pragma once

#include <chrono>

namespace akin {

/// Seconds since 1970, of the system's clock, which may be set.
inline double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace akin
