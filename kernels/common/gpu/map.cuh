// y[i] = op(a[i], b[i]) over flat arrays.
#pragma once

#include "kernels/common/gpu/vector.cuh"

namespace akin {
namespace {

constexpr int kMapBlock = 256;

/// y = op(a, b), or y += ...; b may be nullptr for ops of one input. Memory-bound: whole packs where all is aligned.
template <class T, class Op>
__global__ void __launch_bounds__(kMapBlock) map(std::int64_t n, Op op, const T* a, const T* b, T* y, Accum mode, bool packs) {
  for_each_pack<kPack<T>>(
      n, packs,
      [&](std::int64_t i) {
        const Pack<T> pa = load_pack(a + i), pb = b == nullptr ? pa : load_pack(b + i);
        Pack<T> py;
        if (mode == Accum::add) py = load_pack(y + i);
#pragma unroll
        for (int k = 0; k < kPack<T>; ++k) put(py.v[k], op(to_float(pa, k), to_float(pb, k)), mode);
        store_pack(y + i, py);
      },
      [&](std::int64_t i) { put(y[i], op(to_float(a[i]), b == nullptr ? 0.0f : to_float(b[i])), mode); });
}

template <class T, class Op>
void run_map(const char* name, const Stream<ThisGpu>& stream, std::int64_t n, Op op, const T* a, const T* b, T* y,
             Accum mode) {
  const bool packs = aligned16(a, b, y);
  const std::int64_t threads = packs ? n / kPack<T> + kPack<T> : n;
  if (n > 0)
    launch(name, map<T, Op>, {.grid = blocks_for(stream, threads, kMapBlock), .block = kMapBlock}, stream, n, op, a, b, y,
           mode, packs);
}

}  // namespace
}  // namespace akin
