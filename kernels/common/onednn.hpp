// Compiled oneDNN primitives, kept per shape: making one costs more than running a small convolution.
#pragma once

#include <memory>
#include <string>
#include <type_traits>

namespace akin::fast {

/// oneDNN serves float alone, in a build that has it.
#if AKIN_HAVE_ONEDNN
template <class T>
inline constexpr bool kOnednn = std::is_same_v<T, float>;
#else
template <class T>
inline constexpr bool kOnednn = false;
#endif

/// "oneDNN 2.6.3", or "" in a build without it.
std::string onednn_version();

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
