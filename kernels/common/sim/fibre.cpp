#include "kernels/common/sim/fibre.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "kernels/common/error.hpp"
#include "kernels/common/sim/sanitizers.hpp"

#if !defined(AKIN_SIM_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define AKIN_SIM_UCONTEXT 1
#endif
#if defined(AKIN_SIM_UCONTEXT)
#include <ucontext.h>
#endif

// akin_sim_switch(save, load): pushes the registers that a function must preserve, stores the stack pointer in *save,
// takes `load` as the stack pointer and pops the registers that were pushed there. Everything else is saved by the
// compiler around the call.
#if defined(AKIN_SIM_UCONTEXT)
#elif defined(__x86_64__)
extern "C" void akin_sim_switch(void** save, void* load);
asm(R"(
.text
.globl akin_sim_switch
.hidden akin_sim_switch
.type akin_sim_switch,@function
akin_sim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size akin_sim_switch,.-akin_sim_switch
)");
#elif defined(__aarch64__)
extern "C" void akin_sim_switch(void** save, void* load);
asm(R"(
.text
.globl akin_sim_switch
.hidden akin_sim_switch
.type akin_sim_switch,%function
akin_sim_switch:
  stp x29, x30, [sp, #-160]!
  stp x19, x20, [sp, #16]
  stp x21, x22, [sp, #32]
  stp x23, x24, [sp, #48]
  stp x25, x26, [sp, #64]
  stp x27, x28, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #16]
  ldp x21, x22, [sp, #32]
  ldp x23, x24, [sp, #48]
  ldp x25, x26, [sp, #64]
  ldp x27, x28, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  ldp x29, x30, [sp], #160
  ret
.size akin_sim_switch,.-akin_sim_switch
)");
#endif

namespace akin::sim {

#if defined(AKIN_SIM_UCONTEXT)
struct MachineContext {
  ucontext_t registers{};
};
#else
struct MachineContext {};
#endif

namespace {

// Kernels keep little on the stack; instrumented code keeps several times as much. Untouched pages cost nothing.
constexpr std::size_t kStackBytes = (kAsan || kTsan ? 256 : 128) << 10;

std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

Fibre::Fibre() = default;

Fibre::~Fibre() {
#if defined(AKIN_SIM_TSAN)
  if (owns_stack && tsan != nullptr) __tsan_destroy_fiber(tsan);
#endif
  if (!owns_stack) return;
  unpoison(stack, stack_bytes);
  munmap(stack - page_bytes(), stack_bytes + page_bytes());
}

void create_fibre(Fibre& fibre, unsigned index, FibreEntry entry) {
  const std::size_t guard = page_bytes();
  void* p =
      mmap(nullptr, kStackBytes + guard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  AKIN_CHECK(p != MAP_FAILED, "sim: no memory for the stack of a CUDA thread: {}; use smaller blocks",
             std::strerror(errno));
  mprotect(p, guard, PROT_NONE);
  fibre.stack = static_cast<char*>(p) + guard;
  fibre.stack_bytes = kStackBytes;
  fibre.top_offset = index * 320u % 4096u / 64u * 64u;
  fibre.owns_stack = true;
  restart_fibre(fibre, entry);
}

void restart_fibre(Fibre& fibre, FibreEntry entry) {
  unpoison(fibre.stack, fibre.stack_bytes);
  fibre.start = nullptr;
  fibre.fake_stack = nullptr;
#if defined(AKIN_SIM_TSAN)
  if (fibre.tsan != nullptr) {  // what it did happened before whatever comes now: step over and back, and be told so
    void* self = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fibre.tsan, __tsan_switch_to_fiber_no_sync);
    __tsan_switch_to_fiber(self, 0);
    __tsan_destroy_fiber(fibre.tsan);
  }
  fibre.tsan = __tsan_create_fiber(0);
#endif
  char* top = fibre.stack + fibre.stack_bytes - fibre.top_offset;
#if defined(AKIN_SIM_UCONTEXT)
  if (!fibre.context) fibre.context = std::make_unique<MachineContext>();
  ucontext_t& registers = fibre.context->registers;
  getcontext(&registers);
  registers.uc_stack.ss_sp = fibre.stack;
  registers.uc_stack.ss_size = static_cast<std::size_t>(top - fibre.stack);
  registers.uc_link = nullptr;
  makecontext(&registers, entry, 0);
#elif defined(__x86_64__)
  void** words = reinterpret_cast<void**>(top);
  *--words = nullptr;  // where `entry` would return to: aligns its frame and ends the debugger's backtrace
  *--words = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--words = nullptr;
  fibre.stack_pointer = words;
#else
  void** words = reinterpret_cast<void**>(top) - 20;
  for (int i = 0; i < 20; ++i) words[i] = nullptr;
  words[1] = reinterpret_cast<void*>(entry);  // x30
  fibre.stack_pointer = words;
#endif
}

void adopt_thread(Fibre& fibre) {
#if defined(AKIN_SIM_UCONTEXT)
  if (!fibre.context) fibre.context = std::make_unique<MachineContext>();
#endif
  if (kAsan && fibre.stack == nullptr) {
    pthread_attr_t attributes;
    void* lowest = nullptr;
    AKIN_CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0, "sim: cannot find this thread's own stack");
    pthread_attr_getstack(&attributes, &lowest, &fibre.stack_bytes);
    pthread_attr_destroy(&attributes);
    fibre.stack = static_cast<char*>(lowest);
  }
#if defined(AKIN_SIM_TSAN)
  fibre.tsan = __tsan_get_current_fiber();
#endif
}

// Not inlined: a compiler may keep thread-local addresses and shadow-stack bookkeeping across what it sees as one call.
__attribute__((noinline)) void switch_fibre(Fibre& from, Fibre& to, [[maybe_unused]] bool abandon) {
#if defined(AKIN_SIM_ASAN)
  __sanitizer_start_switch_fiber(abandon ? nullptr : &from.fake_stack, to.stack, to.stack_bytes);
#endif
#if defined(AKIN_SIM_TSAN)
  __tsan_switch_to_fiber(to.tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(AKIN_SIM_UCONTEXT)
  swapcontext(&from.context->registers, &to.context->registers);
#else
  akin_sim_switch(&from.stack_pointer, to.stack_pointer);
#endif
#if defined(AKIN_SIM_ASAN)
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void fibre_started() {
#if defined(AKIN_SIM_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace akin::sim
