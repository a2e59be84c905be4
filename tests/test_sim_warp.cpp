// What the lanes of a warp do together in the emulator, and CUDA's functions, against plain loops.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/common/bf16.hpp"
#include "kernels/common/sim/cuda.hpp"
#include "tests/sim/launch.hpp"

using namespace akin;

namespace akin::sim_warp_tests {

using namespace sim::cuda;

enum class Shuffle { index, up, down, exchange };

template <class T>
__global__ void shuffles(const T* x, T* y, Shuffle kind, int argument, int width, unsigned last_mask) {
  const unsigned i = threadIdx.x, mask = i / 32 == (blockDim.x - 1) / 32 ? last_mask : 0xffffffffu;
  switch (kind) {
    case Shuffle::index:
      y[i] = __shfl_sync(mask, x[i], argument, width);
      break;
    case Shuffle::up:
      y[i] = __shfl_up_sync(mask, x[i], static_cast<unsigned>(argument), width);
      break;
    case Shuffle::down:
      y[i] = __shfl_down_sync(mask, x[i], static_cast<unsigned>(argument), width);
      break;
    case Shuffle::exchange:
      y[i] = __shfl_xor_sync(mask, x[i], argument, width);
      break;
  }
}

/// Both halves of a warp vote and exchange on their own, one of them twice.
__global__ void divergent_halves(unsigned* ballots, int* all, int* any, int* sums) {
  const unsigned i = threadIdx.x;
  if (i % 32 < 12) {
    ballots[i] = __ballot_sync(0x00000fffu, i % 3 == 0);
    all[i] = __all_sync(0x00000fffu, i < 40);
    any[i] = __any_sync(0x00000fffu, i == 40);
    sums[i] = __shfl_xor_sync(0x00000fffu, static_cast<int>(i), 1);
  } else {
    ballots[i] = __ballot_sync(0xfffff000u, i % 5 == 0);
    all[i] = __all_sync(0xfffff000u, i != 50);
    any[i] = __any_sync(0xfffff000u, i == 50);
    sums[i] = __shfl_down_sync(0xfffff000u, static_cast<int>(i), 2);
  }
  __syncwarp();
  sums[i] += __shfl_sync(0xffffffffu, static_cast<int>(i), 31);
}

/// d = a b + c with the fragments loaded by ldmatrix: a is row-major, b column-major, as rows of 16 bytes.
__global__ void mma_bf16_tile(const bf16* a, const bf16* b, const float* c, float* d) {
  AKIN_SHARED(bf16, sa, [16][16]);
  AKIN_SHARED(bf16, sb, [8][16]);
  const unsigned lane = threadIdx.x;
  for (unsigned i = lane; i < 256; i += 32) sa[i / 16][i % 16] = a[i];
  for (unsigned i = lane; i < 128; i += 32) sb[i / 16][i % 16] = b[i];
  __syncwarp();
  std::uint32_t fa[4], fb[2];
  float sums[4];
  for (unsigned i = 0; i < 4; ++i) sums[i] = c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2];
  ldmatrix_x4(fa, &sa[lane % 16][lane / 16 * 8]);
  ldmatrix_x2(fb, &sb[lane % 8][lane / 8 % 2 * 8]);
  mma_m16n8k16_bf16(sums, fa, fb, sums);
  for (unsigned i = 0; i < 4; ++i) d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

/// The same with b row-major, which ldmatrix transposes.
__global__ void mma_bf16_tile_trans(const bf16* a, const bf16* b, float* d) {
  AKIN_SHARED(bf16, sa, [16][16]);
  AKIN_SHARED(bf16, sb, [16][8]);
  const unsigned lane = threadIdx.x;
  for (unsigned i = lane; i < 256; i += 32) sa[i / 16][i % 16] = a[i];
  for (unsigned i = lane; i < 128; i += 32) sb[i / 8][i % 8] = b[i];
  __syncwarp();
  std::uint32_t fa[4], fb[2];
  const float zero[4] = {};
  float sums[4];
  ldmatrix_x4(fa, &sa[lane % 16][lane / 16 * 8]);
  ldmatrix_x2_trans(fb, &sb[lane % 16][0]);
  mma_m16n8k16_bf16(sums, fa, fb, zero);
  for (unsigned i = 0; i < 4; ++i) d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

/// tf32: a 32-bit value takes two columns of an 8 x 8 matrix of ldmatrix.
__global__ void mma_tf32_tile(const float* a, const float* b, const float* c, float* d) {
  AKIN_SHARED(float, sa, [16][8]);
  AKIN_SHARED(float, sb, [8][8]);
  const unsigned lane = threadIdx.x;
  for (unsigned i = lane; i < 128; i += 32) sa[i / 8][i % 8] = a[i];
  for (unsigned i = lane; i < 64; i += 32) sb[i / 8][i % 8] = b[i];
  __syncwarp();
  std::uint32_t fa[4], fb[2];
  float sums[4];
  for (unsigned i = 0; i < 4; ++i) sums[i] = c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2];
  ldmatrix_x4(fa, &sa[lane % 16][lane / 16 * 4]);
  ldmatrix_x2(fb, &sb[lane % 8][lane / 8 % 2 * 4]);
  mma_m16n8k8_tf32(sums, fa, fb, sums);
  for (unsigned i = 0; i < 4; ++i) d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

__global__ void mma_f64_tile(const double* a, const double* b, const double* c, double* d) {
  const unsigned group = threadIdx.x / 4, within = threadIdx.x % 4;
  double fa[4], fb[2], sums[4];
  for (unsigned i = 0; i < 4; ++i) fa[i] = a[(group + i % 2 * 8) * 8 + within + i / 2 * 4];
  for (unsigned i = 0; i < 2; ++i) fb[i] = b[group * 8 + within + i * 4];
  for (unsigned i = 0; i < 4; ++i) sums[i] = c[(group + i / 2 * 8) * 8 + within * 2 + i % 2];
  mma_m16n8k8_f64(sums, fa, fb, sums);
  for (unsigned i = 0; i < 4; ++i) d[(group + i / 2 * 8) * 8 + within * 2 + i % 2] = sums[i];
}

template <int matrices, bool transpose>
__global__ void load_tiles(const std::uint16_t* x, std::uint32_t* y) {
  AKIN_SHARED(std::uint16_t, tile, [matrices * 8][8]);
  const unsigned lane = threadIdx.x;
  for (unsigned i = lane; i < matrices * 64; i += 32) tile[i / 8][i % 8] = x[i];
  __syncwarp();
  std::uint32_t r[4];
  const void* row = tile[lane % (matrices * 8)];
  if constexpr (matrices == 4 && transpose) ldmatrix_x4_trans(r, row);
  if constexpr (matrices == 4 && !transpose) ldmatrix_x4(r, row);
  if constexpr (matrices == 2 && transpose) ldmatrix_x2_trans(r, row);
  if constexpr (matrices == 2 && !transpose) ldmatrix_x2(r, row);
  for (int i = 0; i < matrices; ++i) y[lane * matrices + static_cast<unsigned>(i)] = r[i];
}

/// Three groups; the values of each before and after the waits that complete them.
__global__ void copies(const float* x, float* y) {
  AKIN_SHARED(float, to, [4][4]);
  cp_async16(to[0], x, true);
  cp_async_commit();
  cp_async16(to[1], x + 4, true);
  cp_async16(to[2], x + 8, false);
  cp_async_commit();
  cp_async4(&to[3][0], x + 12, true);
  cp_async4(&to[3][1], x + 13, false);
  const auto look = [&] {
    for (int i = 0; i < 16; ++i) *y++ = to[i / 4][i % 4];
  };
  look();
  cp_async_wait<1>();
  look();
  cp_async_wait<0>();
  look();
  cp_async_wait<0>();  // the last group is not committed yet
  look();
  cp_async_commit();
  cp_async_wait<0>();
  look();
}

template <class T>
__global__ void add_atomically(T* sum) {
  atomicAdd(sum, 1);
}
__global__ void other_atomics(int* lowest, unsigned* highest, int* bits, unsigned* seen, unsigned long long* product) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicMin(lowest, 100 - i);
  atomicMax(highest, static_cast<unsigned>(i));
  atomicOr(bits, 1 << (i % 20));
  if (atomicExch(&seen[i % 7], 1u) != 0u) atomicAdd(&seen[7], 1);
  for (unsigned long long old = atomicCAS(product, 0ull, 0ull), expected = 0; old != expected;) {
    expected = old;
    old = atomicCAS(product, expected, expected * 3);
  }
}

}  // namespace akin::sim_warp_tests

