// Eight correct kernels and nineteen ways to break them; host.hpp has what hosts do wrong. Each bug is one line that a
// person might well write; comments in brackets mark the lines that the emulator, AddressSanitizer or ThreadSanitizer
// must name (see check.cpp).
#pragma once

#include "kernels/common/bf16.hpp"
#include "kernels/common/sim/cuda.hpp"

namespace akin::examples {

using namespace sim::cuda;

enum class Bug {
  none,
  write_past_end,        // add: the tail loop runs one element too far
  exit_before_barrier,   // softmax: threads without work leave
  shuffle_half_warp,     // softmax: a full mask, but half the warp
  missing_barrier,       // softmax: partial results are read before they are written
  barrier_in_branch,     // softmax: only one warp comes to the barrier
  shared_out_of_bounds,  // softmax: every lane reads, the array has one element a warp
  missing_column_guard,  // gemm: columns past the matrix
  double_buffer_race,    // gemm: no barrier after the next tile is stored
  weak_wait,             // tensor_gemm: waits for one group of copies too few
  missing_end_barrier,   // tensor_gemm: the buffer is filled again while others read it
  missing_syncwarp,      // swap: neighbours exchange without meeting
  plain_update,          // histogram: += instead of atomicAdd in shared memory
  misaligned_load,       // add: float4 at an odd address
  past_dynamic_memory,   // tensor_gemm: the second matrix begins too late
  uninitialised_shared,  // histogram: counters are not set to zero
  race_between_blocks,   // histogram: += instead of atomicAdd in global memory
  copy_to_global,        // tensor_gemm: an asynchronous copy into the result
  matrix_from_global,    // tensor_gemm: ldmatrix from the operand and not from its tile
  assumed_alignment,     // lines: which line it is, told by an address
};

/// c = a + b. Four elements a thread, the tail one by one.
template <Bug bug>
__global__ void add(const float* a, const float* b, float* c, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * 4;
  if (i + 3 < n) {
    if constexpr (bug == Bug::misaligned_load) a += 1;
    const float4& x = *reinterpret_cast<const float4*>(a + i);  // [misaligned_load]
    const float4& y = *reinterpret_cast<const float4*>(b + i);
    *reinterpret_cast<float4*>(c + i) = make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w);
  } else if constexpr (bug == Bug::write_past_end) {
    for (; i <= n; ++i) c[i] = a[i] + b[i];  // [write_past_end]
  } else {
    for (; i < n; ++i) c[i] = a[i] + b[i];
  }
}

/// bins[k] += number of x that are k, 0 <= k < 64.
template <Bug bug>
__global__ void histogram(const int* x, int n, int* bins) {
  AKIN_SHARED(int, count, [64]);
  if constexpr (bug != Bug::uninitialised_shared)
    for (unsigned k = threadIdx.x; k < 64; k += blockDim.x) count[k] = 0;
  __syncthreads();
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < n;
       i += static_cast<int>(gridDim.x * blockDim.x)) {
    if constexpr (bug == Bug::plain_update)
      count[x[i]] += 1;  // [plain_update]
    else
      atomicAdd(&count[x[i]], 1);
  }
  __syncthreads();
  for (unsigned k = threadIdx.x; k < 64; k += blockDim.x) {
    if constexpr (bug == Bug::race_between_blocks)
      bins[k] += count[k];  // [race_between_blocks]
    else
      atomicAdd(&bins[k], count[k]);
  }
}

__device__ __forceinline__ float warp_max(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, offset));  // [warp_max]
  return v;
}
__device__ __forceinline__ float warp_sum(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
  return v;
}

constexpr int kSoftmaxThreads = 128;

/// Cross entropy of one row of logits a block: loss = logsumexp(x) - x[y], dx = (softmax(x) - onehot(y)) * scale.
template <Bug bug>
__global__ void __launch_bounds__(kSoftmaxThreads)
    softmax(const float* x, const int* y, float* loss, float* dx, int columns, float scale) {
  constexpr int kWarps = kSoftmaxThreads / 32;
  AKIN_SHARED(float, partial, [kWarps]);
  AKIN_SHARED(float, total, [2]);
  const float* row = x + blockIdx.x * static_cast<unsigned>(columns);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  if constexpr (bug == Bug::exit_before_barrier)
    if (thread >= columns) return;
  float m = -INFINITY;
  for (int i = thread; i < columns; i += kSoftmaxThreads) m = fmaxf(m, row[i]);
  if constexpr (bug == Bug::shuffle_half_warp) {
    if (lane < 16) m = warp_max(m);
  } else {
    m = warp_max(m);
  }
  if (lane == 0) partial[warp] = m;                            // [missing_barrier:write]
  if constexpr (bug != Bug::missing_barrier) __syncthreads();  // [first_barrier]
  if (warp == 0) {
    float v = -INFINITY;
    if (lane < kWarps) v = partial[lane];  // [missing_barrier:read]
    v = warp_max(v);
    if (lane == 0) total[0] = v;
    if constexpr (bug == Bug::barrier_in_branch) __syncthreads();  // [barrier_in_branch]
  }
  __syncthreads();  // [barrier_in_branch:others]
  m = total[0];
  float s = 0;
  for (int i = thread; i < columns; i += kSoftmaxThreads) s += __expf(row[i] - m);
  s = warp_sum(s);
  if (lane == 0) partial[warp] = s;
  __syncthreads();
  if (warp == 0) {
    float v = 0;
    const float* parts = partial;
    if (bug == Bug::shared_out_of_bounds || lane < kWarps) v = parts[lane];  // [shared_out_of_bounds]
    v = warp_sum(v);
    if (lane == 0) total[1] = v;
  }
  __syncthreads();
  const float inverse = 1.0f / total[1];
  const int target = y[blockIdx.x];
  for (int i = thread; i < columns; i += kSoftmaxThreads)
    dx[blockIdx.x * static_cast<unsigned>(columns) + static_cast<unsigned>(i)] =
        (__expf(row[i] - m) * inverse - (i == target ? 1.0f : 0.0f)) * scale;
  if (thread == 0) loss[blockIdx.x] = __logf(total[1]) + m - row[target];
}

