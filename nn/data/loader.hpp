// A background thread that makes batches ahead of the training loop.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "kernels/common/parallel.hpp"

namespace akin {

/// Calls make(t) for t = first, first + 1, ... on its own thread, at most `depth` batches (at least 1) ahead; next()
/// returns them in order. An exception in make() comes out of next(). The thread runs its loops alone: the crew of
/// parallel.hpp is the training loop's.
template <class Batch>
class Loader {
 public:
  Loader(std::function<Batch(std::int64_t)> make, std::int64_t first, std::size_t depth = 3)
      : make_(std::move(make)), depth_(depth < 1 ? 1 : depth), thread_([this, first] { work(first); }) {}
  ~Loader() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    room_.notify_all();
    thread_.join();
  }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  Batch next() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return !queue_.empty() || error_; });
    if (queue_.empty()) std::rethrow_exception(error_);
    Batch b = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    room_.notify_one();
    return b;
  }

 private:
  void work(std::int64_t t) {
    set_threads(1);
    try {
      for (;; ++t) {
        {
          std::unique_lock lock(mutex_);
          room_.wait(lock, [this] { return stop_ || queue_.size() < depth_; });
          if (stop_) return;
        }
        Batch b = make_(t);
        const std::lock_guard lock(mutex_);
        queue_.push_back(std::move(b));
        ready_.notify_one();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
      ready_.notify_one();
    }
  }

  std::function<Batch(std::int64_t)> make_;
  std::size_t depth_;
  std::mutex mutex_;
  std::condition_variable ready_, room_;
  std::deque<Batch> queue_;
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;  // last: it starts when all else is there
};

}  // namespace akin
