#include "kernels/common/sim/grid.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kernels/common/sim/memory.hpp"
#include "kernels/common/sim/multiprocessor.hpp"
#include "kernels/common/sim/sanitizers.hpp"

namespace akin::sim {

namespace {

struct Grid {
  Dim3 blocks, threads;
  std::size_t shared_bytes;
  const Options& options;
  void (*body)(void*);
  void* arguments;

  std::uint64_t total = 0;
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex{};
  std::string error{};             ///< the first
  std::exception_ptr exception{};  ///< of the emulator itself: no memory for stacks
  char fence = 0;
};

/// Takes blocks until there are none, or one has failed.
void run_blocks(Grid& grid) {
  thread_local Multiprocessor sm;
  adopt_thread(sm.host);
  sm.body = grid.body;
  sm.arguments = grid.arguments;
  sm.fence = &grid.fence;
  sm.dynamic_bytes = grid.shared_bytes;
  sm.policy = grid.options.policy;
  current = &sm;
  cuda::blockDim = grid.threads;
  cuda::gridDim = grid.blocks;
  const std::uint64_t nx = grid.blocks.x, ny = grid.blocks.y;
  while (!grid.failed.load(std::memory_order_relaxed)) {
    const std::uint64_t i = grid.next.fetch_add(1, std::memory_order_relaxed);
    if (i >= grid.total) break;
    cuda::blockIdx = {static_cast<unsigned>(i % nx), static_cast<unsigned>(i / nx % ny),
                      static_cast<unsigned>(i / nx / ny)};
    try {
      run_block(sm, grid.threads, grid.options.seed * 0xbf58476d1ce4e5b9ull + i);
    } catch (...) {
      sm.error = "the emulator failed";
      const std::lock_guard lock(grid.mutex);
      if (!grid.exception) grid.exception = std::current_exception();
    }
    if (sm.error.empty()) continue;
    const std::lock_guard lock(grid.mutex);
    if (!grid.failed.exchange(true)) grid.error = sm.error;
  }
  order_acquire(&sm.lane_end);
  current = nullptr;
}

/// OS threads that wait for grids; made when a grid first asks for them. One grid at a time uses them.
class Pool {
 public:
  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : threads_) t.join();
  }

  /// Runs the grid on the calling thread and `helpers` others.
  void run(Grid& grid, int helpers) {
    const std::lock_guard one_grid(use_);
    {
      const std::lock_guard lock(mutex_);
      while (static_cast<int>(threads_.size()) < helpers)
        threads_.emplace_back([this, seen = turn_, index = static_cast<int>(threads_.size())] { work(seen, index); });
      grid_ = &grid;
      helpers_ = busy_ = helpers;
      ++turn_;
    }
    wake_.notify_all();
    run_blocks(grid);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return busy_ == 0; });
  }

 private:
  void work(std::uint64_t seen, int index) {
    for (;;) {
      Grid* grid = nullptr;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || turn_ != seen; });
        if (stop_) return;
        seen = turn_;
        if (index >= helpers_) continue;
        grid = grid_;
      }
      run_blocks(*grid);
      const std::lock_guard lock(mutex_);
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex use_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  Grid* grid_ = nullptr;
  int helpers_ = 0, busy_ = 0;
  std::uint64_t turn_ = 0;
  bool stop_ = false;
};

Pool& pool() {
  static Pool p;
  return p;
}

std::string text(Dim3 d) { return fmt::format("({},{},{})", d.x, d.y, d.z); }

}  // namespace

void run_grid(const char* kernel_name, Dim3 grid, Dim3 block, std::size_t shared_bytes, const Options& options,
              void (*body)(void*), void* arguments) {
  const auto fail_launch = [&](const std::string& what) {
    throw Error(fmt::format("sim: {} with grid {}, block {}, {} bytes of shared memory: {}", kernel_name, text(grid),
                            text(block), shared_bytes, what));
  };
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (block.x > 1024 || block.y > 1024 || block.z > 64 || threads == 0 || threads > 1024)
    fail_launch("a block has 1 to 1024 threads, at most 64 in z");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    fail_launch("a grid has 1 to (2147483647,65535,65535) blocks");
  if (shared_bytes > kSharedPerBlock) fail_launch(fmt::format("a block has {} bytes", kSharedPerBlock));
  if (current != nullptr) fail_launch("a kernel cannot launch another one here");

  Grid work{grid, block, shared_bytes, options, body, arguments};
  work.total = std::uint64_t{grid.x} * grid.y * grid.z;
  const HostAccess access;
  const auto workers = std::min<std::uint64_t>(work.total, static_cast<std::uint64_t>(std::max(options.os_threads, 1)));
  if (workers == 1)
    run_blocks(work);
  else
    pool().run(work, static_cast<int>(workers) - 1);
  if (work.exception) std::rethrow_exception(work.exception);
  if (work.failed) fail_launch(work.error);
}

}  // namespace akin::sim
