// Loops over several threads of one crew that lives as long as the program.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace akin {

/// Most threads that a loop can have.
inline constexpr int kMostThreads = 4096;

/// Number of threads that a parallel loop of the calling thread may use: set_threads(), or OMP_NUM_THREADS, or
/// available_processors() (processors.hpp).
int max_threads();

/// Limits the calling thread's parallel loops to `n` threads (the loader's thread runs with 1).
void set_threads(int n);

/// While alive, the calling thread's loops have up to `n` threads, or for 0 as many as if nobody had called
/// set_threads; then what it had before.
class ThreadsScope {
 public:
  explicit ThreadsScope(int n);
  ~ThreadsScope();
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_;
};

/// What the crew's helpers got: with processors of their own, `processor` is about `wanted`.
struct CrewTime {
  int helpers = 0;       ///< threads beside the calling one
  double wanted = 0;     ///< seconds at work or on the lookout for it, all helpers together
  double processor = 0;  ///< of these, seconds on a processor
};
/// Not to be called inside a loop's body.
CrewTime crew_time();

/// Runs body(task, thread) for every task of [0, n), each on the thread that is free first; thread < max_threads(). The
/// calling thread is number 0. Results must not depend on who does what. Inside the body of a loop that has
/// several threads, or while another thread's loop runs, everything is done by the calling thread. Of the exceptions that leave the body, that of the lowest task comes
/// out.
template <class Body>
void parallel_tasks(std::int64_t n, Body&& body);

/// Runs body(begin, end) over [0, n), cut into contiguous ranges of at least `grain`, by n and grain alone: the same on
/// any number of threads.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, Body&& body);

/// The same with the number of the range before it, body(piece, begin, end); piece < pieces_of(n, grain).
template <class Body>
void parallel_pieces(std::int64_t n, std::int64_t grain, Body&& body);

namespace parallel_detail {
using Task = void (*)(void* body, std::int64_t task, int thread);
void run(std::int64_t n, void* body, Task task);
}  // namespace parallel_detail

template <class Body>
void parallel_tasks(std::int64_t n, Body&& body) {
  if (n == 1) return static_cast<void>(body(std::int64_t{0}, 0));
  parallel_detail::run(n, const_cast<void*>(static_cast<const void*>(&body)),
                       [](void* to, std::int64_t task, int thread) {
                         (*static_cast<std::remove_reference_t<Body>*>(to))(task, thread);
                       });
}

/// Most pieces of a loop, and so most threads that it can use: enough of them that one that is late is not long waited
/// for.
inline constexpr std::int64_t kMostPieces = 16;

/// Into how many pieces parallel_for cuts a loop.
constexpr std::int64_t pieces_of(std::int64_t n, std::int64_t grain) {
  return std::clamp<std::int64_t>(n / std::max<std::int64_t>(grain, 1), 1, kMostPieces);
}

template <class Body>
void parallel_pieces(std::int64_t n, std::int64_t grain, Body&& body) {
  if (n <= 0) return;
  const std::int64_t pieces = pieces_of(n, grain);
  if (pieces == 1) return static_cast<void>(body(std::int64_t{0}, std::int64_t{0}, n));
  parallel_tasks(pieces, [&](std::int64_t piece, int) { body(piece, n * piece / pieces, n * (piece + 1) / pieces); });
}

template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, Body&& body) {
  parallel_pieces(n, grain, [&](std::int64_t, std::int64_t begin, std::int64_t end) { body(begin, end); });
}

}  // namespace akin
