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
#include <cstring>
#include <initializer_list>
#include <string>

#include "kernels/common/parallel.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/common/roof.hpp"
#include "kernels/common/work.hpp"

namespace akin::bench {

/// Copies of a set of arrays, each copy in its own memory; next() moves on to the next copy, so that no call finds its
/// operands in the cache. Filled with random numbers in [-1, 1): zeros and denormals would change the speed.
template <class T = float>
class Rotating {
 public:
  /// `sizes` in elements. All copies together hold twice the last-level cache; `warm` keeps a single copy instead.
  explicit Rotating(std::initializer_list<std::int64_t> sizes, bool warm = false) {
    std::int64_t offset = 0;
    for (const std::int64_t size : sizes) {
      offset_.push_back(offset);
      offset += (size + kAlign - 1) / kAlign * kAlign + kAlign * static_cast<std::int64_t>(2 * offset_.size() + 1);
    }
    stride_ = offset;
    const std::int64_t bytes = stride_ * static_cast<std::int64_t>(sizeof(T));
    copies_ = warm ? 1 : std::clamp<std::int64_t>(2 * last_level_cache() / bytes + 1, 2, 1 << 16);
    memory_.resize(static_cast<std::size_t>(stride_ * copies_ + kAlign));
    base_ = memory_.data() + (64 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 64) % 64 / sizeof(T);
    std::vector<T> noise(1 << 16);
    Rng rng(1);
    for (T& v : noise) v = static_cast<T>(rng.uniform(-1, 1));
    const auto block = static_cast<std::int64_t>(noise.size());
    for (std::int64_t i = 0; i < stride_ * copies_; i += block)
      std::memcpy(base_ + i, noise.data(),
                  sizeof(T) * static_cast<std::size_t>(std::min(block, stride_ * copies_ - i)));
  }
  T* operator[](std::size_t array) { return base_ + current_ * stride_ + offset_[array]; }
  void next() { current_ = (current_ + 1) % copies_; }

 private:
  static constexpr std::int64_t kAlign = 64 / sizeof(T);
  std::vector<std::int64_t> offset_;
  std::int64_t stride_ = 0, copies_ = 1, current_ = 0;
  std::vector<T> memory_;
  T* base_ = nullptr;
};

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