using namespace akin::sim_warp_tests;
using akin::test::sim_launch;
using akin::test::SimArray;

namespace {

const std::vector<sim::Options> kOptions{
    {1, sim::Policy::fifo}, {1, sim::Policy::lifo}, {2, sim::Policy::pct, 1}, {1, sim::Policy::pct, 2}};

float value(int i) { return static_cast<float>(i * 37 % 41 - 20) / 16.0f; }

/// The lane that lane `i` of a warp reads, from CUDA's programming guide.
int source_lane(Shuffle kind, int lane, int argument, int width) {
  const int first = lane / width * width, last = first + width - 1;
  switch (kind) {
    case Shuffle::index:
      return first + argument % width;
    case Shuffle::up:
      return lane - argument < first ? lane : lane - argument;
    case Shuffle::down:
      return lane + argument > last ? lane : lane + argument;
    case Shuffle::exchange:
      return (lane ^ argument) > last ? lane : lane ^ argument;
  }
  return -1;
}

template <class T>
void test_shuffles(int threads) {
  const unsigned last_mask = threads % 32 == 0 ? 0xffffffffu : (1u << threads % 32) - 1;
  const SimArray<T> x(threads, [](int i) { return static_cast<T>(i * 1000003 + 7); }), y(threads);
  for (const Shuffle kind : {Shuffle::index, Shuffle::up, Shuffle::down, Shuffle::exchange})
    for (const int width : {1, 2, 4, 8, 16, 32})
      for (const int argument : {0, 1, 2, 5, 9, 16, 31}) {
        bool inside = true;  // lanes that a partial warp does not have must not be read
        for (int i = 0; i < threads; ++i)
          inside = inside && i / 32 * 32 + source_lane(kind, i % 32, argument, width) < threads;
        if (!inside) continue;
        std::memset(y.get(), 0, sizeof(T) * static_cast<std::size_t>(threads));
        sim_launch("shuffles", shuffles<T>, 1, static_cast<unsigned>(threads), 0, kOptions[0], x.get(), y.get(), kind,
                   argument, width, last_mask);
        CAPTURE(width);
        CAPTURE(argument);
        for (int i = 0; i < threads; ++i) REQUIRE_EQ(y[i], x[i / 32 * 32 + source_lane(kind, i % 32, argument, width)]);
      }
}

}  // namespace

