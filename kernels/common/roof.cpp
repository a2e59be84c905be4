#include "kernels/common/roof.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/common/parallel.hpp"

namespace akin {

std::int64_t last_level_cache() {
  std::int64_t largest = 0;
  for (int i = 0; i < 5; ++i) {
    std::ifstream in("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/size");
    std::int64_t kib = 0;
    if (in >> kib) largest = std::max(largest, kib << 10);
  }
  return largest > 0 ? std::min<std::int64_t>(largest, 256 << 20) : 32 << 20;
}

namespace {

/// Wall time; with one thread processor time, as the benchmarks take it.
double seconds() {
  if (max_threads() == 1) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class Body>
double best_seconds(int repeats, Body&& body) {
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const double start = seconds();
    body();
    best = std::min(best, seconds() - start);
  }
  return best;
}

/// Sixteen independent chains of vectors: enough to hide the latency of four cycles on two ports, few enough for the
/// registers.
float fma_chains(std::int64_t steps) {
  using Vector = float __attribute__((vector_size(64)));
  Vector acc[16];
  for (int i = 0; i < 16; ++i) acc[i] = Vector{} + static_cast<float>(i);
  const Vector a = Vector{} + 0.999f, b = Vector{} + 0.001f;
  for (std::int64_t s = 0; s < steps; ++s)
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) acc[i] = acc[i] * a + b;
  float sum = 0;
  for (const Vector& v : acc) sum += v[0];
  return sum;
}

}  // namespace

const Roof& roof() {
  static const Roof measured = [] {
    Roof r;
    const std::int64_t n = last_level_cache() / 4;
    std::vector<float> x(static_cast<std::size_t>(n), 1.5f), y(x.size());
    const double copy = best_seconds(7, [&, from = x.data(), to = y.data()] {
      parallel_for(n, 1 << 14, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) to[i] = 0.5f * from[i];
      });
    });
    r.bytes_per_s = 8.0 * static_cast<double>(n) / copy;
    const std::int64_t steps = 2'000'000;
    std::vector<float> sums(static_cast<std::size_t>(max_threads()));
    const double fma = best_seconds(7, [&, out = sums.data()] {
      parallel_tasks(max_threads(), [=](std::int64_t task, int) { out[task] = fma_chains(steps); });
    });
    r.flops_per_s = 2.0 * 16 * 16 * static_cast<double>(steps) * static_cast<double>(sums.size()) / fma;
    return r;
  }();
  return measured;
}

}  // namespace akin
