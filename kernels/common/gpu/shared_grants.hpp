// How much dynamic shared memory the card was told that a kernel may ask for: above 48 KB it must be told, once.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <utility>

namespace akin {

class SharedGrants {
 public:
  /// Calls tell(), which returns whether it worked, unless it worked for this card, kernel and as many bytes before.
  /// Threads may call it at once. True where the kernel has its memory.
  template <class Tell>
  bool once(int card, const void* kernel, std::size_t bytes, Tell&& tell) {
    const std::lock_guard lock(mutex_);
    std::size_t& most = granted_[{card, kernel}];
    if (most >= bytes) return true;
    if (!tell()) return false;
    most = bytes;
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<int, const void*>, std::size_t> granted_;
};

}  // namespace akin