TEST_CASE("sim: shuffles of all kinds, widths and types") {
  for (const int threads : {32, 64, 48, 5}) {
    test_shuffles<float>(threads);
    test_shuffles<int>(threads);
    test_shuffles<double>(threads);
    test_shuffles<unsigned long long>(threads);
    test_shuffles<unsigned char>(threads);
  }
}

TEST_CASE("sim: parts of a warp vote and exchange on their own") {
  for (const sim::Options& options : kOptions) {
    const int n = 64;
    const SimArray<unsigned> ballots(n);
    const SimArray<int> all(n), any(n), sums(n);
    sim_launch("divergent_halves", divergent_halves, 1, n, 0, options, ballots.get(), all.get(), any.get(), sums.get());
    for (int i = 0; i < n; ++i) {
      const int warp = i / 32 * 32, lane = i % 32;
      unsigned ballot = 0;
      for (int l = 0; l < 32; ++l)
        if ((l < 12) == (lane < 12) && (warp + l) % (lane < 12 ? 3 : 5) == 0) ballot |= 1u << l;
      CHECK_EQ(ballots[i], ballot);
      CHECK_EQ(all[i], lane < 12 ? warp + 11 < 40 : warp != 32);
      CHECK_EQ(any[i], warp == 32);
      const int exchanged = lane < 12 ? i ^ 1 : lane < 30 ? i + 2 : i;
      CHECK_EQ(sums[i], exchanged + warp + 31);
    }
  }
}

