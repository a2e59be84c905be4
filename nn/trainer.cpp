#include "nn/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/io/file.hpp"
#include "engine/io/seal.hpp"
#include "engine/profile.hpp"
#include "engine/ranks.hpp"
#include "nn/anomaly.hpp"
#include "nn/sliced_step.hpp"
#include "nn/stepper.hpp"

namespace akin {

namespace {

constexpr const char* kFormat = "akin-checkpoint-4";

struct State {
  std::int64_t step = 0;
  double loss_sum = 0;  // since the last curve point
  std::int64_t loss_count = 0;
  TrainResult result;
};

void write_checkpoint(const Place& place, const ParameterList& parameters, const Optimizer& optimizer, const State& s) {
  SafeTensors file;
  for (const Parameter& p : parameters) file.add("parameter." + p.name, p.tensor.to_array());
  for (std::size_t i = 0; i < s.result.best.size(); ++i) file.add("best." + parameters[i].name, s.result.best[i]);
  optimizer.save(file);
  // As arrays: text would round them, and validation may be NaN.
  std::vector<double> curve;
  for (const CurvePoint& c : s.result.curve)
    curve.insert(curve.end(), {static_cast<double>(c.step), c.loss, c.validation});
  file.add("curve", Array::from(curve, {static_cast<std::int64_t>(s.result.curve.size()), 3}));
  file.add("progress", Array::from(std::vector<double>{static_cast<double>(s.step), s.loss_sum,
                                                       static_cast<double>(s.loss_count), s.result.best_validation,
                                                       static_cast<double>(s.result.best_step), s.result.seconds},
                                   {6}));
  // A sound checkpoint stays where this one would be of no use.
  const bool kept = is_there(place.checkpoint);
  for (const auto& [name, array] : file.tensors)
    if (name != "curve" && name != "progress") try {
        check_finite(array, name, place.checkpoint.string());
      } catch (const Error&) {
        const std::string layer = first_broken_parameter(parameters);
        fail("training: after step {} {} is the first layer whose values are not finite; {}; lower the learning rate",
             s.step - 1, layer.empty() ? name : layer,
             kept ? "the checkpoint of an earlier step stays: " + place.checkpoint.string()
                  : "no checkpoint is written");
      }
  file.metadata = {{"format", kFormat}, {"fingerprint", place.fingerprint}};
  // Another process in the same run folder may have removed the empty folder when it ended.
  if (place.checkpoint.has_parent_path()) make_folder(place.checkpoint.parent_path());
  seal(file);
  write_safetensors(place.checkpoint, file);
}

std::string metadata(const SafeTensors& file, const char* key) {
  const auto it = file.metadata.find(key);
  return it == file.metadata.end() ? std::string() : it->second;
}

/// A checkpoint as it was written. Throws where it is anything else. `bytes`: what the file holds, if it was read
/// already.
SafeTensors open_checkpoint(const std::filesystem::path& path, const std::string* bytes = nullptr) {
  SafeTensors file;
  try {
    file = bytes == nullptr ? read_safetensors(path)
                            : parse_safetensors({reinterpret_cast<const std::uint8_t*>(bytes->data()), bytes->size()},
                                                path.string());
  } catch (const Error& e) {
    fail("{}; no run can go on from this checkpoint: remove it to start anew", e.what());
  }
  const std::string format = metadata(file, "format");
  if (format.starts_with("akin-checkpoint-"))
    AKIN_CHECK(format == kFormat,
               "{}: another version of akin wrote this checkpoint ({}, this one reads {}); remove it "
               "to start anew, or go on with that version",
               path.string(), format, kFormat);
  AKIN_CHECK(format == kFormat, "{}: is not a checkpoint of a training run; remove it or choose another run folder",
             path.string());
  AKIN_CHECK(seal_of(file) == Seal::sound,
             "{}: is damaged (its sha256 is not that of its content); no run can go on from this checkpoint: remove it "
             "to start anew",
             path.string());
  return file;
}

/// A whole number in 0..most, as a checkpoint keeps it.
bool is_count(double v, double most) { return v >= 0 && v <= most && v == std::floor(v); }

/// The checkpoint there is, as the first rank finds it; nothing where there is none, or none is to be gone on from.
std::optional<SafeTensors> find_checkpoint(Ranks* ranks, const Place& place) {
  const bool wanted = !place.checkpoint.empty() && place.resume;
  if (ranks == nullptr) {
    if (!wanted || !is_there(place.checkpoint)) return {};
    return open_checkpoint(place.checkpoint);
  }
  std::string bytes;
  on_first(ranks, "whether there is a checkpoint", [&] {
    if (!wanted || !is_there(place.checkpoint)) return;
    const Bytes all = read_file(place.checkpoint);
    bytes.assign(all.begin(), all.end());
  });
  broadcast(*ranks, bytes, 0, "the checkpoint");
  if (bytes.empty()) return {};
  return open_checkpoint(place.checkpoint, &bytes);
}

State read_checkpoint(const SafeTensors& file, const TrainOptions& options, const Place& place,
                      const ParameterList& parameters, Optimizer& optimizer) {
  AKIN_CHECK(metadata(file, "fingerprint") == place.fingerprint,
             "{}: was written with other settings; resume with those, or start anew in another run folder",
             file.source);
  const auto tensor = [&](const std::string& prefix, const Parameter& p) -> const Array& {
    const Array& a = file.at(prefix + p.name);
    AKIN_CHECK(a.shape() == p.tensor.shape() && a.dtype() == p.tensor.dtype(),
               "{}: {} is {} {}, expected {} {} (another network)", file.source, prefix + p.name, name_of(a.dtype()),
               a.shape().str(), name_of(p.tensor.dtype()), p.tensor.shape().str());
    return a;
  };
  for (const Parameter& p : parameters) check_finite(tensor("parameter.", p), "parameter." + p.name, file.source);
  State s;
  const Array &curve = file.at("curve"), &progress = file.at("progress");
  const auto damaged = [&](bool ok) {
    AKIN_CHECK(ok, "{}: its record of the run is damaged; remove it to start anew", file.source);
  };
  damaged(progress.dtype() == DType::f64 && progress.shape() == Shape{6} && curve.dtype() == DType::f64 &&
          curve.shape().rank() == 2 && curve.shape()[1] == 3);
  const auto v = progress.as<double>();
  const auto steps = static_cast<double>(options.schedule.steps);
  damaged(is_count(v[0], steps) && is_count(v[2], v[0]) && is_count(v[4], v[0]) && std::isfinite(v[1]) && v[3] >= -1 &&
          v[3] <= 1 && v[5] >= 0);
  s.step = static_cast<std::int64_t>(v[0]);
  s.loss_sum = v[1];
  s.loss_count = static_cast<std::int64_t>(v[2]);
  s.result.best_validation = v[3];
  s.result.best_step = static_cast<std::int64_t>(v[4]);
  s.result.seconds = v[5];
  if (s.result.best_validation >= 0)
    for (const Parameter& p : parameters) s.result.best.push_back(tensor("best.", p));
  const auto c = curve.as<double>();
  for (std::size_t i = 0; i < c.size(); i += 3) {
    damaged(is_count(c[i], v[0]));
    s.result.curve.push_back({static_cast<std::int64_t>(c[i]), c[i + 1], c[i + 2]});
  }
  optimizer.load(file);
  for (const Parameter& p : parameters) p.tensor.copy_from(file.at("parameter." + p.name).bytes());
  optimizer.refresh();
  return s;
}

}  // namespace

TrainResult train(Context& ctx, const ParameterList& parameters, const TrainOptions& options, const Place& place,
                  Objective& objective, const TrainHooks& hooks) {
  options.schedule.check();
  const StageScope stage(ctx, "train");
  tell_layers(ctx, parameters);
  Optimizer optimizer(ctx, parameters, options.optimizer);
  State s;
  Ranks* const ranks = ctx.ranks.get();
  // Of the first rank: when all stop to write a checkpoint.
  struct Keeping {
    std::int64_t keeps, every;
  };
  const Keeping keeping =
      gathered(ranks, Keeping{!place.checkpoint.empty(), place.checkpoint_every}, "the checkpoints")[0];
  const bool keeps = keeping.keeps != 0;
  const auto keep = [&] {
    on_first(ranks, "the checkpoint", [&] { write_checkpoint(place, parameters, optimizer, s); });
  };
  if (const auto file = find_checkpoint(ranks, place))
    s = read_checkpoint(*file, options, place, parameters, optimizer);
  if (keeps)  // a folder that cannot be written shall not show only when there is something to lose
    on_first(ranks, "the folder of checkpoints", [&] {
      if (place.checkpoint.has_parent_path()) make_folder(place.checkpoint.parent_path());
      const AtomicFile probe(place.checkpoint);
    });
  const double seconds_before = s.result.seconds;
  const auto start = std::chrono::steady_clock::now();
  const auto measure = [&] {
    s.result.seconds = seconds_before + std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  Stepper stepper(ctx, objective, optimizer, parameters,
                  options.graph && !ctx.detect_anomaly && ctx.profiler == nullptr);
  std::optional<SlicedStep> sliced;
  if (options.slices > 1 || ranks != nullptr)
    sliced.emplace(ctx, objective, optimizer, parameters, slices_of(ctx, options.slices), options.batch,
                   options.sync_batchnorm);
  if (ranks != nullptr) check_same_on_ranks(*ranks, parameters, optimizer, s.step);
  AnomalyWatch watch(parameters);
  double last_loss = std::nan("");
  const auto count_loss = [&](double loss) {
    s.loss_sum += loss;
    ++s.loss_count;
    last_loss = loss;
  };
  const auto take_losses = [&] {
    for (const double loss : stepper.losses().take()) count_loss(loss);
  };
  // With ranks, those who hear of it tell the others with the next step's sums.
  bool asked = false, told = false;
  const auto shall_stop = [&] {
    asked = hooks.stop && hooks.stop();
    return ranks == nullptr ? asked : told;
  };
  const auto run_step = [&] {
    const WatchScope watched(ctx, ctx.detect_anomaly ? &watch : ctx.watch);
    try {
      if (sliced) {
        const SlicedStep::Result r = sliced->run(s.step, options.schedule.at(s.step), asked);
        count_loss(r.loss);
        told = told || r.stop;
      } else {
        stepper.run(s.step, options.schedule.at(s.step));
      }
      if (ctx.detect_anomaly) watch.updated(optimizer);
    } catch (const LossNotFinite&) {
      throw;
    } catch (const RankError&) {
      throw;
    } catch (const Error& e) {
      if (ctx.detect_anomaly) fail("training: step {}: {}", s.step, e.what());
      throw;
    }
  };
  const std::int64_t steps = options.schedule.steps;
  const std::int64_t eval_every = options.eval_every > 0 ? options.eval_every : std::max<std::int64_t>(1, steps / 10);
  if (s.step < steps && hooks.begin) hooks.begin(s.step);
  try {
    while (s.step < steps) {
      if (shall_stop()) {
        take_losses();
        measure();
        if (keeps) keep();
        s.result.steps = s.step;
        return std::move(s.result);
      }
      run_step();
      ++s.step;
      if (ranks != nullptr && options.compare_every > 0 && (s.step % options.compare_every == 0 || s.step == steps))
        check_same_on_ranks(*ranks, parameters, optimizer, s.step);
      const bool point_due = s.step % eval_every == 0 || s.step == steps;
      const bool checkpoint_due = keeps && keeping.every > 0 && s.step % keeping.every == 0;
      const bool first = std::isnan(last_loss);  // progress shall have a number to show
      if (ctx.gpu == nullptr || first || point_due || checkpoint_due || stepper.losses().full()) take_losses();
      if (point_due) {
        CurvePoint point{s.step, s.loss_sum / static_cast<double>(s.loss_count), std::nan("")};
        if (hooks.validate) {
          const StageScope validating(ctx, "validate");
          try {
            point.validation = hooks.validate();
          } catch (const Error&) {  // it asked a network that is broken: that is what is to be told
            const std::string layer = first_broken_parameter(parameters);
            if (layer.empty()) throw;
            fail("training: after step {} {} is the first layer whose values are not finite; lower the learning rate",
                 s.step - 1, layer);
          }
          if (point.validation > s.result.best_validation) {
            s.result.best_validation = point.validation;
            s.result.best_step = s.step;
            s.result.best.clear();
            for (const Parameter& p : parameters) s.result.best.push_back(p.tensor.to_array());
          }
        }
        s.result.curve.push_back(point);
        s.loss_sum = 0;
        s.loss_count = 0;
      }
      if (hooks.progress) hooks.progress(s.step, last_loss);
      if (checkpoint_due || (keeps && s.step == steps)) {
        measure();
        keep();
      }
    }
  } catch (const LossNotFinite& e) {
    std::string where = first_not_finite(ctx, objective, parameters);
    if (ranks != nullptr) {  // all of them are here, and some know why
      const std::vector<std::string> found = gather(*ranks, where, "where the loss broke");
      const auto known = std::find_if(found.begin(), found.end(), [](const std::string& w) { return !w.empty(); });
      if (known != found.end()) where = *known;
    }
    // Before the first update no learning rate is to blame.
    fail("{}{}; {}", e.what(), where.empty() ? "" : ": " + where,
         e.step == 0 ? "look for broken inputs, or a setting of another size than usual, such as the temperature"
                     : "lower the learning rate, or look for broken inputs");
  }
  s.result.steps = s.step;
  s.result.finished = true;
  measure();
  return std::move(s.result);
}

void remove_checkpoint(const std::filesystem::path& file) {
  if (!file.empty()) remove_file(file);
}

std::optional<std::string> checkpoint_fingerprint(const std::filesystem::path& file) {
  if (!is_there(file)) return {};
  const SafeTensors t = open_checkpoint(file);
  return metadata(t, "fingerprint");
}

bool is_checkpoint_of(const std::filesystem::path& file, const std::string& fingerprint) {
  return checkpoint_fingerprint(file) == fingerprint;
}

}  // namespace akin
