// The emulator: every thread runs once, under every schedule; rules of CUDA that a kernel breaks are named; memory.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "kernels/common/sim/cuda.hpp"
#include "tests/sim/launch.hpp"

using namespace akin;

namespace akin::sim_tests {

using namespace sim::cuda;

__global__ void number_threads(int* count, unsigned* block_of) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned i = block * blockDim.x * blockDim.y * blockDim.z + thread;
  atomicAdd(&count[i], 1);
  block_of[i] = block;
}

__global__ void count_blocks(unsigned long long* sum) { atomicAdd(sum, blockIdx.x + 1ull); }

/// y[block] = sum over i of x[i] * (i + block), in a tree through shared memory.
__global__ void tree_sum(const float* x, float* y) {
  AKIN_DYNAMIC_SHARED(float, part);
  part[threadIdx.x] = x[threadIdx.x] * static_cast<float>(threadIdx.x + blockIdx.x);
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) y[blockIdx.x] = part[0];
}

__global__ void check_shared(int* bad) {
  AKIN_SHARED(double, a, [3]);
  AKIN_SHARED(char, b, [5]);
  AKIN_DYNAMIC_SHARED(unsigned, c);
  if (reinterpret_cast<std::uintptr_t>(&b) % 16 != 0 || reinterpret_cast<std::uintptr_t>(c) % 128 != 0) *bad = 1;
  if (threadIdx.x == 0) {
    for (double v : a)
      if (!std::isnan(v)) *bad = 2;
    for (int i = 0; i < 100; ++i)
      if (c[i] != ~0u) *bad = 3;
    for (char v : b)
      if (v != '\xff') *bad = 4;
  }
  __syncthreads();
  a[threadIdx.x % 3] = 1;
  b[threadIdx.x % 5] = 1;
  c[threadIdx.x] = 1;
}

// Each breaks one rule.
__global__ void barrier_after_exit(int*) {
  if (threadIdx.x < 10) return;
  __syncthreads();
}
__global__ void exit_beside_barrier(int*) {
  if (threadIdx.x < 63) __syncthreads();
}
__global__ void divergent_barrier(int*) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void shuffle_and_barrier(int* out) {
  if (threadIdx.x % 32 < 7)
    __syncthreads();
  else
    *out = __shfl_sync(0xffffffffu, 1, 9);
}
__global__ void not_in_own_mask(int* out) { *out = __any_sync(0x0000ffffu, 1); }
__global__ void masks_differ(int* out) {
  *out = static_cast<int>(threadIdx.x % 32 < 4 ? __ballot_sync(0xffffffffu, 1) : __ballot_sync(0xfffffff0u, 1));
  __syncwarp();
}
__global__ void read_exited_lane(int* out) {
  if (threadIdx.x == 40) return;
  *out = __shfl_sync(0xffffffffu, 1, 8);
}
__global__ void mma_without_all(int*) {
  float d[4] = {};
  const std::uint32_t a[4] = {}, b[2] = {};
  if (threadIdx.x == 5) return;
  mma_m16n8k16_bf16(d, a, b, d);
}
__global__ void two_ldmatrix(int*) {
  AKIN_SHARED(unsigned, row, [4]);
  std::uint32_t r[4];
  if (threadIdx.x < 16)
    ldmatrix_x4(r, row);
  else
    ldmatrix_x4(r, row);
}
__global__ void misaligned_row(int*) {
  AKIN_SHARED(unsigned, row, [8]);
  std::uint32_t r[2];
  ldmatrix_x2(r, &row[1]);
}
__global__ void misaligned_copy(int* out) {
  AKIN_SHARED(int, to, [8]);
  cp_async16(&to[2], out, true);
}
__global__ void large_static(int* out) {
  AKIN_SHARED(char, big, [48 * 1024]);
  AKIN_SHARED(char, one_more, [1]);
  big[0] = one_more[0] = 0;
  *out = big[1];
}
__global__ void large_in_all(int* out) {
  AKIN_SHARED(char, some, [2048]);
  AKIN_DYNAMIC_SHARED(char, rest);
  some[0] = rest[0] = 0;
  *out = 0;
}
__global__ void no_dynamic(int* out) {
  AKIN_DYNAMIC_SHARED(int, nothing);
  *out = nothing[0];
}
__global__ void throws(int*) { fail("no {}", "luck"); }
__global__ void launches(int* out) { test::sim_launch("inner", throws, 1, 1, 0, {}, out); }
__global__ void set(int* out) {
  if (blockIdx.x + threadIdx.x == 0) *out = 42;
}

}  // namespace akin::sim_tests

