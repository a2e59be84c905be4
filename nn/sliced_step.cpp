#include "nn/sliced_step.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/ops/dispatch.hpp"
#include "engine/ranks.hpp"

namespace akin {

namespace {

/// The running statistics side by side, so that they are kept and brought back in one copy.
Tensor in_one_array(Context& ctx, const ParameterList& parameters) {
  std::int64_t size = 0;
  for (const Parameter& p : parameters)
    if (p.kind == ParameterKind::buffer) size += p.tensor.numel();
  if (size == 0) return {};
  const Tensor all = Tensor::empty(ctx, {size});
  std::int64_t at = 0;
  for (const Parameter& p : parameters) {
    if (p.kind != ParameterKind::buffer) continue;
    const Tensor part = all.view(p.tensor.shape(), at);
    part.copy_from(p.tensor);
    p.tensor.handle()->storage = part.handle()->storage;
    p.tensor.handle()->offset = part.handle()->offset;
    at += p.tensor.numel();
  }
  return all;
}

std::int64_t size_of_all(const Tensor& t) { return t.defined() ? t.numel() : 0; }

}  // namespace

SlicedStep::SlicedStep(Context& ctx, Objective& objective, Optimizer& optimizer, const ParameterList& parameters,
                       const Slices& slices, std::int64_t batch, bool shared_statistics)
    : ctx_(ctx),
      objective_(objective),
      optimizer_(optimizer),
      slices_(slices),
      batch_(batch),
      shared_statistics_(shared_statistics),
      statistics_(in_one_array(ctx, parameters)),
      sum_(ctx, optimizer.gradients().numel() + size_of_all(statistics_), slices.here, 2) {
  AKIN_CHECK(!shared_statistics || slices.here == 1,
             "--sync-batchnorm: needs a rank for each slice, found {} slices of one rank; start {} times as many ranks",
             slices.here, slices.here);
  for (const Parameter& p : parameters)
    if (p.kind == ParameterKind::counter) counters_.push_back(p.tensor);
  if (statistics_.defined()) before_ = Tensor::empty(ctx, statistics_.shape());
}

void SlicedStep::run_slice(std::int64_t i, std::int64_t step, bool stop) {
  objective_.begin_step(step);
  optimizer_.zero_grad();
  const std::int64_t images = slices_.size(batch_, slices_.first + i);
  const ContextScope<&Context::shared_batch> counted(ctx_,
                                                     shared_statistics_ ? SharedBatch{images, batch_} : SharedBatch{});
  Tape tape;
  const TapeScope scope(ctx_, &tape);
  const Tensor loss = objective_.forward();
  const double value = loss.item();
  broken_ = !std::isfinite(value);
  tape.backward(ctx_, loss, static_cast<double>(images) / static_cast<double>(batch_));
  optimizer_.complete_gradients();
  const float tail[] = {static_cast<float>(value), stop ? 1.0f : 0.0f};
  sum_.put(i, tail, [&](const Tensor& to) {
    const Tensor& gradients = optimizer_.gradients();
    to.view(gradients.shape()).copy_from(gradients);
    if (statistics_.defined()) to.view(statistics_.shape(), gradients.numel()).copy_from(statistics_);
  });
}

SlicedStep::Result SlicedStep::run(std::int64_t step, double lr, bool stop) {
  optimizer_.prepare(lr);
  std::vector<std::int64_t> counts;
  for (const Tensor& c : counters_) counts.push_back(c.data<std::int64_t>()[0]);
  if (statistics_.defined()) before_.copy_from(statistics_);
  for (std::int64_t i = 0; i < slices_.here; ++i) {
    if (i > 0 && statistics_.defined()) statistics_.copy_from(before_);
    if (!broken_)
      run_slice(i, step, stop);
    else  // the objective keeps the slice that broke, for whoever asks why
      sum_.put(i, std::array{std::numeric_limits<float>::quiet_NaN(), 0.0f}, [](const Tensor& to) { to.set_zero(); });
  }
  const Tensor sum = sum_.sum(fmt::format("the gradients of step {}", step));
  Result result{0, false};
  for (std::int64_t s = 0; s < slices_.count; ++s) {
    const std::span<const float> tail = sum_.tail(s);
    if (!std::isfinite(tail[0])) throw LossNotFinite(step, static_cast<double>(tail[0]));
    result.loss += static_cast<double>(tail[0]) * static_cast<double>(slices_.size(batch_, s));
    result.stop = result.stop || tail[1] != 0;
  }
  result.loss /= static_cast<double>(batch_);
  const Tensor& gradients = optimizer_.gradients();
  gradients.copy_from(sum.view(gradients.shape()));
  if (statistics_.defined())
    ops::axpy(ctx_, 1.0 / static_cast<double>(slices_.count), {}, sum.view(statistics_.shape(), gradients.numel()),
              statistics_, Accum::overwrite);
  for (std::size_t i = 0; i < counters_.size(); ++i) counters_[i].data<std::int64_t>()[0] = counts[i] + 1;
  optimizer_.apply();
  return result;
}

void check_same_on_ranks(Ranks& ranks, const ParameterList& parameters, const Optimizer& optimizer, std::int64_t step) {
  std::vector<std::string> names;
  std::vector<std::uint32_t> sums;
  const auto add = [&](const std::string& name, const Tensor& t) {
    const Array a = t.to_array();
    names.push_back(name);
    sums.push_back(checksum({a.bytes(), a.byte_size()}));
  };
  for (const Parameter& p : parameters) add(p.name, p.tensor);
  for (const auto& [name, t] : optimizer.moments()) add(name, t);
  const std::string when = step == 0 ? "before the first step" : fmt::format("after step {}", step - 1);
  const auto different = first_difference(ranks, sums, "the checksums " + when);
  if (!different) return;
  fail(
      "training: {} {} is not the same on {} as on {}, the first tensor that differs: a fault of a machine, or of "
      "akin; the last checkpoint stays, --resume goes on from there",
      when, names[different->item], ranks.name(different->rank), ranks.name(0));
}

}  // namespace akin
