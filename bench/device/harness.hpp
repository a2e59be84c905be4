// Kernels on a device against a yardstick in the same run: NVIDIA's library where the plug-in is, or a copy of as many
// bytes. Operands rotate through twice the L2 cache and are random; a piece of work is captured in a graph, so that the
// time to queue it does not count; the two sides take turns, and each turn gives one ratio.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/launch_on.hpp"
#include "engine/vendor.hpp"

namespace akin::bench {

/// What runs through one comparison.
struct DeviceBench {
  Context& ctx;
  Vendor* vendor = nullptr;  ///< nullptr: there is none
  bool quick = false;        ///< one tiny shape of everything, to see that it runs
  int rounds = 11;
  double milliseconds = 4;  ///< of one side in one round
  std::size_t l2_bytes = 64u << 20;
  /// Whether a comparison of that name is to be made; asked before its operands are.
  std::function<bool(const std::string&)> wants = [](const std::string&) { return true; };
};

/// Copies of a set of arrays in device memory, together at least twice the L2 cache; random values in [-1, 1).
class Operands {
 public:
  struct Wanted {
    std::int64_t elements;
    DType dtype;
  };
  Operands(const DeviceBench& bench, const std::vector<Wanted>& arrays);
  std::int64_t copies() const { return static_cast<std::int64_t>(sets_.size()); }
  const Tensor& get(std::int64_t call, std::size_t array) const {
    return sets_[static_cast<std::size_t>(call % copies())][array];
  }
  template <class T>
  T* at(std::int64_t call, std::size_t array) const {
    return get(call, array).data<T>();
  }

 private:
  std::vector<std::vector<Tensor>> sets_;
};

/// call(i) queues the work on the operands' copy i.
using Call = std::function<void(std::int64_t)>;

struct Comparison {
  std::string name;
  double flops = 0, bytes = 0;  ///< of one call
  Call own;
  std::string yardstick;  ///< "cuBLASLt", "copy", ...; empty: none
  Call other = {};
  double goal = 0;     ///< own should be this many times as fast as the yardstick; 0: none
  double goal_ms = 0;  ///< or take at most so long; 0: none
  /// How far the two results lie apart, relative; checked against `most` before anything is timed. Optional.
  std::function<double()> difference = {};
  double most = 0;
};

struct RoundStats {
  double median = 0, low = 0, high = 0;
};
RoundStats stats_of(const std::vector<double>& values);

struct Result {
  std::string name, yardstick;
  double flops = 0, bytes = 0, goal = 0, goal_ms = 0, difference = -1;
  bool graph = false;
  RoundStats own_us, other_us, ratio;  ///< ratio: other / own, of each round
  std::vector<double> own_rounds;      ///< own, us
  std::string error;                   ///< what went wrong; the times mean nothing then
};

/// Never throws an Error: it is told in the result.
Result compare(const DeviceBench& bench, const Comparison& c);

/// ||a - b|| / ||b||; infinite where an element is not finite. Of large tensors, over 64 pieces of 2^14 elements.
double relative_difference(const Tensor& a, const Tensor& b);
/// Queues a copy that reads and writes `bytes` in all.
Call device_copy(const DeviceBench& bench, double bytes);

/// The groups. Each appends its comparisons' results.
using Report = std::function<void(const Comparison&)>;
void bench_gemm(const DeviceBench& bench, const Report& run);
void bench_conv2d(const DeviceBench& bench, const Report& run);
void bench_rows(const DeviceBench& bench, const Report& run);
void bench_losses(const DeviceBench& bench, const Report& run);
void bench_mobile(const DeviceBench& bench, const Report& run);
void bench_parc(const DeviceBench& bench, const Report& run);

}  // namespace akin::bench
