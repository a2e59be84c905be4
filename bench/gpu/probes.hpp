// Kernels that do one thing many times, of which the time tells a constant of a card. What they compute is known, so
// that a compiler that leaves work out is found out. Compiled for cards and for the emulator, as those of kernels/ are.
#pragma once

#include "kernels/common/stream.hpp"

namespace akin::bench {

/// What every thread of a block repeats, within its multiprocessor.
enum class Inside {
  shared32,       ///< loads of 4 bytes from shared memory, neighbouring lanes neighbouring words
  shared64,       ///< of 8 bytes
  shared128,      ///< of 16 bytes
  ldmatrix,       ///< ldmatrix.x4: 512 bytes a warp
  mma_bf16,       ///< mma.m16n8k16: 2048 products a warp
  mma_tf32,       ///< mma.m16n8k8: 1024
  ffma,           ///< fused multiply-adds of float
  dfma,           ///< of double
  ex2,            ///< ex2.approx
  atomic_spread,  ///< atomicAdd in shared memory, each thread at a word of its own
  atomic_one,     ///< all threads of a block at one word
};
inline constexpr int kInsideSteps = 8;  ///< of it in a round; independent of each other, atomics apart

/// A launch of `blocks` of `threads` (at most 1024, whole warps), `rounds` rounds each.
struct InsideRun {
  std::int64_t blocks = 1;
  int threads = 32;
  int rounds = 1;
  double* sums = nullptr;          ///< [blocks * threads], what each thread made of it; see expected_inside
  std::int64_t* cycles = nullptr;  ///< [blocks], of the multiprocessor's clock; 0 in the emulator
};
template <class Dev>
void run_inside(const Stream<Dev>& stream, Inside what, const InsideRun& run);
/// What run_inside leaves in each sum. ex2 repeats x = 2^-x, which goes to 0.6411857, for each of its values.
double expected_inside(Inside what, int threads, int rounds);

/// Over device memory, 16 bytes a thread and access and four accesses in flight. Elements: 4 bytes, a multiple of
/// 16 * blocks * threads.
struct Span {
  std::uint32_t* x = nullptr;
  std::int64_t n = 0;  ///< elements
};
struct Grid {
  std::int64_t blocks = 1;
  int threads = 32;
};
/// x[i] = i * 2654435761 modulo 2^32.
template <class Dev>
void fill_words(const Stream<Dev>& stream, Grid grid, Span to);
/// sums[thread] = the sum, modulo 2^32, of what the thread read in `rounds` passes, which go around the first-level
/// cache.
template <class Dev>
void read_words(const Stream<Dev>& stream, Grid grid, Span from, int rounds, std::uint32_t* sums);
template <class Dev>
void copy_words(const Stream<Dev>& stream, Grid grid, Span from, std::uint32_t* to);

/// x[i] = (i + stride) % n: a walk over all elements where stride and n have no common factor.
template <class Dev>
void fill_chain(const Stream<Dev>& stream, Grid grid, Span to, std::int64_t stride);
/// One thread: `steps` loads, each of which says where the next one is. *last: where it begins, and where it came to.
template <class Dev>
void walk_chain(const Stream<Dev>& stream, Span chain, int steps, std::uint32_t* last);

/// Each thread adds 1 to `rounds` elements: spread over all n, or all to the first.
template <class Dev>
void add_to_words(const Stream<Dev>& stream, Grid grid, Span to, int rounds, bool spread);
/// *x += 1, by one thread: the smallest launch.
template <class Dev>
void touch(const Stream<Dev>& stream, std::uint32_t* x);

}  // namespace akin::bench
