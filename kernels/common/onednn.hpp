// Compiled oneDNN primitives, kept per shape: making one costs more than running a small convolution.
#pragma once

#include <memory>
#include <string>
#include <type_traits>

#include "kernels/common/bf16.hpp"

namespace akin::fast {

/// oneDNN serves float and bf16, in a build that has it.
#if AKIN_HAVE_ONEDNN
template <class T>
inline constexpr bool kOnednn = std::is_same_v<Full<T>, float>;
#else
template <class T>
inline constexpr bool kOnednn = false;
#endif

/// "oneDNN 2.6.3", or "" in a build without it.
std::string onednn_version();

/// What of the processor it uses, which decides the last bits of its results; "" in a build without it.
std::string onednn_isa();

/// Whether it multiplies bf16 itself here: in a build with oneDNN, on a processor with AVX512_BF16 or AMX, unless the
/// environment's ONEDNN_MAX_CPU_ISA forbids those.
bool onednn_has_bf16();
/// Whether it does so in tiles (AMX).
bool onednn_has_amx();

template <class T>
bool onednn_multiplies() {
  return kOnednn<T> && (std::is_same_v<T, float> || onednn_has_bf16());
}

/// The cache; one per Context, used from one thread at a time. Empty in a build without oneDNN.
class OnednnCache {
 public:
  OnednnCache();
  ~OnednnCache();
  OnednnCache(const OnednnCache&) = delete;
  OnednnCache& operator=(const OnednnCache&) = delete;
  OnednnCache(OnednnCache&&) noexcept;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

}  // namespace akin::fast
