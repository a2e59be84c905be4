#include "kernels/common/parallel.hpp"

#include <omp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/common/processors.hpp"

namespace akin {
namespace {

using parallel_detail::Task;
using Clock = std::chrono::steady_clock;

// Loops follow each other within microseconds, and waking a thread takes some 50: so who waits looks for a while before
// it sleeps. Not longer: on a busy machine the one who is waited for may have lost its processor to another program,
// and gets the one on which its fellow sleeps.
constexpr std::chrono::microseconds kWatch(100);

constexpr std::uint32_t kNone = 0xffffffffU;  // no task has this number

void pause() {
#if defined(__x86_64__)
  for (int i = 0; i < 4; ++i) __builtin_ia32_pause();
#endif
}

/// Looks until `there`, for kWatch.
template <class Condition>
bool watch(Condition&& there) {
  for (int look = 0; look < 100; ++look, pause())  // the clock takes longer than most waits
    if (there()) return true;
  for (const auto end = Clock::now() + kWatch; Clock::now() < end; pause())
    if (there()) return true;
  return there();
}

/// What a thread has had so far.
struct Had {
  Clock::time_point at = Clock::now();
  double processor = 0;
  long lost = 0;  ///< how often its processor was taken away

  Had() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    processor = static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
    rusage use{};
    getrusage(RUSAGE_THREAD, &use);
    lost = use.ru_nivcsw;
  }
};

/// A thread's share of the tasks of the loop that runs. Neighbouring tasks go to one thread, whose cache holds what it
/// wrote in the loop before; who has done its own share takes from the others'.
struct alignas(64) Share {
  std::atomic<std::uint64_t> next{kNone};  ///< the loop's number << 32 | the next task, or kNone between loops
  std::atomic<std::uint32_t> end{0};

  /// The next task of that loop: a thread that is late must not join the one after, which may have fewer threads.
  bool take(std::uint64_t loop, std::uint32_t& task) {
    std::uint64_t seen = next.load(std::memory_order_acquire);
    while (seen >> 32 == loop && static_cast<std::uint32_t>(seen) < end.load(std::memory_order_acquire))
      if (next.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) {
        task = static_cast<std::uint32_t>(seen);
        return true;
      }
    return false;
  }
};

thread_local bool in_loop = false;
struct InLoop {
  InLoop() { in_loop = true; }
  ~InLoop() { in_loop = false; }
};

class Crew {
 public:
  std::mutex busy;  ///< held while a loop runs

  void run(std::int64_t n, int threads, void* body, Task task) {
    threads = hire(threads);
    body_ = body;
    task_ = task;
    left_.store(static_cast<std::uint32_t>(n));
    ++loop_;
    threads_.store(loop_ << 32 | static_cast<std::uint32_t>(threads));
    for (int t = 0; t < threads; ++t) {
      Share& share = shares_[static_cast<std::size_t>(t)];
      share.end.store(static_cast<std::uint32_t>(n * (t + 1) / threads), std::memory_order_release);
      share.next.store(loop_ << 32 | static_cast<std::uint32_t>(n * t / threads));
    }
    for (int t = 1; t < threads; ++t) helpers_[static_cast<std::size_t>(t - 1)]->wake();
    work(0);
    if (!watch([this] { return left_.load(std::memory_order_acquire) == 0; }))
      for (std::uint32_t left = 0; (left = left_.load(std::memory_order_acquire)) != 0;)
        left_.wait(left, std::memory_order_acquire);
    for (int t = 0; t < threads; ++t) shares_[static_cast<std::size_t>(t)].next.store(loop_ << 32 | kNone);
    if (const std::exception_ptr failure = std::exchange(failure_, nullptr)) std::rethrow_exception(failure);
  }

  CrewTime time() {
    const std::lock_guard lock(busy);
    CrewTime all{.helpers = static_cast<int>(helpers_.size())};
    for (const auto& helper : helpers_) {
      all.wanted += helper->wanted.load(std::memory_order_relaxed);
      all.processor += helper->processor.load(std::memory_order_relaxed);
    }
    return all;
  }

 private:
  struct Helper {
    std::atomic<std::uint32_t> asleep{0};
    std::atomic<double> wanted{0}, processor{0};

    void wake() {
      if (asleep.load() == 0) return;
      asleep.store(0);
      asleep.notify_one();
    }
  };

