#include "apps/exported.hpp"

#include "engine/io/json.hpp"
#include "engine/io/seal.hpp"
#include "engine/io/sha256.hpp"
#include "nn/classifier.hpp"
#include "nn/export/hub.hpp"
#include "nn/export/onnx.hpp"
#include "nn/export/pytorch.hpp"

namespace akin {

namespace {

void store(SafeTensors& file, const Network& network, const std::optional<TimmNetwork>& timm, WeightStore store) {
  std::vector<std::string> names;
  if (timm) {  // other names: what has the rank of a weight is one
    for (const auto& [name, array] : file.tensors)
      if (array.shape().rank() >= 2) names.push_back(name);
  } else {
    for (const Parameter& p : network.parameters())
      if (p.is_weight()) names.push_back(p.name);
  }
  store_weights(file, names, store);
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
  store(file, e.network(), {}, e.store);
  return file;
}

SafeTensors to_hub_file(const Exported& e) {
  const auto timm = e.folded == nullptr ? timm_network(e.info.architecture) : std::nullopt;
  SafeTensors file = hub_weights(e.network(), told(e), timm);
  store(file, e.network(), timm, e.store);
  return file;
}

std::string code_of(const Exported& e, const SafeTensors& file, bool hub) {
  const Architecture& a = e.info.architecture;
  const bool library = e.folded == nullptr && (hub && timm_network(a) ? true : !torchvision_call(a).empty());
  return library ? "" : pytorch_network(e.layers, file);
}

KeptAccuracy measure(Context& ctx, const CommonOptions& common, const Exported& e, const SafeTensors& file,
                     const std::string& data) {
  const ImageSet set = load_images(data, Split::test, format_for({}, e.info));
  tell(common, set);
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
