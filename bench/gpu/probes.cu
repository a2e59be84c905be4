#include "bench/gpu/probes.hpp"

#include "kernels/common/gpu/vector.cuh"

namespace akin::bench {

namespace {

using Word = std::uint32_t;
constexpr int kWords = 4096, kSlack = kInsideSteps * 128;  // of shared memory; a step reads up to 128 words a warp

// What neither ptx.cuh nor the emulator has a word for.
__device__ __forceinline__ std::int64_t cycle() {
#if defined(__CUDACC__)
  return clock64();
#else
  return 0;
#endif
}
__device__ __forceinline__ float half_power(float x) {  // 2^-x
#if defined(__CUDACC__)
  float y;
  asm volatile("ex2.approx.ftz.f32 %0,%1;" : "=f"(y) : "f"(-x));
  return y;
#else
  return exp2f(-x);
#endif
}
/// Past the first-level cache.
template <class T>
__device__ __forceinline__ T load_l2(const T* p) {
#if defined(__CUDACC__)
  if constexpr (sizeof(T) == 16) {
    const uint4 v = __ldcg(reinterpret_cast<const uint4*>(p));
    T out;
    memcpy(&out, &v, sizeof(out));
    return out;
  } else {
    return __ldcg(p);
  }
#else
  return *p;
#endif
}

/// Shared memory with `one` in every word.
__device__ __forceinline__ Word* filled_shared(Word one) {
  AKIN_SHARED(Word, memory, [kWords + kSlack]);
  for (int i = static_cast<int>(threadIdx.x); i < kWords + kSlack; i += static_cast<int>(blockDim.x)) memory[i] = one;
  return memory;
}

template <int W>
struct alignas(4 * W) Words {
  Word v[W];
};
template <int W>
struct SharedLoads {
  Word* memory;
  Word sum = 0;
  __device__ explicit SharedLoads(Word one) : memory(filled_shared(one)) {}
  __device__ void round(int r) {
    const Word* at = memory + ((static_cast<int>(threadIdx.x) + 32 * r) * W & (kWords - 1));
#pragma unroll
    for (int k = 0; k < kInsideSteps; ++k) {
      const auto words = *reinterpret_cast<const Words<W>*>(at + k * 32 * W);
#pragma unroll
      for (int i = 0; i < W; ++i) sum += words.v[i];
    }
  }
  __device__ double result() const { return sum; }
};

struct MatrixLoads {
  Word* memory;
  Word sum = 0;
  __device__ explicit MatrixLoads(Word one) : memory(filled_shared(one)) {}
  __device__ void round(int r) {
    auto* at = reinterpret_cast<unsigned char*>(memory + ((static_cast<int>(threadIdx.x) + 32 * r) * 4 & (kWords - 1)));
#pragma unroll
    for (int k = 0; k < kInsideSteps; ++k) {
      Word words[4];
      ldmatrix_x4(words, shared_address(at + k * 512));
      sum += words[0] + words[1] + words[2] + words[3];
    }
  }
  __device__ double result() const { return sum; }
};

template <bool kTf32>
struct Products {
  Word a[4], b[2];
  float sum[kInsideSteps][4] = {};
  __device__ explicit Products(Word one) {
    const Word ones = (kTf32 ? 0x3f800000u : 0x3f803f80u) * one;
    for (Word& x : a) x = ones;
    for (Word& x : b) x = ones;
  }
  __device__ void round(int) {
#pragma unroll
    for (auto& s : sum) kTf32 ? mma_m16n8k8_tf32(s, a, b, s) : mma_m16n8k16_bf16(s, a, b, s);
  }
  __device__ double result() const {
    double all = 0;
    for (const auto& s : sum)
      for (const float x : s) all += static_cast<double>(x);
    return all;
  }
};

template <class T>
struct MultiplyAdds {
  T one, sum[kInsideSteps] = {};
  __device__ explicit MultiplyAdds(Word n) : one(static_cast<T>(n)) {}
  __device__ void round(int) {
#pragma unroll
    for (T& s : sum) s = fma(s, one, one);
  }
  __device__ double result() const {
    double all = 0;
    for (const T s : sum) all += static_cast<double>(s);
    return all;
  }
};

struct Exponentials {
  float x[kInsideSteps];
  __device__ explicit Exponentials(Word one) {
    for (int k = 0; k < kInsideSteps; ++k) x[k] = static_cast<float>(one) / static_cast<float>(k + 1);
  }
  __device__ void round(int) {
#pragma unroll
    for (float& v : x) v = half_power(v);
  }
  __device__ double result() const {
    double all = 0;
    for (const float v : x) all += static_cast<double>(v);
    return all;
  }
};

template <bool kSpread>
struct SharedAtomics {
  Word *memory, *mine, one;
  __device__ explicit SharedAtomics(Word n) : memory(filled_shared(n)), one(n) {
    // The place is worked out from data, so that a compiler does not join the lanes' additions.
    mine = memory + (kSpread ? threadIdx.x * one : threadIdx.x * (one - 1));
  }
  __device__ void round(int) {
#pragma unroll
    for (int k = 0; k < kInsideSteps; ++k) atomicAdd(mine, one);
  }
  __device__ double result() const { return *mine; }
};

template <class Work>
__global__ void __launch_bounds__(1024) inside(int rounds, Word one, double* sums, std::int64_t* cycles) {
  Work work(one);
  __syncthreads();
  const std::int64_t begin = cycle();
  for (int r = 0; r < rounds; ++r) work.round(r);
  __syncthreads();
  if (threadIdx.x == 0) cycles[blockIdx.x] = cycle() - begin;
  sums[global_thread()] = work.result();
}

constexpr int kFlight = 4;  // accesses

__device__ __forceinline__ Word pattern(std::int64_t i) { return static_cast<Word>(i) * 2654435761u; }

/// Calls body(k, pack) for the thread's packs, kFlight at a time: k < kFlight.
template <class Body, class After>
__device__ __forceinline__ void for_each_flight(std::int64_t packs, Body&& body, After&& after) {
  for (std::int64_t at = global_thread(); at < packs; at += kFlight * global_threads()) {
#pragma unroll
    for (int k = 0; k < kFlight; ++k) body(k, at + k * global_threads());
#pragma unroll
    for (int k = 0; k < kFlight; ++k) after(k, at + k * global_threads());
  }
}

__global__ void __launch_bounds__(1024) fill(std::int64_t packs, Word* x) {
  for_each_flight(
      packs, [](int, std::int64_t) {},
      [&](int, std::int64_t i) {
        Pack<Word> p;
        for (int j = 0; j < 4; ++j) p.v[j] = pattern(4 * i + j);
        store_pack(x + 4 * i, p);
      });
}

__global__ void __launch_bounds__(1024) read(std::int64_t packs, const Word* x, int rounds, Word* sums) {
  Word sum = 0;
  Pack<Word> p[kFlight];
  for (int r = 0; r < rounds; ++r)
    for_each_flight(
        packs, [&](int k, std::int64_t i) { p[k] = load_l2(reinterpret_cast<const Pack<Word>*>(x) + i); },
        [&](int k, std::int64_t) { sum += p[k].v[0] + p[k].v[1] + p[k].v[2] + p[k].v[3]; });
  sums[global_thread()] = sum;
}

__global__ void __launch_bounds__(1024) copy(std::int64_t packs, const Word* x, Word* y) {
  Pack<Word> p[kFlight];
  for_each_flight(
      packs, [&](int k, std::int64_t i) { p[k] = load_pack(x + 4 * i); },
      [&](int k, std::int64_t i) { store_pack(y + 4 * i, p[k]); });
}

__global__ void __launch_bounds__(1024) chain(std::int64_t n, Word* x, std::int64_t stride) {
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) x[i] = static_cast<Word>((i + stride) % n);
}

__global__ void walk(const Word* x, int steps, Word* last) {
  Word at = *last;
  for (int i = 0; i < steps; ++i) at = load_l2(x + at);
  *last = at;
}

template <bool kSpread>
__global__ void __launch_bounds__(1024) add_words(std::int64_t n, Word* x, int rounds, Word one) {
  std::int64_t at = kSpread ? global_thread() % n : global_thread() * (one - 1);
  for (int r = 0; r < rounds; ++r) {
    atomicAdd(x + at, one);
    if constexpr (kSpread) {
      at += global_threads();
      if (at >= n) at -= n;
    }
  }
}

__global__ void touch_once(Word* x) { *x += 1; }

template <class Work>
void start(const char* name, const Stream<ThisGpu>& stream, const InsideRun& r) {
  launch(name, inside<Work>, {.grid = r.blocks, .block = r.threads}, stream, r.rounds, 1u, r.sums, r.cycles);
}

LaunchShape shape(Grid g) { return {.grid = g.blocks, .block = g.threads}; }

}  // namespace