TEST_CASE("sim: tensor core tiles equal double loops") {
  const SimArray<bf16> a(256, [](int i) { return float_to_bf16(value(i)); });
  const SimArray<bf16> b(128, [](int i) { return float_to_bf16(value(3 * i + 1)); });  // [n][k], or [k][n] transposed
  const SimArray<float> c(128, [](int i) { return value(7 * i + 2); });
  const SimArray<float> wide_a(128, [](int i) { return std::sin(static_cast<float>(i)); });
  const SimArray<float> wide_b(64, [](int i) { return std::cos(static_cast<float>(i)); });  // [n][k]
  const auto tf32 = [](float x) {
    std::uint32_t u;
    std::memcpy(&u, &x, 4);
    u &= 0xffffe000u;
    std::memcpy(&x, &u, 4);
    return double{x};
  };
  for (const sim::Options& options : kOptions) {
    const SimArray<float> d(128), dt(128), dw(128);
    sim_launch("mma_bf16", mma_bf16_tile, 1, 32, 0, options, a.get(), b.get(), c.get(), d.get());
    sim_launch("mma_bf16_trans", mma_bf16_tile_trans, 1, 32, 0, options, a.get(), b.get(), dt.get());
    sim_launch("mma_tf32", mma_tf32_tile, 1, 32, 0, options, wide_a.get(), wide_b.get(), c.get(), dw.get());
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 8; ++n) {
        double s = c[m * 8 + n], t = 0, w = c[m * 8 + n];
        for (int k = 0; k < 16; ++k) {
          s += double{bf16_to_float(a[m * 16 + k])} * bf16_to_float(b[n * 16 + k]);
          t += double{bf16_to_float(a[m * 16 + k])} * bf16_to_float(b[k * 8 + n]);
        }
        for (int k = 0; k < 8; ++k) w += tf32(wide_a[m * 8 + k]) * tf32(wide_b[n * 8 + k]);
        CHECK_EQ(d[m * 8 + n], s);  // multiples of 1/256 below 2^16: exact
        CHECK_EQ(dt[m * 8 + n], t);
        CHECK(std::abs(dw[m * 8 + n] - w) <= 9 * 6e-8 * 10);  // 9 sums of at most 10
      }
  }
}

TEST_CASE("sim: the tensor cores' products of doubles are chains of fused multiply-adds, k ascending") {
  const auto value = [](int i) { return std::sin(double(i)); };
  const SimArray<double> a(128, value), b(64, value), c(128, value), d(128);
  sim_launch("mma_f64_tile", mma_f64_tile, 1, 32, 0, kOptions[2], a.get(), b.get(), c.get(), d.get());
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < 8; ++n) {
      double sum = c[m * 8 + n];
      for (int k = 0; k < 8; ++k) sum = std::fma(a[m * 8 + k], b[n * 8 + k], sum);
      CHECK_EQ(d[m * 8 + n], sum);
    }
}

TEST_CASE("sim: ldmatrix hands each lane the documented elements") {
  const SimArray<std::uint16_t> x(256, [](int i) { return static_cast<std::uint16_t>(i * 251); });
  const auto check = [&](auto kernel, int matrices, bool transpose) {
    const SimArray<std::uint32_t> y(32 * matrices);
    sim_launch("load_tiles", kernel, 1, 32, 0, kOptions[2], x.get(), y.get());
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < matrices; ++i) {
        const auto element = [&](int j) {
          const int row = transpose ? lane % 4 * 2 + j : lane / 4, column = transpose ? lane / 4 : lane % 4 * 2 + j;
          return static_cast<std::uint32_t>(x[i * 64 + row * 8 + column]);
        };
        CHECK_EQ(y[lane * matrices + i], (element(0) | element(1) << 16));
      }
  };
  check(load_tiles<4, false>, 4, false);
  check(load_tiles<2, false>, 2, false);
  check(load_tiles<4, true>, 4, true);
  check(load_tiles<2, true>, 2, true);
}