using namespace akin::sim_tests;
using akin::test::sim_launch;
using akin::test::SimArray;

namespace {

std::vector<sim::Options> all_options() {
  std::vector<sim::Options> all;
  for (const int os_threads : {1, 2}) {
    all.push_back({os_threads, sim::Policy::fifo});
    all.push_back({os_threads, sim::Policy::lifo});
    for (std::uint64_t seed = 0; seed < 4; ++seed) all.push_back({os_threads, sim::Policy::pct, seed});
  }
  return all;
}

/// The message of the Error that the kernel ends with; afterwards the emulator must still work.
template <class... A>
std::string error_of(void (*kernel)(A...), sim::Dim3 block, std::size_t shared, const sim::Options& options) {
  const SimArray<int> out(4);
  std::string message = "no error";
  try {
    sim_launch("broken", kernel, {3, 1, 1}, block, shared, options, out.get());
  } catch (const sim::Error& e) {
    message = e.what();
  }
  out[0] = 0;
  sim_launch("set", set, 2, 33, 0, options, out.get());
  CHECK_EQ(out[0], 42);
  return message;
}

std::string launch_error(sim::Dim3 grid, sim::Dim3 block, std::size_t shared) {
  try {
    sim::run_grid(
        "odd", grid, block, shared, {}, [](void*) {}, nullptr);
  } catch (const sim::Error& e) {
    return e.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// True when running `f` in a child process kills it.
template <class F>
bool dies(F&& f) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);  // doctest would report a failed test
    f();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

}  // namespace

TEST_CASE("sim: every thread of every block runs once, with its own coordinates") {
  for (const sim::Options& options : all_options()) {
    const SimArray<int> count(3 * 4 * 5 * 2 * 3 * 7, [](int) { return 0; });
    const SimArray<unsigned> block_of(count.size());
    sim_launch("number_threads", number_threads, {3, 4, 5}, {2, 3, 7}, 0, options, count.get(), block_of.get());
    CHECK(std::all_of(count.begin(), count.end(), [](int c) { return c == 1; }));
    for (int i = 0; i < count.size(); ++i) REQUIRE_EQ(block_of[i], static_cast<unsigned>(i / 42));
  }
  // A wide grid, and the largest block.
  const SimArray<unsigned long long> sum(1, [](int) { return 0ull; });
  sim_launch("count_blocks", count_blocks, 70000, 1, 0, {2}, sum.get());
  CHECK_EQ(sum[0], 70000ull * 70001 / 2);
  const SimArray<int> count(2048, [](int) { return 0; });
  const SimArray<unsigned> block_of(2048);
  sim_launch("number_threads", number_threads, 2, {4, 16, 16}, 0, {}, count.get(), block_of.get());
  CHECK_EQ(std::count(count.begin(), count.end(), 1), 2048);
}

TEST_CASE("sim: a kernel with barriers gives the same bits under every schedule") {
  for (const unsigned block : {1u, 2u, 64u, 256u, 1024u}) {
    const SimArray<float> x(1024, [](int i) { return std::sin(static_cast<float>(i)); });
    std::vector<float> first;
    for (const sim::Options& options : all_options()) {
      const SimArray<float> y(9);
      sim_launch("tree_sum", tree_sum, 9, block, block * sizeof(float), options, x.get(), y.get());
      for (int b = 0; b < 9; ++b) {
        double expected = 0, scale = 0;
        for (int i = 0; i < static_cast<int>(block); ++i) {
          expected += double{x[i]} * (i + b);
          scale += std::abs(double{x[i]} * (i + b));
        }
        CHECK(std::abs(y[b] - expected) <= 12 * 6e-8 * scale);  // 1 product, at most 10 sums
      }
      if (first.empty()) first.assign(y.begin(), y.end());
      CHECK_EQ(std::memcmp(first.data(), y.get(), sizeof(float) * 9), 0);
    }
  }
}

TEST_CASE("sim: shared memory is new, aligned and NaN for every block") {
  const SimArray<int> bad(1, [](int) { return 0; });
  for (const sim::Options& options : all_options())
    sim_launch("check_shared", check_shared, 5, 64, 1000, options, bad.get());
  CHECK_EQ(bad[0], 0);
}

TEST_CASE("sim: a broken rule ends the kernel with its name, place and what the others do") {
  for (const sim::Options& options : all_options()) {
    const auto error = [&](void (*kernel)(int*), unsigned block = 64, std::size_t shared = 0) {
      return error_of(kernel, block, shared, options);
    };
    const auto check = [](const std::string& message, const std::vector<std::string>& parts) {
      CAPTURE(message);
      CHECK(contains(message, "sim: broken with grid (3,1,1), block (64,1,1), "));
      CHECK(contains(message, ": block ("));
      CHECK(contains(message, ",0,0) thread ("));
      for (const std::string& part : parts) CHECK(contains(message, part));
    };
    // Who comes first, the exit or the barrier, is the schedule's.
    const std::string exited = error(barrier_after_exit);
    check(exited, {"test_sim.cpp:", "\n    ", " exit"});
    CHECK((contains(exited, "threads of the block have exited") || contains(exited, "the thread exits while")));
    check(error(exit_beside_barrier), {"test_sim.cpp:", "__syncthreads"});
    check(error(divergent_barrier), {"divergent barrier: this thread waits in __syncthreads at test_sim.cpp:",
                                     ", others at test_sim.cpp:", " waits in __syncthreads at "});
    check(error(shuffle_and_barrier),
          {"deadlock", "14 threads, the first is (0,0,0): waits in __syncthreads at",
           "50 threads, the first is (7,0,0): waits in __shfl_*_sync with mask 0xffffffff at test"});
    check(error(not_in_own_mask), {"mask 0x0000ffff, which leaves out the calling lane"});
    check(error(masks_differ), {"deadlock", "waits in __ballot_sync with mask 0xffffffff at test_sim.cpp:",
                                "56 threads, the first is (4,0,0): waits in __syncwarp with mask 0xffffffff at"});
    check(error(read_exited_lane), {"shuffle reads lane 8, which has exited or is not in the mask 0xffffffff"});
    check(error(mma_without_all), {"mma.m16n8k16.bf16 (.aligned) needs all 32 lanes; lanes 0x00000020"});
    check(error(two_ldmatrix), {"ldmatrix (.aligned): lane 16 executes the one at test_sim.cpp:"});
    check(error(misaligned_row), {"ldmatrix: the address of a row is not a multiple of 16"});
    check(error(misaligned_copy), {"cp.async: an address is not a multiple of the size"});
    check(error(large_static), {"one_more: 49153 bytes of static shared memory in all, nvcc allows 49152"});
    check(error(large_in_all, 64, 226 * 1024), {"bytes of shared memory in all, a block has 232448"});
    check(error(no_dynamic), {"dynamic shared memory is used, but the launch gave none"});
    check(error(throws), {"the kernel threw an exception: no luck"});
    check(error(launches), {"sim: inner with grid", "a kernel cannot launch another one here"});
  }
}

TEST_CASE("sim: a thread that exits completes what others wait for, as on a GPU") {
  const SimArray<int> out(64);
  const auto kernel = +[](int* y) {
    if (threadIdx.x >= 20) return;
    y[threadIdx.x] = static_cast<int>(__ballot_sync(0xffffffffu, threadIdx.x % 2 == 0));
  };
  for (const sim::Options& options : all_options()) {
    std::fill(out.begin(), out.end(), 0);
    sim_launch("early_exit", kernel, 1, 64, 0, options, out.get());
    for (int i = 0; i < 20; ++i) CHECK_EQ(out[i], 0x55555);
  }
}

TEST_CASE("sim: launches outside a card's limits are refused") {
  CHECK(contains(launch_error(1, 1025, 0), "sim: odd with grid (1,1,1), block (1025,1,1), 0 bytes"));
  for (const sim::Dim3 block :
       {sim::Dim3(1025), sim::Dim3(0), sim::Dim3(1, 1, 65), sim::Dim3(32, 33), sim::Dim3(65536, 65536)})
    CHECK(contains(launch_error(1, block, 0), "a block has 1 to 1024 threads, at most 64 in z"));
  for (const sim::Dim3 grid : {sim::Dim3(0), sim::Dim3(1, 65536), sim::Dim3(1, 1, 65536), sim::Dim3(0x80000000u)})
    CHECK(contains(launch_error(grid, 1, 0), "a grid has 1 to"));
  CHECK(contains(launch_error(1, 1, 227 * 1024 + 1), "a block has 232448 bytes"));
  CHECK_EQ(launch_error(1, {1024, 1, 1}, 227 * 1024), "no error");
  CHECK_EQ(launch_error({1, 65535, 1}, 1, 0), "no error");
}

TEST_CASE("sim: grids of several host threads run side by side") {
  std::vector<std::thread> hosts;
  const SimArray<float> x(256, [](int i) { return static_cast<float>(i); });
  const SimArray<float> y(4 * 9);
  for (int h = 0; h < 4; ++h)
    hosts.emplace_back([&, h] {
      for (int repeat = 0; repeat < 5; ++repeat)
        sim_launch("tree_sum", tree_sum, 9, 256, 1024, {1 + h % 3}, x.get(), y.get() + h * 9);
    });
  for (std::thread& t : hosts) t.join();
  for (int h = 0; h < 4; ++h)
    for (int b = 0; b < 9; ++b) {
      float expected = 0;  // whole numbers below 2^24: exact
      for (int i = 0; i < 256; ++i) expected += static_cast<float>(i * (i + b));
      CHECK_EQ(y[h * 9 + b], expected);
    }
}

TEST_CASE("sim: device memory is aligned, NaN and known") {
  const sim::HostAccess open;
  const std::size_t before = sim::allocated_bytes();
  auto* p = static_cast<float*>(sim::allocate(400));
  CHECK_EQ(reinterpret_cast<std::uintptr_t>(p) % 256, 0);
  CHECK(std::all_of(p, p + 100, [](float v) { return std::isnan(v); }));
  CHECK(sim::owns(p));
  CHECK(sim::owns(reinterpret_cast<char*>(p) + 399));
  CHECK_FALSE(sim::owns(p + 100));
  CHECK_FALSE(sim::owns(&before));
  CHECK_EQ(sim::allocated_bytes(), before + 400);
  CHECK_THROWS_AS(sim::release(p + 1), sim::Error);
  CHECK_THROWS_AS(sim::allocate(SIZE_MAX - 5), sim::Error);
  sim::release(p);
  CHECK_FALSE(sim::owns(p));
  CHECK_THROWS_AS(sim::release(p), sim::Error);
  sim::release(nullptr);
  void* empty = sim::allocate(0);
  CHECK(empty != nullptr);
  sim::release(empty);
  CHECK_EQ(sim::allocated_bytes(), before);
}

TEST_CASE("sim: memory closed to the host crashes host code, and only host code") {
  sim::close_to_host(1 << 20);
  {
    int* p = static_cast<int*>(sim::allocate(sizeof(int)));
    CHECK_EQ(reinterpret_cast<std::uintptr_t>(p) % 256, 0);
    CHECK(dies([&] { *p = 1; }));
    CHECK(dies([&] { std::printf("%d", *p); }));
    CHECK_FALSE(dies([&] {
      const sim::HostAccess access;
      *p = 1;
    }));
    for (const int os_threads : {1, 2}) sim_launch("set", set, 2, 3, 0, {os_threads}, p);
    CHECK_THROWS_AS(sim_launch("throws", throws, 2, 3, 0, {2}, p), sim::Error);
    CHECK(dies([&] { *p = 1; }));  // closed again, after the error too
    {
      const sim::HostAccess outer;
      { const sim::HostAccess inner; }
      CHECK_EQ(*p, 42);
    }
    CHECK(sim::owns(p));
    CHECK_THROWS_AS(sim::close_to_host(0), sim::Error);   // `p` lives
    CHECK_THROWS_AS(sim::allocate(1 << 20), sim::Error);  // full
    void* large = sim::allocate(900000);
    sim::release(p);
    void* small = sim::allocate(4);  // the gap
    CHECK_EQ(small, static_cast<void*>(p));
    sim::release(large);
    void* again = sim::allocate(1000000);
    CHECK(dies([&] { static_cast<char*>(again)[999999] = 1; }));
    sim::release(again);
    sim::release(small);
  }
  sim::close_to_host(0);
  const SimArray<int> open(1);
  open[0] = 1;
}
