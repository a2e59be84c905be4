// 16-byte accesses: a pack holds 4 floats or 8 bf16. A grid-stride loop over whole packs and then over the tail.
#pragma once

#include "kernels/common/gpu/kernel.cuh"

namespace akin {
namespace {

template <class T>
constexpr int kPack = 16 / static_cast<int>(sizeof(T));

template <class T>
struct alignas(16) Pack {
  T v[kPack<T>];
};

template <class T>
__device__ __forceinline__ Pack<T> load_pack(const T* p) {
  return *reinterpret_cast<const Pack<T>*>(p);
}
template <class T>
__device__ __forceinline__ void store_pack(T* p, const Pack<T>& value) {
  *reinterpret_cast<Pack<T>*>(p) = value;
}

/// W neighbouring elements, held as they lie in memory until they are used.
template <class T, int W>
struct alignas(sizeof(T) * W) Packed {
  using Word [[gnu::may_alias]] = std::uint32_t;
  Word word[sizeof(T) * W / sizeof(Word)];
  __device__ __forceinline__ float operator[](int k) const {
    if constexpr (sizeof(T) == 2)
      return __uint_as_float(k % 2 == 0 ? word[k / 2] << 16 : word[k / 2] & 0xffff0000u);
    else
      return __uint_as_float(word[k]);
  }
};

/// True when every pointer may be accessed 16 bytes at a time (nullptr counts as one that is not used).
template <class... P>
bool aligned16(const P*... p) {
  return ((reinterpret_cast<std::uintptr_t>(p) % 16 == 0) && ...);
}

/// Calls pack(i) for i = 0, W, 2 W ... on whole packs of W elements and single(i) for the rest; with `packs` false
/// single(i) for all. Each i is served by one thread of the grid.
template <int W, class PackBody, class SingleBody>
__device__ __forceinline__ void for_each_pack(std::int64_t n, bool packs, PackBody&& pack, SingleBody&& single) {
  const std::int64_t whole = packs ? n / W : 0;
  for (std::int64_t i = global_thread(); i < whole; i += global_threads()) pack(i * W);
  for (std::int64_t i = whole * W + global_thread(); i < n; i += global_threads()) single(i);
}

}  // namespace
}  // namespace akin
