// The loss of every step, without waiting for the device at every step.
#pragma once

#include <vector>

#include "engine/tensor.hpp"

namespace akin {

/// The loss of a step is NaN or infinite.
class LossNotFinite : public Error {
 public:
  LossNotFinite(std::int64_t step, double loss);
  std::int64_t step;  ///< counted from 0
};

/// On the CPU a loss is read when it is added. On a GPU it is copied to a slot of a ring on the device, and read when
/// the ring is full or somebody asks: values and their order are the same.
class LossLog {
 public:
  explicit LossLog(Context& ctx);
  /// `loss`: one element of f32, of step `step`.
  void add(std::int64_t step, const Tensor& loss);
  /// The losses added since the last call, in order. Throws LossNotFinite for the first step whose loss is not finite.
  std::vector<double> take();
  /// True when the next add() will have to wait for the device.
  bool full() const { return pending_ == kSlots; }

 private:
  static constexpr std::int64_t kSlots = 32;
  void read();
  Tensor ring_;
  std::int64_t pending_ = 0, first_ = 0;
  std::vector<double> values_;
};

}  // namespace akin
