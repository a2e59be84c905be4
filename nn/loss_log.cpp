#include "nn/loss_log.hpp"

#include <cmath>
#include <utility>

namespace akin {

namespace {

double checked(double value, std::int64_t step) {
  if (!std::isfinite(value)) throw LossNotFinite(step, value);
  return value;
}

}  // namespace

LossNotFinite::LossNotFinite(std::int64_t s, double loss)
    : Error(fmt::format("training: the loss of step {} is {}", s, loss)), step(s) {}

LossLog::LossLog(Context& ctx) {
  if (ctx.gpu != nullptr) ring_ = Tensor::empty(ctx, {kSlots});
}

void LossLog::add(std::int64_t step, const Tensor& loss) {
  if (!ring_.defined()) {
    values_.push_back(checked(loss.item(), step));
    return;
  }
  if (full()) read();
  if (pending_ == 0) first_ = step;
  ring_.view({1}, pending_++).copy_from(loss.view({1}));
}

void LossLog::read() {
  const Array losses = ring_.to_array();
  for (std::int64_t i = 0; i < pending_; ++i)
    values_.push_back(checked(double{losses.as<float>()[static_cast<std::size_t>(i)]}, first_ + i));
  pending_ = 0;
}

std::vector<double> LossLog::take() {
  if (pending_ > 0) read();
  return std::exchange(values_, {});
}

}  // namespace akin
