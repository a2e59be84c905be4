// The emulated multiprocessor: an OS thread that runs one block at a time, one CUDA thread after the other. Used by the
// emulator's own files only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/common/sim/block.hpp"
#include "kernels/common/sim/cuda_types.hpp"
#include "kernels/common/sim/fibre.hpp"
#include "kernels/common/sim/schedule.hpp"

namespace akin::sim {

/// What a CUDA thread may wait in.
enum class Op : std::uint8_t { none, barrier, shuffle, vote, warp_barrier, mma_bf16, mma_tf32, mma_f64, ldmatrix };
const char* op_name(Op op);

/// A CUDA thread.
struct Lane {
  enum class State : std::uint8_t { fresh, running, waiting, exited };

  cuda::uint3 thread{};  ///< threadIdx
  unsigned index = 0;    ///< in the block
  State state = State::fresh;
  Op op = Op::none;                      ///< what it waits in,
  Site site{"", 0};                      ///< where,
  unsigned mask = 0;                     ///< with which lanes of its warp,
  void* record = nullptr;                ///< and its arguments, on its own stack
  Fibre* fibre = nullptr;                ///< nullptr: not started, or exited
  std::vector<AsyncCopy> copies;         ///< of all groups under way and of the open one, oldest first
  std::vector<std::size_t> group_sizes;  ///< copies of each committed group
  std::size_t finished_copies = 0;       ///< at the front of `copies`, handed out and to be dropped
};

/// Lanes that meet in one warp-wide operation.
struct Meeting {
  Op op = Op::none;
  unsigned mask = 0;     ///< who must come
  unsigned arrived = 0;  ///< who has
  unsigned order = 0;    ///< index into SyncObjects::warp
};

struct Warp {
  unsigned exited = 0;  ///< lanes; also those a partial warp never had
  unsigned meetings = 0;
  unsigned next_order = 0;
  Meeting meeting[32];
};

/// Addresses that stand for synchronisation in the race checker; new memory for every block.
struct SyncObjects {
  static constexpr unsigned kPerWarp = 64;
  char barrier[2];
  char warp[32][kPerWarp];
};

struct SharedVariable {
  const void* key;
  void* address;
  std::size_t bytes;
};

struct Multiprocessor {
  ~Multiprocessor();

  // The grid.
  void (*body)(void*) = nullptr;
  void* arguments = nullptr;
  void* fence = nullptr;  ///< stands for memory_fence in the race checker
  std::size_t dynamic_bytes = 0;
  Policy policy = Policy::fifo;

  // The block.
  std::vector<Lane> lanes;
  std::vector<Warp> warps;
  ReadyQueue ready;
  unsigned threads = 0, at_barrier = 0, exited = 0, barriers = 0;
  Site barrier_site{"", 0};
  std::string error;  ///< not empty: the block failed

  // What runs.
  Lane* lane = nullptr;
  Fibre* fibre = nullptr;
  Fibre* failed_fibre = nullptr;  ///< the one that set `error`
  Fibre host;                     ///< the OS thread's own stack

  // Fibres, kept from block to block.
  std::vector<std::unique_ptr<Fibre>> fibres;
  std::vector<Fibre*> free_fibres;
  std::size_t next_fibre = 0;  ///< with TSan: they are used in turn

  // Shared memory: an arena with red zones between the variables; with TSan a piece of memory for each.
  char* arena = nullptr;
  std::vector<void*> pieces;
  std::size_t arena_used = 0, shared_bytes = 0, static_bytes = 0;
  void* dynamic = nullptr;
  std::vector<SharedVariable> variables;
  SyncObjects* sync = nullptr;

  char block_start = 0, lane_end = 0;  ///< for the race checker
};

/// The calling OS thread's multiprocessor while it runs a block.
extern constinit thread_local Multiprocessor* current;

/// Runs one block; on failure `error` is set and all its threads are forgotten.
void run_block(Multiprocessor& sm, cuda::dim3 block, std::uint64_t seed);

/// New shared memory for a block.
void reset_shared(Multiprocessor& sm);

/// Marks `lane` as waiting and runs others until it is ready again.
void wait_for_others(Multiprocessor& sm);

/// Called when a lane has exited: lanes of its warp may have waited only for it.
void warp_lane_exited(Multiprocessor& sm, unsigned warp);

/// "softmax.cu:42"
std::string place(Site site);

/// One line for each thing that threads of the block do.
std::string describe_threads(const Multiprocessor& sm);

}  // namespace akin::sim
