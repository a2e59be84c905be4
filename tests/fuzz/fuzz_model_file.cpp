// Model files and weights of other programs (nn/model_file.hpp, nn/weight_file.hpp): what is loaded and saved again is
// loaded equal, and a description costs no memory that the weights do not justify. An input is a file in JSON
// (layered_files.hpp), with "beside", a layer graph for <name>.graph.json, and "import", what akin import is told:
//   {"arch": "resnet8", "width": 2, "classes": 3, "channels": 1, "new_head": true, "convert_stem": true, ...}
#include "engine/io/seal.hpp"
#include "nn/model_file.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/fuzz/json_mutator.hpp"
#include "tests/fuzz/layered_files.hpp"

namespace akin::fuzz {

namespace {

constexpr std::size_t kMostMemory = std::size_t{32} << 20;

struct Told {
  std::optional<ModelInfo> info;
  ImportOptions options;
};

Told told(const Json& input) {
  Told out;
  const auto it = input.find("import");
  if (it == input.end() || !it->is_object()) return out;
  const auto text = [&](const char* key) {
    return it->contains(key) && (*it)[key].is_string() ? (*it)[key].get<std::string>() : "";
  };
  const auto whole = [&](const char* key, std::int64_t otherwise) {
    return it->contains(key) && (*it)[key].is_number_integer() ? (*it)[key].get<std::int64_t>() : otherwise;
  };
  const auto numbers = [&](const char* key) {
    std::vector<float> list;
    if (it->contains(key) && (*it)[key].is_array())
      for (const Json& v : (*it)[key])
        if (v.is_number() && std::abs(v.get<double>()) < 1e38) list.push_back(static_cast<float>(v.get<double>()));
    return list.empty() ? std::vector<float>{0.5f} : list;
  };
  ModelInfo info;
  info.architecture = {.name = text("arch"),
                       .width = whole("width", 0),
                       .shortcut = text("shortcut"),
                       .channels = whole("channels", 3),
                       .classes = whole("classes", 2),
                       .stem = text("stem")};
  info.normalization = {numbers("mean"), numbers("std")};
  out.info = info;
  out.options = {.new_head = it->contains("new_head"), .convert_stem = it->contains("convert_stem")};
  return out;
}

Bytes stored(const SafeTensors& file) {
  return must("writing a file", [&] { return to_safetensors(file); });
}

void check(const Json& input, SafeTensors file, bool sealed) {
  file.metadata.erase("sha256");
  if (sealed) seal(file);
  std::vector<Part> parts{{"m.safetensors", stored(file)}};
  if (input.contains("beside")) parts.push_back({"m.graph.json", bytes_of_text(json_line(input["beside"]))});
  const std::filesystem::path path = folder_with(parts) / "m.safetensors";
  const Told how = told(input);
  Context ctx(Device::cpu, {.limit = kMostMemory});
  const auto loaded = accepted([&] { return load_foreign(ctx, path, how.info ? &*how.info : nullptr, how.options); });
  if (!loaded) return;
  const Model& model = loaded->model;
  require(model.network != nullptr && !model.hash.empty(), "a model without a network or a name");
  require(model.info.architecture == model.network->architecture(), "a model says it is another one");
  for (const Parameter& p : model.network->parameters())
    require(p.kind == ParameterKind::counter || passes([&] { check_finite(p.tensor.to_array(), p.name, "model"); }),
            "weights that are not finite were loaded");
  const std::filesystem::path copy = path.parent_path() / "copy.safetensors";
  must("saving what was loaded", [&] { save_model(copy, *model.network, model.info); });
  const Model again = must("loading what was saved", [&] { return load_model(ctx, copy); });
  require(again.info.architecture == model.info.architecture && again.info.classes == model.info.classes &&
              again.info.normalization.mean == model.info.normalization.mean && again.info.height == model.info.height,
          "loaded again it is described otherwise");
  const ParameterList a = model.network->parameters(), b = again.network->parameters();
  require(a.size() == b.size(), "loaded again it has other weights");
  for (std::size_t i = 0; i < a.size(); ++i)
    require(a[i].name == b[i].name && same_bits(a[i].tensor.to_array(), b[i].tensor.to_array()), "a weight changed");
}

void run(ByteView input) {
  const auto j = accepted([&] { return parse_json(text_of(input), "input"); });
  if (!j) return;
  const auto file = accepted([&] { return file_of(*j); });
  if (!file || !*file) return;
  check(*j, **file, true);
  if (input.size() % 2 == 0) check(*j, **file, false);
}

Seeds seeds() {
  Seeds all;
  const auto add = [&](const std::string& name, const Json& j) { all.push_back(text_seed(name, json_line(j))); };
  const auto own = [&](const std::string& name, const Architecture& a) {
    Context ctx;
    const auto network = make_network(ctx, a);
    initialize(network->parameters(), 1);
    const std::filesystem::path path = empty_folder() / "seed.safetensors";
    for (const Parameter& p : network->parameters())
      if (p.kind != ParameterKind::counter)
        std::ranges::fill(std::span(p.tensor.data<float>(), static_cast<std::size_t>(p.tensor.numel())), 0.125f);
    save_model(path, *network,
               {.architecture = a, .height = 12, .width = 12, .classes = {"a", "b"}, .task = "t", .settings = "s"});
    Json j = description_of(read_safetensors(path));
    j["metadata"].erase("sha256");
    add(name, j);
    j.erase("metadata");
    j["import"] = {{"arch", a.name}, {"width", a.width}, {"shortcut", a.shortcut}, {"stem", a.stem}};
    add("import_" + name, j);
    j["import"].update({{"new_head", true}, {"convert_stem", true}, {"classes", 3}, {"channels", 1}});
    add("changed_" + name, j);
  };
  for (const char* name : {"resnet8", "resnet18", "resnet50", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small"})
    own(name, {.name = name, .width = 2, .classes = 2});
  own("resnet8_conv", {.name = "resnet8", .width = 1, .shortcut = "conv", .channels = 1, .classes = 2});
  own("resnet18_small", {.name = "resnet18", .width = 1, .classes = 2, .stem = "small"});
  // Others by their description alone: what they need is not there.
  for (const std::string& name : known_architectures()) {
    Json j = {{"tensors", {{"fc.weight", {"F32", {2, 4}, 1}}}}, {"import", {{"arch", name}}}};
    add("without_" + name, j);
  }
  const Json graph = {
      {"input_shape_nhwc", {1, 8, 8, 3}},
      {"nodes",
       {{{"op", "conv"},
         {"w", "c"},
         {"in", {"input"}},
         {"out", "x"},
         {"act", "relu6"},
         {"stride", 2},
         {"kernel", {3, 3}},
         {"pad", "same"},
         {"out_shape_nhwc", {1, 4, 4, 4}}},
        {{"op", "global_avg_pool"}, {"in", {"x"}}, {"out", "p"}},
        {{"op", "fc"}, {"w", "fc"}, {"in", {"p"}}, {"out", "y"}, {"act", "none"}, {"out_shape_nhwc", {1, 2}}}}}};
  Json quantised = {{"tensors",
                     {{"c.weight", {"U8", {4, 3, 3, 3}, 130}},
                      {"c.weight_scale", {"F32", {4}, 0.01}},
                      {"c.weight_zero_point", {"F32", {1}, 128}},
                      {"c.bias", {"F32", {4}, 0.5}},
                      {"fc.weight", {"F32", {2, 4}, 0.5}},
                      {"fc.bias", {"F32", {2}, 0.5}}}},
                    {"metadata", {{"input", "RGB, (x-128)/128"}, {"dataset", "birds"}}},
                    {"beside", graph}};
  add("graph", quantised);
  quantised["import"] = {{"arch", "graph"}, {"mean", {0.5, 0.4, 0.3}}, {"std", {0.2}}};
  add("import_graph", quantised);
  return all;
}

}  // namespace

const Target target{
    .run = run,
    .seeds = seeds,
    .words = {"module.", "model.", "_orig_mod.", "conv1.weight", "fc.weight", "classifier.1.weight", "\"graph\"",
              "num_batches_tracked", "running_var", "_scale", "_zero_point", "resnet50", "alexnet", "squeezenet1_1"},
    .mutate = mutate_json};

}  // namespace akin::fuzz
