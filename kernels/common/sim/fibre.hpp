// Fibres: stacks that one OS thread runs in turn. Switching saves a few registers and changes the stack pointer; the
// kernel of the operating system takes no part (3 ns instead of microseconds).
#pragma once

#include <cstddef>
#include <memory>

namespace akin::sim {

struct Lane;
struct MachineContext;  ///< ucontext, on processors for which fibre.cpp has no switch of its own

struct Fibre {
  Fibre();
  ~Fibre();
  Fibre(const Fibre&) = delete;
  Fibre& operator=(const Fibre&) = delete;

  Lane* start = nullptr;  ///< CUDA thread to run when the fibre is next switched to; nullptr: go on where it stopped
  void* stack_pointer = nullptr;
  char* stack = nullptr;  ///< lowest usable byte
  std::size_t stack_bytes = 0;
  std::size_t top_offset = 0;  ///< unused bytes at the top
  bool owns_stack = false;     ///< false: the OS thread's own
  void* fake_stack = nullptr;  ///< ASan
  void* tsan = nullptr;        ///< TSan
  std::unique_ptr<MachineContext> context;
};

using FibreEntry = void (*)() noexcept;

/// Gives the fibre a stack of its own with a guard page below it and lets it begin in `entry`, which must call
/// fibre_started() first and never return. Throws Error when there is no memory. `index` spreads the tops of the
/// stacks, which are used most, over the sets of the L1 cache.
void create_fibre(Fibre& fibre, unsigned index, FibreEntry entry);

/// Forgets what is on the fibre's stack and lets it begin anew. Only from the OS thread's own stack.
void restart_fibre(Fibre& fibre, FibreEntry entry);

/// Makes `fibre` stand for the calling OS thread and its stack.
void adopt_thread(Fibre& fibre);

/// Leaves `from` (the one that runs) and goes on in `to`. With `abandon`, `from` will never run again as it is.
void switch_fibre(Fibre& from, Fibre& to, bool abandon = false);

void fibre_started();

}  // namespace akin::sim
