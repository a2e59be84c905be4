// Compiled oneDNN primitives, kept per shape: making one costs more than running a small convolution.
#pragma once

#include <memory>
#include <string>

namespace akin::fast {

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
