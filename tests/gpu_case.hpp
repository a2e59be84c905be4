// For kernels without an op: the emulator under its three schedules, and the card where there is one.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/launch_on.hpp"
#include "kernels/common/sim/sim_device.hpp"
#include "tests/places.hpp"
#include "tests/sanitized.hpp"

namespace akin::test {

struct GpuPlace {
  std::string name;
  Device device;
  std::function<std::shared_ptr<GpuDevice>()> open;
  /// Memory is poisoned with NaN and fenced.
  Context context() const { return Context(device, open(), {.poison = chosen().poison}); }
};

inline std::vector<GpuPlace> gpu_places() {
  std::vector<GpuPlace> all;
  for (const auto& [name, policy] :
       {std::pair{"sim fifo", sim::Policy::fifo}, {"sim lifo", sim::Policy::lifo}, {"sim pct", sim::Policy::pct}}) {
    if (kSanitized && policy != sim::Policy::pct) continue;  // the sanitizers look at every access: one will do
    all.push_back({name, Device::sim, [p = policy] { return open_sim(sim_options(p, 5)); }});
  }
  if (cuda_usable()) all.push_back({"cuda", Device::cuda, [] { return open_cuda(); }});
  std::erase_if(all, [](const GpuPlace& p) { return !chosen(p.device); });
  return all;
}

/// Calls body(ctx) in every place; afterwards no fence may be broken.
template <class Body>
void on_gpus(Body&& body) {
  for (const GpuPlace& place : gpu_places()) {
    CAPTURE(place.name);
    Context ctx = place.context();
    body(ctx);
    ctx.allocator->flush();
    CHECK_EQ(ctx.allocator->stats().fence_breaks, 0);
  }
}

/// `n` elements that start `first` elements into a buffer: first = 1 makes them unaligned.
template <class T>
Tensor on_device(Context& ctx, const std::vector<T>& values, std::int64_t first = 0) {
  const auto n = static_cast<std::int64_t>(values.size());
  const Tensor whole = Tensor::empty(ctx, {n + first}, dtype_of<T>());
  const Tensor part = whole.view({n}, first);
  part.copy_from(values.data());
  return part;
}
template <class T>
Tensor room(Context& ctx, std::int64_t n, std::int64_t first = 0) {
  return Tensor::empty(ctx, {n + first}, dtype_of<T>()).view({n}, first);
}
template <class T>
std::vector<T> to_host(const Tensor& t) {
  const Array a = t.to_array();
  const auto s = a.as<T>();
  return {s.begin(), s.end()};
}

/// Structs without a dtype, as bytes.
template <class T>
Tensor bytes_on_device(Context& ctx, const std::vector<T>& values) {
  const Tensor t = Tensor::empty(ctx, {static_cast<std::int64_t>(values.size() * sizeof(T))}, DType::u8);
  t.copy_from(values.data());
  return t;
}
template <class T>
T* as(const Tensor& bytes) {
  return reinterpret_cast<T*>(bytes.raw());
}

}  // namespace akin::test