/// C[M,N] = A[M,K] B[K,N]. Tiles of 64 x 64 x 16 in two buffers, 256 threads with 4 x 4 sums each; N and K are
/// multiples of 4.
template <Bug bug>
__global__ void __launch_bounds__(256) gemm(int M, int N, int K, const float* A, const float* B, float* C) {
  AKIN_SHARED(float, a_tile, [2][16][68]);
  AKIN_SHARED(float, b_tile, [2][16][68]);
  const int thread = static_cast<int>(threadIdx.x), tx = thread % 16, ty = thread / 16;
  const int m0 = static_cast<int>(blockIdx.y) * 64, n0 = static_cast<int>(blockIdx.x) * 64;
  const int a_row = thread / 4, a_column = thread % 4 * 4, b_row = thread / 16, b_column = thread % 16 * 4;
  float sums[4][4] = {};
  float4 next_a, next_b;
  const auto load = [&](int k0) {
    next_a = next_b = make_float4(0, 0, 0, 0);
    if (m0 + a_row < M && k0 + a_column < K)
      next_a = *reinterpret_cast<const float4*>(A + (m0 + a_row) * K + k0 + a_column);
    if (k0 + b_row < K && (bug == Bug::missing_column_guard || n0 + b_column < N))
      next_b = *reinterpret_cast<const float4*>(B + (k0 + b_row) * N + n0 + b_column);  // [missing_column_guard]
  };
  const auto store = [&](int buffer) {
    a_tile[buffer][a_column + 0][a_row] = next_a.x;
    a_tile[buffer][a_column + 1][a_row] = next_a.y;
    a_tile[buffer][a_column + 2][a_row] = next_a.z;
    a_tile[buffer][a_column + 3][a_row] = next_a.w;
    *reinterpret_cast<float4*>(&b_tile[buffer][b_row][b_column]) = next_b;  // [double_buffer_race:write]
  };
  load(0);
  store(0);
  __syncthreads();
  int buffer = 0;
  for (int k0 = 0; k0 < K; k0 += 16) {
    const bool more = k0 + 16 < K;
    if (more) load(k0 + 16);
    for (int k = 0; k < 16; ++k) {
      const float4 a = *reinterpret_cast<const float4*>(&a_tile[buffer][k][ty * 4]);
      const float4 b = *reinterpret_cast<const float4*>(&b_tile[buffer][k][tx * 4]);  // [double_buffer_race:read]
      const float av[4] = {a.x, a.y, a.z, a.w}, bv[4] = {b.x, b.y, b.z, b.w};
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) sums[i][j] += av[i] * bv[j];
    }
    if (more) {
      store(1 - buffer);
      if constexpr (bug != Bug::double_buffer_race) __syncthreads();
    }
    buffer = 1 - buffer;
  }
  for (int i = 0; i < 4; ++i) {
    const int m = m0 + ty * 4 + i, n = n0 + tx * 4;
    if (m < M && n < N)
      *reinterpret_cast<float4*>(C + m * N + n) = make_float4(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
  }
}

constexpr int kTensorRow = 32 + 8;  // elements of a row in shared memory, padded
constexpr int kTensorShared = 4 * 64 * kTensorRow * static_cast<int>(sizeof(bf16));  // bytes: two matrices, two buffers

