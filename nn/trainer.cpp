#include "nn/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

namespace akin {

namespace {

constexpr const char* kFormat = "akin-checkpoint-1";

struct State {
  std::int64_t step = 0;
  double loss_sum = 0;  // since the last curve point
  std::int64_t loss_count = 0;
  TrainResult result;
};

void write_checkpoint(const TrainOptions& options, const ParameterList& parameters, const Optimizer& optimizer,
                      const State& s) {
  SafeTensors file;
  for (const Parameter& p : parameters) file.add("parameter." + p.name, p.tensor.to_array());
  optimizer.save(file);
  // Numbers that JSON would round or refuse (NaN) travel as an array.
  std::vector<double> curve;
  for (const TrainPoint& c : s.result.curve)
    curve.insert(curve.end(), {static_cast<double>(c.step), c.loss, c.validation});
  file.add("curve", Array::from(curve, {static_cast<std::int64_t>(s.result.curve.size()), 3}));
  file.add("progress",
           Array::from(std::vector<double>{static_cast<double>(s.step), s.loss_sum, static_cast<double>(s.loss_count),
                                           s.result.best_validation, static_cast<double>(s.result.best_step)},
                       {5}));
  file.metadata = {{"format", kFormat}, {"fingerprint", options.fingerprint}};
  write_safetensors(options.checkpoint, file);
}

State read_checkpoint(const TrainOptions& options, const ParameterList& parameters, Optimizer& optimizer) {
  const SafeTensors file = read_safetensors(options.checkpoint);
  const auto meta = [&](const char* key) {
    const auto it = file.metadata.find(key);
    return it == file.metadata.end() ? std::string() : it->second;
  };
  AKIN_CHECK(meta("format") == kFormat,
             "{}: is not a checkpoint of a training run; remove it or choose another run folder", file.source);
  AKIN_CHECK(meta("fingerprint") == options.fingerprint,
             "{}: was written with other settings; resume with those, or start anew in another run folder",
             file.source);
  for (const Parameter& p : parameters) {
    const Array& a = file.at("parameter." + p.name);
    AKIN_CHECK(a.shape() == p.tensor.shape() && a.dtype() == p.tensor.dtype(),
               "{}: {} is {}, expected {} (another network)", file.source, p.name, a.shape().str(),
               p.tensor.shape().str());
    std::memcpy(p.tensor.raw(), a.bytes(), p.tensor.bytes());
  }
  optimizer.load(file);
  State s;
  const Array &curve = file.at("curve"), &progress = file.at("progress");
  AKIN_CHECK(progress.numel() == 5 && curve.numel() % 3 == 0, "{}: damaged checkpoint; remove it and start anew",
             file.source);
  const auto v = progress.as<double>();
  s.step = static_cast<std::int64_t>(v[0]);
  s.loss_sum = v[1];
  s.loss_count = static_cast<std::int64_t>(v[2]);
  s.result.best_validation = v[3];
  s.result.best_step = static_cast<std::int64_t>(v[4]);
  const auto c = curve.as<double>();
  for (std::size_t i = 0; i < c.size(); i += 3)
    s.result.curve.push_back({static_cast<std::int64_t>(c[i]), c[i + 1], c[i + 2]});
  return s;
}

}  // namespace

TrainResult train(Context& ctx, const ParameterList& parameters, const TrainOptions& options, const TrainHooks& hooks) {
  options.schedule.check();
  Optimizer optimizer(ctx, parameters, options.optimizer);
  State s;
  const bool keeps = !options.checkpoint.empty();
  if (keeps && options.resume && std::filesystem::exists(options.checkpoint))
    s = read_checkpoint(options, parameters, optimizer);
  const std::int64_t steps = options.schedule.steps;
  const std::int64_t eval_every = options.eval_every > 0 ? options.eval_every : std::max<std::int64_t>(1, steps / 10);
  if (s.step < steps && hooks.begin) hooks.begin(s.step);
  while (s.step < steps) {
    if (hooks.stop && hooks.stop()) {
      if (keeps) write_checkpoint(options, parameters, optimizer, s);
      s.result.steps = s.step;
      return std::move(s.result);
    }
    Tape tape;
    double value = 0;
    optimizer.zero_grad();
    {
      const TapeScope scope(ctx, &tape);
      const Tensor loss = hooks.loss(s.step);
      value = loss.item();
      AKIN_CHECK(std::isfinite(value),
                 "training: the loss of step {} is {}; lower the learning rate, or look for broken inputs", s.step,
                 value);
      tape.backward(ctx, loss);
    }
    optimizer.step(options.schedule.at(s.step));
    ++s.step;
    s.loss_sum += value;
    ++s.loss_count;
    if (s.step % eval_every == 0 || s.step == steps) {
      TrainPoint point{s.step, s.loss_sum / static_cast<double>(s.loss_count), std::nan("")};
      if (hooks.validate) {
        point.validation = hooks.validate();
        if (point.validation > s.result.best_validation) {
          s.result.best_validation = point.validation;
          s.result.best_step = s.step;
        }
      }
      s.result.curve.push_back(point);
      s.loss_sum = 0;
      s.loss_count = 0;
    }
    if (hooks.progress) hooks.progress(s.step, value);
    if (keeps && options.checkpoint_every > 0 && s.step % options.checkpoint_every == 0 && s.step < steps)
      write_checkpoint(options, parameters, optimizer, s);
  }
  s.result.steps = s.step;
  s.result.finished = true;
  if (keeps) std::filesystem::remove(options.checkpoint);
  return std::move(s.result);
}

}  // namespace akin
