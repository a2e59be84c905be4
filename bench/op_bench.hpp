// What the benchmarks share: random inputs in more memory than the caches hold, and counters against the roof.
//
//   OMP_NUM_THREADS=1 build/ci/bin/bench_conv2d --benchmark_filter=fwd
//
// GFLOP/s and GB/s count the contract's FLOPs and bytes (kernels/<stem>.hpp), not what the hardware moved. roof_% is
// the time that the slower of the two roofs allows, divided by the time measured.
#pragma once

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "bench/rotating.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/common/roof.hpp"
#include "kernels/common/work.hpp"

namespace akin::bench {

/// Times body(), a call that costs `cost`, and sets the counters.
template <class Body>
void measure(benchmark::State& state, const Work& cost, Body&& body) {
  using benchmark::Counter;
  body();  // compiles primitives, faults pages in
  for (auto _ : state) {
    body();
    benchmark::ClobberMemory();
  }
  const double ideal = std::max(cost.flops / roof().flops_per_s, cost.bytes / roof().bytes_per_s);
  const auto rate = Counter::kIsIterationInvariantRate;
  if (cost.flops > 0) state.counters["GFLOP/s"] = Counter(cost.flops * 1e-9, rate);
  if (cost.bytes > 0) state.counters["GB/s"] = Counter(cost.bytes * 1e-9, rate);
  if (ideal > 0) state.counters["roof_%"] = Counter(100 * ideal, rate);
}

/// Registers body(state) under `name`; microseconds. With one thread, processor time is taken, which a busy machine
/// disturbs less; with more, wall time.
template <class Body>
void add(const std::string& name, Body body) {
  auto* b = benchmark::RegisterBenchmark(name.c_str(), std::move(body))->Unit(benchmark::kMicrosecond);
  if (max_threads() > 1) b->UseRealTime();
}

/// Prints the roof once, before the table.
inline const bool roof_printed = [] {
  benchmark::AddCustomContext("roof GB/s", std::to_string(roof().bytes_per_s * 1e-9));
  benchmark::AddCustomContext("roof GFLOP/s", std::to_string(roof().flops_per_s * 1e-9));
  benchmark::AddCustomContext("threads", std::to_string(max_threads()));
  return true;
}();

constexpr std::int64_t kBatch = 128;

/// A 3x3 convolution of the networks below, with the size of its input.
struct Layer {
  std::int64_t C, K, side, stride;
  std::string str() const {
    return std::to_string(C) + "->" + std::to_string(K) + "@" + std::to_string(side) + (stride == 2 ? "/2" : "");
  }
};

/// The different layers of ResNet-8 w16 and w8 on 28x28x1 and of ResNet-20 w16 on 32x32x3.
inline const std::vector<Layer> kLayers{{1, 16, 28, 1},  {16, 16, 28, 1}, {16, 32, 28, 2}, {32, 32, 14, 1},
                                        {32, 64, 14, 2}, {64, 64, 7, 1},  {1, 8, 28, 1},   {8, 8, 28, 1},
                                        {8, 16, 28, 2},  {16, 16, 14, 1}, {32, 32, 7, 1},  {3, 16, 32, 1},
                                        {16, 16, 32, 1}, {32, 32, 16, 1}, {64, 64, 8, 1}};

/// Shapes [rows, channels] of the activations between them.
struct Activation {
  std::int64_t M, C;
  std::string str() const { return std::to_string(M) + "x" + std::to_string(C); }
};
inline const std::vector<Activation> kActivations{{kBatch * 28 * 28, 8}, {kBatch * 28 * 28, 16}, {kBatch * 14 * 14, 32},
                                                  {kBatch * 7 * 7, 64},  {kBatch * 32 * 32, 16}, {kBatch * 28 * 28, 32},
                                                  {kBatch * 28 * 28, 64}};

}  // namespace akin::bench
