// What a host does with streams, graphs and kernels, right and with planted bugs: all of them give the right result
// where work is done as it is queued, memory is one and the device has two multiprocessors.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/common/gpu/kernel.cuh"
#include "kernels/common/sim/sim_device.hpp"

namespace akin::examples {

enum class HostBug {
  none,
  missing_event_wait,      // pipeline: the kernel does not wait for the copy of its input
  reused_stage,            // pipeline: the next batch is written over one that is yet to be copied
  slot_overwritten,        // pipeline: the copy does not wait for the kernel that reads what was there
  read_too_early,          // pipeline: the result is read before the stream is done
  host_pointer,            // scale: the factors lie in host memory
  host_pointer_in_struct,  // scale: the same, in an argument that is a struct
  allocate_in_capture,     // captured: scratch memory is asked for in the step
  release_in_capture,      // captured: and given back in it
  pageable_in_capture,     // captured: the step copies a number from the host's stack
  few_parts,               // total: no more parts are added up than a small device makes
};

/// Memory of the device, or pinned memory of the host, until the end of a scope.
template <class T>
class Block {
 public:
  Block(GpuDevice& device, std::int64_t n, bool pinned = false) : device_(device), pinned_(pinned) {
    const std::size_t bytes = sizeof(T) * static_cast<std::size_t>(n);
    p_ = static_cast<T*>(pinned ? device.allocate_pinned(bytes) : device.allocate(bytes));
  }
  ~Block() { pinned_ ? device_.release_pinned(p_) : device_.release(p_); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  T* get() const { return p_; }

 private:
  GpuDevice& device_;
  bool pinned_;
  T* p_ = nullptr;
};

__global__ inline void accumulate(std::int64_t n, const float* x, float* sum) {
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) sum[i] += x[i];
}

inline Stream<Sim> door(const GpuDevice& device, GpuStream& stream) { return {stream.handle(), &device.limits(), {}}; }

/// The sum of `batches` arrays of n elements, element t n + i being first + t n + i. Each goes through one slot of
/// device memory; copies have a stream of their own.
template <HostBug bug>
std::vector<float> pipeline(GpuDevice& device, std::int64_t n, std::int64_t batches, float first) {
  const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(n);
  const Block<float> stages(device, n * batches, true), result(device, n, true), slot(device, n), sum(device, n);
  const auto copies = device.make_stream(), steps = device.make_stream();
  std::unique_ptr<GpuEvent> copied, used;
  std::fill_n(result.get(), n, 0.0f);
  steps->fill(sum.get(), 0, bytes);
  for (std::int64_t t = 0; t < batches; ++t) {
    float* stage = stages.get() + (bug == HostBug::reused_stage ? 0 : t * n);
    for (std::int64_t i = 0; i < n; ++i) stage[i] = first + static_cast<float>(t * n + i);
    if (bug != HostBug::slot_overwritten && used != nullptr) copies->wait(*used);
    copies->copy(slot.get(), stage, bytes);
    copied = copies->record();
    if constexpr (bug != HostBug::missing_event_wait) steps->wait(*copied);
    launch("accumulate", accumulate, {.grid = 2, .block = 64}, door(device, *steps), n, slot.get(), sum.get());
    used = steps->record();
  }
  steps->copy(result.get(), sum.get(), bytes);
  if constexpr (bug != HostBug::read_too_early) steps->synchronize();
  return {result.get(), result.get() + n};
}

struct Factors {
  int n;
  const float* factor;
};
__global__ inline void scale(const float* factor, Factors more, float* y) {
  for (unsigned i = threadIdx.x; i < static_cast<unsigned>(more.n); i += blockDim.x) y[i] = factor[i] * more.factor[i];
}

/// factor[i]^2.
template <HostBug bug>
std::vector<float> squares(GpuDevice& device, const std::vector<float>& factor) {
  const auto n = static_cast<std::int64_t>(factor.size());
  const Block<float> there(device, n), y(device, n);
  const auto stream = device.make_stream();
  stream->copy(there.get(), factor.data(), sizeof(float) * factor.size());
  const Factors more{static_cast<int>(n), bug == HostBug::host_pointer_in_struct ? factor.data() : there.get()};
  launch("scale", scale, {.grid = 1, .block = 32}, door(device, *stream),
         bug == HostBug::host_pointer ? factor.data() : there.get(), more, y.get());
  std::vector<float> result(factor.size());
  stream->copy(result.data(), y.get(), sizeof(float) * factor.size());
  return result;
}

/// `steps` times `rate` on each of n elements, by a graph of one step.
template <HostBug bug>
std::vector<float> captured(GpuDevice& device, std::int64_t n, int steps, float rate) {
  const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(n);
  const auto stream = device.make_stream();
  const Block<float> rates(device, n), sum(device, n);
  const std::vector<float> on_host(static_cast<std::size_t>(n), rate);
  stream->copy(rates.get(), on_host.data(), bytes);
  stream->fill(sum.get(), 0, bytes);
  auto scratch = std::make_unique<Block<float>>(device, n);
  stream->begin_capture();
  if constexpr (bug == HostBug::release_in_capture) scratch.reset();
  if constexpr (bug == HostBug::allocate_in_capture) const Block<float> more(device, n);
  if constexpr (bug == HostBug::pageable_in_capture) stream->copy(rates.get(), on_host.data(), bytes);
  launch("accumulate", accumulate, {.grid = 1, .block = 64}, door(device, *stream), n, rates.get(), sum.get());
  const auto graph = stream->end_capture();
  for (int t = 0; t < steps; ++t) stream->launch(*graph);
  std::vector<float> result(on_host.size());
  stream->copy(result.data(), sum.get(), bytes);
  return result;
}

constexpr int kTotalBlock = 32;

__global__ inline void total_parts(std::int64_t n, float* part) {
  if (threadIdx.x != 0) return;
  float s = 0;
  for (std::int64_t i = blockIdx.x; i < n; i += gridDim.x) s += static_cast<float>(i % 7);
  part[blockIdx.x] = s;
}
__global__ inline void total_whole(std::int64_t parts, const float* part, float* y) {
  float s = 0;
  for (std::int64_t i = 0; i < parts; ++i) s += part[i];
  *y = s;
}

/// The sum of i % 7 over 0 <= i < n.
template <HostBug bug>
std::vector<float> total(GpuDevice& device, std::int64_t n) {
  const auto stream = device.make_stream();
  const auto at = door(device, *stream);
  const std::int64_t parts = blocks_for(at, n, kTotalBlock);
  const Block<float> part(device, parts), y(device, 1);
  launch("total_parts", total_parts, {.grid = parts, .block = kTotalBlock}, at, n, part.get());
  launch("total_whole", total_whole, {.grid = 1, .block = 1}, at,
         bug == HostBug::few_parts ? std::min<std::int64_t>(parts, 64) : parts, part.get(), y.get());
  float result = 0;
  stream->copy(&result, y.get(), sizeof result);
  return {result};
}

}  // namespace akin::examples