  /// How many threads there are in the end: up to `threads`.
  int hire(int threads) {
    threads = std::min(threads, kMostThreads);
    while (!refused_ && static_cast<int>(helpers_.size()) < threads - 1) {
      auto helper = std::make_unique<Helper>();
      const int number = static_cast<int>(helpers_.size()) + 1;
      try {
        std::thread([this, number, &own = *helper] { help(number, own); }).detach();
      } catch (const std::system_error&) {  // the system gives no more, and is not asked at every loop
        refused_ = true;
        break;
      }
      helpers_.push_back(std::move(helper));
    }
    return std::min(threads, static_cast<int>(helpers_.size()) + 1);
  }

  bool called(int number) const { return number < static_cast<int>(threads_.load()) && left_.load() > 0; }

  void work(int thread) {
    const std::uint64_t loop = threads_.load(std::memory_order_relaxed);
    const auto threads = static_cast<int>(loop);
    if (thread >= threads) return;
    std::uint32_t done = 0;
    for (int i = 0; i < threads; ++i)
      for (std::uint32_t task = 0; shares_[static_cast<std::size_t>((thread + i) % threads)].take(loop >> 32, task);
           ++done)
        try {
          task_(body_, task, thread);
        } catch (...) {
          keep_failure(task);
        }
    // All at once: the threads would hand this number's cache line to and fro.
    if (done > 0 && left_.fetch_sub(done, std::memory_order_acq_rel) == done && thread > 0) left_.notify_one();
  }

  void keep_failure(std::uint32_t task) {
    const std::lock_guard lock(failing_);
    if (failure_ != nullptr && failed_ < task) return;
    failure_ = std::current_exception();
    failed_ = task;
  }

  void help(int number, Helper& own) {
    in_loop = true;
    omp_set_num_threads(1);  // oneDNN would start a team of its own in this thread
    for (;;) {
      const Had before;
      while (watch([&] { return called(number); })) {
        work(number);
        watch([&] { return !called(number); });  // the others' last tasks
      }
      const Had now;
      const double processor = now.processor - before.processor;
      // A thread that waited for a disk had no processor either, but lost none.
      const double wanted = std::chrono::duration<double>(now.at - before.at).count();
      own.wanted.store(own.wanted.load() + (now.lost > before.lost ? wanted : processor));
      own.processor.store(own.processor.load() + processor);
      own.asleep.store(1);
      if (called(number))  // between the last look and falling asleep
        own.asleep.store(0);
      else
        own.asleep.wait(1);
    }
  }

  // Written between loops by the one who runs them; read by who has taken a task.
  void* body_ = nullptr;
  Task task_ = nullptr;
  std::uint64_t loop_ = 0;
  std::vector<std::unique_ptr<Helper>> helpers_;
  bool refused_ = false;

  std::mutex failing_;
  std::exception_ptr failure_;
  std::uint32_t failed_ = 0;  // the task that threw it

  alignas(64) std::atomic<std::uint32_t> left_{0};  // tasks that are not done
  std::atomic<std::uint64_t> threads_{1};           // the loop's number << 32 | how many threads it has
  std::array<Share, kMostThreads> shares_;
};

/// Never destroyed: its threads live until the process ends. A process that was forked off has none of them, and gets a
/// crew of its own.
Crew& crew() {
  static std::atomic<Crew*> only = [] {
    ::pthread_atfork(nullptr, nullptr, [] { only.store(new Crew); });
    return new Crew;
  }();
  return *only.load(std::memory_order_relaxed);
}

/// Read when first asked for, which other files' globals do; at the latest before main(), as oneDNN's plans change what
/// OpenMP says in a thread.
int first_threads() {
  static const int n = std::getenv("OMP_NUM_THREADS") != nullptr ? omp_get_max_threads() : available_processors();
  return n;
}
[[maybe_unused]] const int asked = first_threads();
thread_local int limit = 0;

}  // namespace

int max_threads() { return limit > 0 ? limit : first_threads(); }
void set_threads(int n) { limit = std::max(n, 1); }

ThreadsScope::ThreadsScope(int n) : before_(std::exchange(limit, std::max(n, 0))) {}
ThreadsScope::~ThreadsScope() { limit = before_; }

CrewTime crew_time() { return crew().time(); }

namespace parallel_detail {

void run(std::int64_t n, void* body, Task task) {
  const auto threads = static_cast<int>(std::min<std::int64_t>(n, max_threads()));
  if (threads > 1 && !in_loop && n < kNone)
    if (const std::unique_lock lock(crew().busy, std::try_to_lock); lock.owns_lock()) {
      const InLoop mark;
      crew().run(n, threads, body, task);
      return;
    }
  for (std::int64_t i = 0; i < n; ++i) task(body, i, 0);
}

}  // namespace parallel_detail

}  // namespace akin
