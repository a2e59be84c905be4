#include "distill/student/linear_probe.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/io/json.hpp"
#include "engine/io/seal.hpp"

namespace akin {

namespace {

constexpr double kStrengths[] = {10, 3, 1, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4};

}  // namespace

std::vector<double> standardised(const ProbeHead& head, const Array& features) {
  const auto x = features.as<float>();
  const std::size_t D = head.mean.size();
  std::vector<double> out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    out[i] = (static_cast<double>(x[i]) - head.mean[i % D]) * head.scale[i % D];
  return out;
}

void standardise(ProbeHead& head, const Array& features) {
  const auto x = features.as<float>();
  const auto N = static_cast<std::size_t>(features.shape()[0]), D = static_cast<std::size_t>(features.shape()[1]);
  head.mean.assign(D, 0);
  head.scale.assign(D, 0);
  for (std::size_t i = 0; i < x.size(); ++i) head.mean[i % D] += static_cast<double>(x[i]) / static_cast<double>(N);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double d = static_cast<double>(x[i]) - head.mean[i % D];
    head.scale[i % D] += d * d / static_cast<double>(N);
  }
  for (std::size_t d = 0; d < D; ++d) {
    const double std = std::sqrt(head.scale[d]);
    head.scale[d] = std > 1e-6 * std::abs(head.mean[d]) && std > 0 ? 1 / std : 0;  // f32 sums leave less than that
  }
}

std::span<const double> probe_strengths() { return kStrengths; }

Array ProbeHead::logits(const Array& features) const {
  const std::int64_t N = features.shape()[0];
  AKIN_CHECK(features.shape()[1] == static_cast<std::int64_t>(mean.size()), "linear probe: {} features, it has {}",
             features.shape()[1], mean.size());
  const std::vector<double> z = logistic_logits(fit, standardised(*this, features), N);
  return Array::from(z, {N, static_cast<std::int64_t>(fit.bias.size())}).cast(DType::f32);
}

Array features_of(Context& ctx, const Source& source, const ImageSet& set, const Indices& index,
                  const OutputOptions& outputs) {
  AKIN_CHECK(!source.is_table(),
             "linear probe: the nearest source, {}, is a table of the target's training images and says nothing of "
             "others; leave the probe out, or give the source as a model",
             source.name);
  return outputs_of(ctx, source, set, index, outputs).features;
}

LinearProbe train_linear_probe(Context& ctx, const Task& task, const Source& source, const Settings& settings,
                               const OutputOptions& outputs) {
  const auto start = std::chrono::steady_clock::now();
  check(settings);
  const Indices &labelled = task.split.labelled, &held_out = task.split.validation;
  const Array features = features_of(ctx, source, task.pool(), labelled, outputs);
  const std::vector<int> labels = labels_of(task, labelled), validation_labels = labels_of(task, held_out);
  Array validation;
  if (!held_out.empty()) validation = features_of(ctx, source, task.pool(), held_out, outputs);
  ProbeHead blank;
  standardise(blank, features);
  const std::vector<double> x = standardised(blank, features);
  const auto fit = [&](double l2, const LogisticFit* from) {
    ProbeHead head = blank;
    head.l2 = l2;
    head.fit = fit_logistic(x, labels, static_cast<int>(task.classes()), {.l2 = l2}, from);
    return head;
  };
  const auto score = [&](const ProbeHead& head) {
    return accuracy(argmax_rows(head.logits(validation)), validation_labels);
  };
  LinearProbe out;
  out.last = fit(settings.probe_l2 > 0 ? settings.probe_l2 : 1 / static_cast<double>(labels.size()), nullptr);
  if (!held_out.empty()) {
    out.last_validation = score(out.last);
    ProbeHead head;
    for (std::size_t i = 0; i < std::size(kStrengths); ++i) {
      const LogisticFit before = std::move(head.fit);
      head = fit(kStrengths[i], i == 0 ? nullptr : &before);
      const double validated = score(head);
      out.curve.push_back({static_cast<std::int64_t>(i + 1), head.fit.loss, validated});
      if (validated > out.best_validation) {  // the strongest of equals
        out.best_validation = validated;
        out.best_point = static_cast<std::int64_t>(i + 1);
        out.best = head;
      }
    }
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

std::pair<Array, Array> plain_head(const ProbeHead& head) {
  const std::size_t D = head.mean.size(), C = head.fit.bias.size();
  std::vector<double> weight(C * D), bias = head.fit.bias;
  for (std::size_t d = 0; d < D; ++d)
    for (std::size_t c = 0; c < C; ++c) {
      const double w = head.fit.weight[d * C + c] * head.scale[d];
      weight[c * D + d] = w;
      bias[c] -= w * head.mean[d];
    }
  const auto rows = static_cast<std::int64_t>(C);
  return {Array::from(weight, {rows, static_cast<std::int64_t>(D)}).cast(DType::f32),
          Array::from(bias, {rows}).cast(DType::f32)};
}

Model probe_model(Context& ctx, const Task& task, const Source& source, const ProbeHead& head) {
  Model model;
  model.info = source.model.info;
  model.info.architecture.classes = task.classes();
  model.info.architecture.taught_share = 0;  // of the source's own task
  model.info.classes = task.pool().classes;
  model.info.task = task.pool().name;
  model.info.test_accuracy = -1;
  model.info.settings.clear();
  if (model.info.architecture.name.starts_with("squeezenet")) return model;
  StudentPlan plan{.method = Method::finetune, .architecture = model.info.architecture, .start = &source};
  Settings settings;
  settings.match_channels = true;
  settings.unfold = false;
  model.network = std::move(make_student_model(ctx, task, plan, settings).network);
  const auto [weight, bias] = plain_head(head);
  for (const Parameter& p : model.network->parameters()) {
    if (p.name == model.network->head_name() + ".weight") p.tensor.copy_from(weight.bytes());
    if (p.name == model.network->head_name() + ".bias") p.tensor.copy_from(bias.bytes());
  }
  return model;
}

void save_probe(const std::filesystem::path& file, const Model& model, const Source& source, const ProbeHead& head) {
  if (model.network != nullptr) {
    save_model(file, *model.network, model.info);
    return;
  }
  const auto [weight, bias] = plain_head(head);
  SafeTensors out;
  out.add("fc.weight", weight);
  out.add("fc.bias", bias);
  out.metadata = {{"format", "akin-head-1"},
                  {"source", source.name},
                  {"source_hash", source.hash},
                  {"classes", json_line(model.info.classes)},
                  {"task", model.info.task}};
  seal(out);
  write_safetensors(file, out);
}

}  // namespace akin