/// C[M,N] = A[M,K] W[N,K]^T on tensor cores. Tiles of 64 x 64 x 32, 4 warps with 32 x 32 sums each; K a multiple of 8.
template <Bug bug>
__global__ void __launch_bounds__(128) tensor_gemm(int M, int N, int K, const bf16* A, const bf16* W, float* C) {
  AKIN_DYNAMIC_SHARED(bf16, shared);
  bf16* a_tile = shared;                                                                     // [2][64][kTensorRow]
  bf16* w_tile = shared + 2 * 64 * kTensorRow + (bug == Bug::past_dynamic_memory ? 64 : 0);  // the same
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int warp_m = warp / 2 * 32, warp_n = warp % 2 * 32;
  const int m0 = static_cast<int>(blockIdx.y) * 64, n0 = static_cast<int>(blockIdx.x) * 64;
  float sums[2][4][4] = {};
  const auto load = [&](int buffer, int k0) {
    for (int i = 0; i < 2; ++i) {
      const int row = (thread + i * 128) / 4, column = thread % 4 * 8;
      const bool in_a = m0 + row < M && k0 + column < K, in_w = n0 + row < N && k0 + column < K;
      bf16* a = a_tile + (buffer * 64 + row) * kTensorRow + column;
      bf16* w = w_tile + (buffer * 64 + row) * kTensorRow + column;
      if (bug == Bug::copy_to_global && m0 + row == 5) a = reinterpret_cast<bf16*>(C);
      cp_async16(a, in_a ? A + (m0 + row) * K + k0 + column : A, in_a);  // [missing_end_barrier:write]
      cp_async16(w, in_w ? W + (n0 + row) * K + k0 + column : W, in_w);  // [past_dynamic_memory]
    }
    cp_async_commit();
  };
  load(0, 0);
  int buffer = 0;
  for (int k0 = 0; k0 < K; k0 += 32) {
    if (k0 + 32 < K)
      load(1 - buffer, k0 + 32);
    else
      cp_async_commit();
    cp_async_wait<bug == Bug::weak_wait ? 2 : 1>();
    __syncthreads();
    for (int k = 0; k < 32; k += 16) {
      std::uint32_t a[2][4], b[4][2];
      const bf16* a_rows = a_tile + (buffer * 64 + warp_m + lane % 16) * kTensorRow + k + lane / 16 * 8;
      const bf16* w_rows = w_tile + (buffer * 64 + warp_n + lane % 8) * kTensorRow + k + lane / 8 % 2 * 8;
      if constexpr (bug == Bug::matrix_from_global) a_rows = A + lane % 16 * K + k0 + k;
      for (int i = 0; i < 2; ++i) ldmatrix_x4(a[i], a_rows + i * 16 * kTensorRow);  // [missing_end_barrier:read]
      for (int j = 0; j < 4; ++j) ldmatrix_x2(b[j], w_rows + j * 8 * kTensorRow);
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 4; ++j) mma_m16n8k16_bf16(sums[i][j], a[i], b[j], sums[i][j]);
    }
    if constexpr (bug != Bug::missing_end_barrier) __syncthreads();
    buffer = 1 - buffer;
  }
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 4; ++j)
      for (int e = 0; e < 4; ++e) {
        const int m = m0 + warp_m + i * 16 + lane / 4 + e / 2 * 8, n = n0 + warp_n + j * 8 + lane % 4 * 2 + e % 2;
        if (m < M && n < N) C[m * N + n] = sums[i][j][e];
      }
}

/// y[i] = x[i ^ 32]: the two 128-byte lines of a buffer change places.
template <Bug bug>
__global__ void lines(const float* x, float* y) {
  AKIN_DYNAMIC_SHARED(float, buffer);
  const unsigned i = threadIdx.x;
  const auto address = reinterpret_cast<std::uintptr_t>(buffer + i);
  const unsigned line = bug == Bug::assumed_alignment ? address / 128 % 2 : i / 32;
  buffer[(1 - line) * 32 + i % 32] = x[i];
  __syncthreads();
  y[i] = buffer[i];
}

/// y[i] = x[i ^ 1], through shared memory.
template <Bug bug>
__global__ void swap(const float* x, float* y) {
  AKIN_SHARED(float, buffer, [256]);
  const unsigned i = blockIdx.x * 256 + threadIdx.x;
  buffer[threadIdx.x] = x[i];  // [missing_syncwarp:write]
  if constexpr (bug != Bug::missing_syncwarp) __syncwarp();
  y[i] = buffer[threadIdx.x ^ 1];  // [missing_syncwarp:read]
}

/// sum += the sum of all x: each block adds its part to `parts`; the last one, found by a counter, adds the parts up.
__global__ inline void last_block_sum(const float* x, int n, float* parts, unsigned* finished, float* sum) {
  AKIN_SHARED(float, warp_parts, [8]);
  AKIN_SHARED(bool, last, [1]);
  float v = 0;
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < n;
       i += static_cast<int>(gridDim.x * blockDim.x))
    v += x[i];
  v = warp_sum(v);
  if (threadIdx.x % 32 == 0) warp_parts[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x == 0) {
    float part = 0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) part += warp_parts[w];
    parts[blockIdx.x] = part;
    __threadfence();
    last[0] = atomicAdd(finished, 1) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (last[0] && threadIdx.x == 0) {
    float total = 0;
    for (unsigned b = 0; b < gridDim.x; ++b) total += parts[b];
    *sum = total;
  }
}

}  // namespace akin::examples
