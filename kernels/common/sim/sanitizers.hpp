// What the emulator tells the sanitizers. Only the emulator's own .cpp files include this. In a build without them
// every function here is empty.
//
// ASan must know where a fibre's stack is, and which bytes of the shared-memory arena are nobody's.
// TSan serves as the race checker: every CUDA thread is a TSan fibre, and only barriers are told to it as
// synchronisation. The emulator's own accesses must stay unseen, or its bookkeeping would be reported (and would order
// the kernel's accesses): its .cpp files are compiled WITHOUT -fsanitize=thread and with -DAKIN_SIM_TSAN=1. Calls into
// the C library are seen all the same; where they touch memory that several CUDA threads use, Quiet hides them.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define AKIN_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define AKIN_SIM_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#error \
    "compile the emulator's .cpp files with -fno-sanitize=thread -DAKIN_SIM_TSAN=1; the kernels with -fsanitize=thread"
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#error \
    "compile the emulator's .cpp files with -fno-sanitize=thread -DAKIN_SIM_TSAN=1; the kernels with -fsanitize=thread"
#endif
#endif

#if defined(AKIN_SIM_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(AKIN_SIM_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {  // exported by the TSan runtime, declared in no header
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace akin::sim {

#if defined(AKIN_SIM_ASAN)
inline constexpr bool kAsan = true;
inline void poison(const void* p, std::size_t bytes) { __asan_poison_memory_region(p, bytes); }
inline void unpoison(const void* p, std::size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#else
inline constexpr bool kAsan = false;
inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
#endif

#if defined(AKIN_SIM_TSAN)
inline constexpr bool kTsan = true;
/// What this CUDA thread did until now ...
inline void order_release(void* object) { __tsan_release(object); }
/// ... happened before what a thread does that acquires the same object later.
inline void order_acquire(void* object) { __tsan_acquire(object); }
class Quiet {
 public:
  Quiet() {
    AnnotateIgnoreReadsBegin("", 0);
    AnnotateIgnoreWritesBegin("", 0);
  }
  ~Quiet() {
    AnnotateIgnoreWritesEnd("", 0);
    AnnotateIgnoreReadsEnd("", 0);
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
};
#else
inline constexpr bool kTsan = false;
inline void order_release(void*) {}
inline void order_acquire(void*) {}
/// While one is alive, TSan does not see what the C library does for the emulator; memory allocated or freed meanwhile
/// loses its history.
class Quiet {
 public:
  Quiet() {}   // not defaulted: an object that only lives counts as used
  ~Quiet() {}  // NOLINT
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
};
#endif

}  // namespace akin::sim