TEST_CASE("sim: an asynchronous copy arrives when it is waited for, not before") {
  const SimArray<float> x(16, [](int i) { return static_cast<float>(i + 1); }), y(80);
  sim_launch("copies", copies, 1, 1, 0, kOptions[0], x.get(), y.get());
  const auto arrived = [&](int look, int row, bool zeros = false) {
    for (int i = 0; i < 4; ++i) {
      const float v = y[look * 16 + row * 4 + i];
      if (v != (zeros ? 0.0f : x[row * 4 + i])) return false;
    }
    return true;
  };
  const auto nan = [&](int look, int row) {
    for (int i = 0; i < 4; ++i)
      if (!std::isnan(y[look * 16 + row * 4 + i])) return false;
    return true;
  };
  for (int row = 0; row < 4; ++row) CHECK(nan(0, row));
  CHECK((arrived(1, 0) && nan(1, 1) && nan(1, 2) && nan(1, 3)));
  CHECK((arrived(2, 0) && arrived(2, 1) && arrived(2, 2, true) && nan(2, 3)));
  CHECK(nan(3, 3));
  CHECK_EQ(y[4 * 16 + 12], 13);
  CHECK_EQ(y[4 * 16 + 13], 0);
  CHECK(std::isnan(y[4 * 16 + 14]));
}

template <class T>
void test_add() {
  const SimArray<T> sum(1, [](int) { return T(5); });
  sim_launch("add_atomically", add_atomically<T>, 37, 96, 0, {2}, sum.get());
  CHECK_EQ(sum[0], T(5 + 37 * 96));
}

TEST_CASE("sim: atomics") {
  test_add<int>();
  test_add<unsigned>();
  test_add<unsigned long long>();
  test_add<float>();
  test_add<double>();
  const SimArray<int> lowest(1, [](int) { return 1000; }), bits(1, [](int) { return 0; });
  const SimArray<unsigned> highest(1, [](int) { return 3u; }), seen(8, [](int) { return 0u; });
  const SimArray<unsigned long long> product(1, [](int) { return 1ull; });
  sim_launch("other_atomics", other_atomics, 2, 20, 0, {2}, lowest.get(), highest.get(), bits.get(), seen.get(),
             product.get());
  CHECK_EQ(lowest[0], 61);
  CHECK_EQ(highest[0], 39);
  CHECK_EQ(bits[0], (1 << 20) - 1);
  CHECK_EQ(seen[7], 40 - 7);
  unsigned long long expected = 1;
  for (int i = 0; i < 40; ++i) expected *= 3;
  CHECK_EQ(product[0], expected);
}

TEST_CASE("sim: arithmetic functions") {
  using namespace sim::cuda;
  CHECK_EQ(__popc(0xf0f01u), 9);
  CHECK_EQ(__ffs(0), 0);
  CHECK_EQ(__ffs(8), 4);
  CHECK_EQ(sim::cuda::__clz(1), 31);
  CHECK_EQ(sim::cuda::__clz(0), 32);
  CHECK_EQ(__brev(0x80000001u), 0x80000001u);
  CHECK_EQ(__brev(0x00000006u), 0x60000000u);
  CHECK_EQ(__umulhi(0xffffffffu, 0xffffffffu), 0xfffffffeu);
  CHECK_EQ(__float_as_uint(1.0f), 0x3f800000u);
  CHECK_EQ(__uint_as_float(0x40000000u), 2.0f);
  CHECK_EQ(__longlong_as_double(__double_as_longlong(-0.1)), -0.1);
  CHECK_EQ(__saturatef(-1.0f), 0.0f);
  CHECK_EQ(__saturatef(0.25f), 0.25f);
  CHECK_EQ(__saturatef(7.0f), 1.0f);
  CHECK_EQ(__saturatef(NAN), 0.0f);
  CHECK_EQ(sim::cuda::rsqrtf(16.0f), 0.25f);
  CHECK_EQ(sim::cuda::max(2, 3u), 3u);
  CHECK_EQ(sim::cuda::min(2.5f, NAN), 2.5f);
  CHECK_EQ(sim::cuda::max(1LL, 2), 2LL);
  CHECK_EQ(__float2int_rn(2.5f), 2);
  CHECK_EQ(__float2int_rn(3.5f), 4);
  CHECK_EQ(__float2int_rn(-1e20f), std::numeric_limits<int>::min());
  CHECK_EQ(__float2int_rn(NAN), 0);
}