template <>
void run_inside(const Stream<ThisGpu>& stream, Inside what, const InsideRun& run) {
  switch (what) {
    case Inside::shared32: return start<SharedLoads<1>>("shared32", stream, run);
    case Inside::shared64: return start<SharedLoads<2>>("shared64", stream, run);
    case Inside::shared128: return start<SharedLoads<4>>("shared128", stream, run);
    case Inside::ldmatrix: return start<MatrixLoads>("ldmatrix", stream, run);
    case Inside::mma_bf16: return start<Products<false>>("mma_bf16", stream, run);
    case Inside::mma_tf32: return start<Products<true>>("mma_tf32", stream, run);
    case Inside::ffma: return start<MultiplyAdds<float>>("ffma", stream, run);
    case Inside::dfma: return start<MultiplyAdds<double>>("dfma", stream, run);
    case Inside::ex2: return start<Exponentials>("ex2", stream, run);
    case Inside::atomic_spread: return start<SharedAtomics<true>>("atomic_spread", stream, run);
    case Inside::atomic_one: return start<SharedAtomics<false>>("atomic_one", stream, run);
  }
}
template <>
void fill_words(const Stream<ThisGpu>& stream, Grid grid, Span to) {
  launch("fill_words", fill, shape(grid), stream, to.n / 4, to.x);
}
template <>
void read_words(const Stream<ThisGpu>& stream, Grid grid, Span from, int rounds, std::uint32_t* sums) {
  launch("read_words", read, shape(grid), stream, from.n / 4, from.x, rounds, sums);
}
template <>
void copy_words(const Stream<ThisGpu>& stream, Grid grid, Span from, std::uint32_t* to) {
  launch("copy_words", copy, shape(grid), stream, from.n / 4, from.x, to);
}
template <>
void fill_chain(const Stream<ThisGpu>& stream, Grid grid, Span to, std::int64_t stride) {
  launch("fill_chain", chain, shape(grid), stream, to.n, to.x, stride);
}
template <>
void walk_chain(const Stream<ThisGpu>& stream, Span of, int steps, std::uint32_t* last) {
  launch("walk_chain", walk, {}, stream, of.x, steps, last);
}
template <>
void add_to_words(const Stream<ThisGpu>& stream, Grid grid, Span to, int rounds, bool spread) {
  launch("add_to_words", spread ? add_words<true> : add_words<false>, shape(grid), stream, to.n, to.x, rounds, 1u);
}
template <>
void touch(const Stream<ThisGpu>& stream, std::uint32_t* x) {
  launch("touch", touch_once, {}, stream, x);
}

}  // namespace akin::bench
