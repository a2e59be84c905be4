#include "apps/exported.hpp"

#include <algorithm>
#include <set>

#include "engine/io/json.hpp"
#include "engine/io/seal.hpp"
#include "engine/io/sha256.hpp"
#include "nn/classifier.hpp"
#include "nn/export/hub.hpp"
#include "nn/export/onnx.hpp"
#include "nn/export/pytorch.hpp"

namespace akin {

namespace {

/// Stores the weights of a file that has the network's names, or timm's: there what has the rank of a weight is one.
void store(SafeTensors& file, const Exported& e, const std::optional<TimmNetwork>& timm) {
  std::set<std::string> weights;
  for (const Parameter& p : e.network().parameters())
    if (p.is_weight()) weights.insert(p.name);
  std::vector<std::pair<std::string, WeightStore>> ways;
  for (const auto& [name, array] : file.tensors)
    if (timm ? array.shape().rank() >= 2 : weights.contains(name))
      ways.emplace_back(name, store_of(e.store, array, e.layers.of_head.contains(name)));
  store_weights(file, ways);
  seal(file);
}

/// The accuracy that a file with rounded weights may claim is none that a training measured.
ModelInfo told(const Exported& e) {
  ModelInfo info = e.info;
  if (e.store != WeightStore::f32) forget_accuracy(info);
  return info;
}

}  // namespace

std::string to_onnx(const Exported& e) {
  const LayerGraph& layers = e.layers;
  onnx::Graph graph = onnx::export_layers(layers, e.info.normalization, e.store);
  graph.name = e.name;
  graph.producer_version = version();
  graph.text = fmt::format(
      "Image classifier by akin. image: float32 [batch, {}, {}, {}], {} values 0 to 255; the graph normalises them. "
      "logits: float32 [batch, {}].",
      layers.input[3], layers.input[1], layers.input[2], layers.input[3] == 1 ? "grey" : "RGB",
      e.info.architecture.classes);
  const Preprocessing seen = preprocessing_of(e.info);
  graph.text += " Of a picture the network sees " + fit_in_words(seen) + ".";
  graph.metadata = {
      {"network", e.info.architecture.name}, {"sha256", e.model->hash}, {"input", preprocessing_json(seen)}};
  if (e.store != WeightStore::f32) graph.metadata["weights"] = name_of(e.store);
  if (!e.info.task.empty()) graph.metadata["task"] = e.info.task;
  if (!e.info.classes.empty()) graph.metadata["classes"] = json_line(e.info.classes);
  return onnx::to_bytes(graph);
}

SafeTensors to_model_file(const Exported& e) {
  SafeTensors file = model_content(e.network(), told(e));
  store(file, e, {});
  return file;
}

SafeTensors to_hub_file(const Exported& e) {
  const auto timm = e.timm();
  SafeTensors file = hub_weights(e.network(), told(e), timm);
  store(file, e, timm);
  return file;
}

std::string code_of(const Exported& e, const SafeTensors& file, bool hub) {
  const Architecture& a = e.info.architecture;
  const bool library = e.folded == nullptr && ((hub && e.timm()) || !torchvision_call(a).empty());
  return library ? "" : pytorch_network(e.layers, file);
}

KeptAccuracy measure(Context& ctx, const CommonOptions& common, const Exported& e, const SafeTensors& file,
                     const std::string& data) {
  const ImageSet set =
      load_images(data, Split::test, format_for({.channels = static_cast<int>(e.info.architecture.channels)}, e.info));
  tell(common, set);
  const std::vector<std::string>& own = e.info.classes;
  const auto C = e.info.architecture.classes;
  AKIN_CHECK(
      own.empty() ? std::ssize(set.classes) == C : own == set.classes,
      "--data {}: its classes ({}) are not those of {} ({}); the model card would claim an accuracy of another task",
      data, some_of(set.classes), e.name, own.empty() ? fmt::format("{} without names", C) : some_of(own));
  const Bytes bytes = to_safetensors(file);
  const Model stored = load_model(ctx, parse_safetensors(bytes, e.name + ".safetensors"), sha256_hex(bytes));
  const Events events = make_events(common);
  const auto N = static_cast<std::int64_t>(set.labels.size());
  std::vector<int> said[2];
  for (const int i : {0, 1}) {
    said[i] = predict(
        ctx, i == 0 ? *e.model : stored, set,
        [&](std::int64_t done) { events.progress(i == 0 ? "testing f32" : "testing stored", done, N, "images", ""); },
        set.fitted);
  }
  return {.images = N,
          .full = accuracy(said[0], set.labels),
          .stored = accuracy(said[1], set.labels),
          .alike = accuracy(said[1], said[0]),
          .data = last_name(data)};
}

}  // namespace akin
