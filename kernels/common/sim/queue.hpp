// Streams of the emulated device. What is put into a queue is kept and done later, in any order that the queues and
// their events allow: a host that forgets to wait, or one stream for another, then meets work that is not done yet, or
// work that is done already.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/common/sim/grid.hpp"

namespace akin::sim {

class Queue;

/// A point in a queue's work.
struct Mark {
  Queue* queue = nullptr;  ///< alive while not `done`
  bool done = false;
  bool captured = false;  ///< of a graph: it never comes
  std::chrono::steady_clock::time_point at{};
  std::exception_ptr error{};  ///< what the work before it failed with
};
using MarkPointer = std::shared_ptr<Mark>;
using Work = std::function<void()>;

/// The queues of one device. Work of all of them is done by whoever waits, one piece at a time; threads may use
/// different queues at once.
class Queues {
 public:
  explicit Queues(const Options& options) : async_(options.async), random_(options.seed * 0x9e3779b97f4a7c15ull | 1) {}
  /// Blocks until the work before `mark` is done; throws what it failed with.
  void finish(const Mark& mark);
  /// Blocks until all work is done. Failures stay with their queues.
  void finish_all() noexcept;
  /// Both must be done.
  float milliseconds(const Mark& from, const Mark& to);

 private:
  friend class Queue;
  bool ready(const Queue& queue) const;
  void run_next(Queue& queue);
  void run_until_empty(Queue& queue);
  void run_until(const Mark& mark);
  void stir();
  std::uint64_t draw();

  std::mutex mutex_;
  std::vector<Queue*> queues_;
  Async async_;
  std::uint64_t random_;
  std::size_t favourite_ = 0;  ///< Async::random: this one runs ahead, the others lag
};

/// What Stream<Sim>::handle points to.
class Queue {
 public:
  Queue(std::shared_ptr<Queues> all, const Options& options);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  const Options& options() const { return options_; }
  void submit(Work work);
  MarkPointer record();
  /// Later work waits for `mark`.
  void wait(MarkPointer mark);
  /// Throws what the queue's work failed with; it is forgotten then.
  void synchronize();

  /// From here on this thread's submit() keeps work for end_capture() instead.
  void begin_capture();
  bool capturing() const { return capture_ != nullptr; }
  /// Throws where something broke the capture.
  std::shared_ptr<const std::vector<Work>> end_capture();

 private:
  friend class Queues;
  struct Item {
    Work work;                 ///< or
    MarkPointer record, wait;  ///< one of these
  };
  struct Capture;
  void put(Item item);
  void fail(const std::exception_ptr& error);

  std::shared_ptr<Queues> all_;
  Options options_;
  std::deque<Item> items_;
  std::exception_ptr error_;
  std::unique_ptr<Capture> capture_;
};

/// Where the calling thread captures a graph: the capture is broken, which its end_capture() tells, and the message is
/// returned. Else "".
std::string break_capture(const char* what);
/// The same, thrown as Error.
void refuse_in_capture(const char* what);

}  // namespace akin::sim
