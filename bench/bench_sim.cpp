// What the emulator's operations cost: a barrier and a shuffle for each thread, a thread without either, a launch, and
// the two matrix products of tests/sim, all on one OS thread; and a launch that wakes a second one. `each` is the CPU
// time of one CUDA thread's operation.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cmath>

#include "tests/sim/kernels.hpp"
#include "tests/sim/launch.hpp"

using namespace akin;
using test::sim_launch;
using test::SimArray;

namespace {

using namespace sim::cuda;

__global__ void barriers(int rounds) {
  for (int i = 0; i < rounds; ++i) __syncthreads();
}

__global__ void shuffles(int rounds, float* out) {
  float v = static_cast<float>(threadIdx.x);
  for (int i = 0; i < rounds; ++i) v += __shfl_xor_sync(0xffffffffu, v, 1);
  if (std::isnan(v)) *out = v;
}

__global__ void axpy(const float* x, float* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] += 2.0f * x[i];
}

__global__ void nothing() {}

/// Reports the time of one of `operations`.
void per_operation(benchmark::State& state, std::int64_t operations) {
  state.counters["each"] = benchmark::Counter(static_cast<double>(state.iterations() * operations),
                                              benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void barrier(benchmark::State& state) {
  const auto block = static_cast<unsigned>(state.range(0));
  for (auto _ : state) sim_launch("barriers", barriers, 1, block, 0, {}, 1000);
  per_operation(state, block * 1000);
}
BENCHMARK(barrier)->Arg(32)->Arg(128)->Arg(256)->Arg(1024);

void shuffle(benchmark::State& state) {
  const auto block = static_cast<unsigned>(state.range(0));
  const SimArray<float> out(1);
  for (auto _ : state) sim_launch("shuffles", shuffles, 1, block, 0, {}, 1000, out.get());
  per_operation(state, block * 1000);
}
BENCHMARK(shuffle)->Arg(32)->Arg(128)->Arg(256)->Arg(1024);

void plain_thread(benchmark::State& state) {
  const int n = 1 << 18;
  const SimArray<float> x(n, [](int) { return 1.0f; }), y(n, [](int) { return 1.0f; });
  for (auto _ : state) sim_launch("axpy", axpy, n / 256, 256, 0, {}, x.get(), y.get(), n);
  per_operation(state, n);
}
BENCHMARK(plain_thread);

void launch(benchmark::State& state) {
  const int os_threads = static_cast<int>(state.range(0));
  for (auto _ : state) sim_launch("nothing", nothing, static_cast<unsigned>(os_threads), 1, 0, {os_threads});
}
BENCHMARK(launch)->ArgName("os_threads")->Arg(1)->Arg(2)->UseRealTime();

void matrix_product(benchmark::State& state) {
  const int n = static_cast<int>(state.range(0));
  const unsigned tiles = static_cast<unsigned>(n) / 64;
  const SimArray<float> a(n * n, [](int i) { return static_cast<float>(i % 7); });
  const SimArray<float> b(n * n, [](int i) { return static_cast<float>(i % 5); }), c(n * n);
  for (auto _ : state)
    sim_launch("gemm", examples::gemm<examples::Bug::none>, {tiles, tiles}, 256, 0, {}, n, n, n, a.get(), b.get(),
               c.get());
  state.counters["flops"] =
      benchmark::Counter(2.0 * n * n * n * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(matrix_product)->Arg(256);

void tensor_core_product(benchmark::State& state) {
  const int n = static_cast<int>(state.range(0));
  const unsigned tiles = static_cast<unsigned>(n) / 64;
  const SimArray<bf16> a(n * n, [](int i) { return float_to_bf16(static_cast<float>(i % 7)); });
  const SimArray<bf16> b(n * n, [](int i) { return float_to_bf16(static_cast<float>(i % 5)); });
  const SimArray<float> c(n * n);
  for (auto _ : state)
    sim_launch("tensor_gemm", examples::tensor_gemm<examples::Bug::none>, {tiles, tiles}, 128, examples::kTensorShared,
               {}, n, n, n, a.get(), b.get(), c.get());
  state.counters["flops"] =
      benchmark::Counter(2.0 * n * n * n * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(tensor_core_product)->Arg(256);

}  // namespace
