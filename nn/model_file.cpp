#include "nn/model_file.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

#include "engine/io/json.hpp"
#include "engine/io/pth.hpp"
#include "engine/io/seal.hpp"
#include "engine/io/sha256.hpp"
#include "nn/akin_file.hpp"
#include "nn/weight_file.hpp"
#include "nn/zoo/graph_network.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

/// The first tensor of the file that has one of these names; nullptr where there is none.
const Array* find_any(const SafeTensors& file, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (const Array* a = find_canonical(file, name); a != nullptr) return a;
  return nullptr;
}

/// A file that claims a large network but holds a small one must not cost the memory of the large one.
void check_claims(const ModelInfo& info, const SafeTensors& file, const ImportOptions& options) {
  const Architecture& a = info.architecture;
  const auto known = [&](std::int64_t n) { return n >= 1 && n <= 1'000'000; };
  AKIN_CHECK(known(a.channels) && known(a.classes) && a.width >= 0,
             "{}: {} channels, {} classes and width {} are no network's (damaged description?)", file.source,
             a.channels, a.classes, a.width);
  AKIN_CHECK(info.classes.empty() || static_cast<std::int64_t>(info.classes.size()) == a.classes,
             "{}: names {} classes of {} (damaged description?)", file.source, info.classes.size(), a.classes);
  const EndLayers ends = end_layers(a);
  if (const Array* head = find_any(file, ends.head); head != nullptr && head->shape().rank() >= 2 && !options.new_head)
    AKIN_CHECK(head->shape()[0] == a.classes, "{}: weights do not fit: {} is {}, the network tells {} classes apart",
               file.source, ends.head[0], head->shape().str(), a.classes);
  if (const Array* stem = find_any(file, ends.stem); stem != nullptr && stem->shape().rank() == 4)
    AKIN_CHECK(
        (stem->shape()[1] == a.channels || options.convert_stem) && (a.width == 0 || stem->shape()[0] == a.width),
        "{}: weights do not fit: {} is {}, expected width {} and {} channels", file.source, ends.stem[0],
        stem->shape().str(), a.width, a.channels);
}

std::vector<float> floats(const Json& j, const char* key, const std::string& file) {
  AKIN_CHECK(j.contains(key) && j[key].is_array(), "{}: metadata has no list '{}'", file, key);
  return j[key].get<std::vector<float>>();
}

std::int64_t elements(const SafeTensors& file) {
  std::int64_t n = 0;
  for (const auto& [name, array] : file.tensors) n += array.numel();
  return n;
}

/// Throws, with all that is missing, where the network that the description claims needs more numbers than the file
/// holds: before memory is spent on it.
void check_size(const Architecture& a, const SafeTensors& file, const ImportOptions& options) {
  Context no_memory(Device::cpu, {.shapes_only = true});
  const std::unique_ptr<Network> sketch = make_network(no_memory, a);
  std::int64_t needed = 0;
  const ParameterList list = sketch->parameters();
  for (const Parameter& p : list) {
    const bool own = (options.new_head && sketch->in_head(p.name)) || (options.convert_stem && &p == &list.front());
    if (!own && p.kind != ParameterKind::counter) needed += p.tensor.numel();
  }
  if (needed <= elements(file)) return;
  import_weights(*sketch, file, "", options);  // names what is missing or misshapen
  fail("{}: holds {} numbers, the network that it describes has {}; give the architecture the file was made for",
       file.source, elements(file), needed);
}

/// Channels, width and classes as the first and last layers' weights tell them.
void describe_ends(const SafeTensors& file, Architecture& a) {
  const EndLayers ends = end_layers(a);
  if (const Array* head = find_any(file, ends.head); head && head->shape().rank() >= 2) a.classes = head->shape()[0];
  if (const Array* stem = find_any(file, ends.stem); stem && stem->shape().rank() == 4) {
    const Shape& s = stem->shape();
    AKIN_CHECK(s[2] == s[3] || (s[0] != s[1] && s[1] != s[2]),
               "{}: {} is {}, which looks like [{}] (Keras, TensorFlow); [out, in, height, width] is expected: "
               "transpose the convolutions to ({}), and linear layers, and write the file again",
               file.source, ends.stem[0], s.str(), s[0] == s[1] ? "height, width, in, out" : "out, height, width, in",
               s[0] == s[1] ? "3, 2, 0, 1" : "0, 3, 1, 2");
    a.channels = s[1];
    const bool free = a.name.starts_with("resnet") || a.name.starts_with("mobilenet");
    if (a.width == 0 && free) a.width = stem->shape()[0];
  }
}

/// Throws where a file that describes itself knows better than the description that was given for it.
void check_description(const ModelInfo& found, const ModelInfo& said, const std::string& file) {
  const Architecture &own = found.architecture, &a = said.architecture;
  const auto same_values = [](const std::vector<float>& given, const std::vector<float>& there) {
    if (given.size() != 1) return given.empty() || given == there;
    return std::all_of(there.begin(), there.end(), [&](float v) { return v == given[0]; });
  };
  const bool same = (a.name.empty() || a.name == own.name) && (a.width == 0 || a.width == own.width) &&
                    (a.shortcut.empty() || a.shortcut == own.shortcut) && (a.stem.empty() || a.stem == own.stem) &&
                    (a.norm_eps == 0 || a.norm_eps == own.norm_eps);
  const auto words = [](const ModelInfo& info) {
    const Architecture& w = info.architecture;
    std::string text = "a " + in_words(w);
    if (w.norm_eps > 0) text += fmt::format(", norm-eps {}", w.norm_eps);
    const Normalization& n = info.normalization;
    if (!n.mean.empty()) text += fmt::format(", mean {}", fmt::join(n.mean, ","));
    if (!n.std.empty()) text += fmt::format(", std {}", fmt::join(n.std, ","));
    return text;
  };
  AKIN_CHECK(same && same_values(said.normalization.mean, found.normalization.mean) &&
                 same_values(said.normalization.std, found.normalization.std),
             "{}: says itself that it is {}; expected was {}: leave out arch and what goes with it", file, words(found),
             words(said));
}

/// Another head, or other channels, than those of a file that describes itself.
void change_ends(ModelInfo& info, const ModelInfo& wanted, const ImportOptions& options, const std::string& file) {
  Architecture& a = info.architecture;
  if (options.new_head) {
    a.classes = wanted.architecture.classes;
    a.taught_share = 0;
    info.classes.clear();
    info.task.clear();
    forget_accuracy(info);
  }
  if (!options.convert_stem || a.channels == wanted.architecture.channels) return;
  a.channels = wanted.architecture.channels;
  forget_accuracy(info);
  const Normalization& given = wanted.normalization;
  for (const auto& [name, own, said] :
       {std::tuple{"--mean", &info.normalization.mean, &given.mean}, {"--std", &info.normalization.std, &given.std}}) {
    if (!said->empty()) *own = *said;
    const bool one = std::adjacent_find(own->begin(), own->end(), std::not_equal_to<>()) == own->end();
    if (own->size() > 1 && one) own->erase(own->begin() + 1, own->end());
    AKIN_CHECK(said->size() > 1 || own->size() == 1,
               "{}: is normalised by {} for its channels; give what grey images are normalised by, {}", file,
               fmt::join(*own, ", "), name);
  }
}

/// Of the layer graph beside a file, what its nodes do not say.
std::string mixture_text(const Architecture& a) {
  return a.taught_share > 0 ? fmt::format("|{}", a.taught_share) : std::string();
}

std::filesystem::path graph_of(std::filesystem::path weights) { return weights.replace_extension(".graph.json"); }

/// An error of `f` says which file it is about.
template <class F>
void naming(const std::filesystem::path& file, F&& f) {
  const auto named = [&](const Error& e) {
    const std::string what = e.what();
    return what.find(file.string()) == std::string::npos ? file.string() + ": " + what : what;
  };
  try {
    f();
  } catch (const UsageError& e) {
    fail_usage("{}", named(e));
  } catch (const Error& e) {
    fail("{}", named(e));
  }
}

/// Of pixels in 0..1: nobody's mean is outside, and a std that is given by hand and below a thousandth is a slip. What
/// akin measured may be smaller, of images that are nearly one colour.
void check_statistics(const Normalization& norm, const std::filesystem::path& path, bool measured) {
  const float least = measured ? std::numeric_limits<float>::min() : 1e-3f;
  for (const float m : norm.mean)
    AKIN_CHECK(m >= 0 && m <= 1,
               "{}: mean {}: expected 0 to 1, for pixels count as 0 to 1; divide that of 0..255 by 255", path.string(),
               m);
  for (const float s : norm.std)
    AKIN_CHECK(s >= least && s <= 1,
               "{}: std {}: expected {} to 1, for pixels count as 0 to 1; divide that of 0..255 by 255", path.string(),
               s, least);
}

/// What a converter of quantised models wrote beside the weights: the layers, and in words how pixels become numbers.
bool describe_graph(const std::filesystem::path& path, SafeTensors& file, ModelInfo& info, NamePrefix& prefix,
                    bool pixels) {
  const std::filesystem::path graph = graph_of(path);
  if (!is_there(graph)) return false;
  info.architecture = {.name = "graph", .graph = read_text(graph)};
  info.architecture.taught_share = take_mixture(info.architecture.graph, graph.string());
  const GraphSummary summary = summarize_graph(info.architecture.graph, graph.string());
  info.height = summary.height;
  info.width = summary.width;
  info.architecture.channels = summary.channels;
  prefix = take_prefix(file, {summary.head + ".weight"});
  const Array* head = find_canonical(file, summary.head + ".weight");
  AKIN_CHECK(head != nullptr && head->shape().rank() >= 2, "{}: has no head {}.weight, which {} names", path.string(),
             summary.head, graph.string());
  info.architecture.classes = head->shape()[0];
  const auto said = [&](const char* key) {
    const auto it = file.metadata.find(key);
    return it == file.metadata.end() ? std::string() : it->second;
  };
  info.task = said("dataset");
  if (!pixels) return true;
  const std::string input = said("input");
  if (input.find("(x-128)/128") != std::string::npos)
    info.normalization = {{128.0f / 255}, {128.0f / 255}};
  else if (input.find("raw 0..255") != std::string::npos)
    info.normalization = {{0.0f}, {1.0f / 255}};
  else
    fail(
        "{}: its metadata does not say how pixels become numbers (\"input\": \"(x-128)/128\" or \"raw 0..255\"); "
        "akin import takes it with --mean and --std",
        path.string());
  return true;
}

}  // namespace

Preprocessing preprocessing_of(const ModelInfo& info) {
  return {info.height, info.width, info.architecture.channels, info.fit, info.normalization};
}

void forget_accuracy(ModelInfo& info) {
  info.test_accuracy = info.validation_accuracy = -1;
  info.step = -1;
  info.settings.clear();
}

SafeTensors model_content(const Network& network, const ModelInfo& info) {
  SafeTensors file;
  export_weights(network, file);
  const Architecture& a = network.architecture();
  Json j = {{"architecture", a.name},
            {"width", a.width},
            {"shortcut", a.shortcut},
            {"channels", a.channels},
            {"classes", a.classes},
            {"image_height", info.height},
            {"image_width", info.width},
            {"mean", info.normalization.mean},
            {"std", info.normalization.std},
            {"class_names", info.classes},
            {"task", info.task},
            {"test_accuracy", info.test_accuracy}};
  if (!a.stem.empty()) j["stem"] = a.stem;
  if (a.norm_eps > 0) j["norm_eps"] = a.norm_eps;
  if (a.taught_share > 0) j["taught_share"] = a.taught_share;
  if (info.step >= 0) j["step"] = info.step;
  if (info.validation_accuracy >= 0) j["validation_accuracy"] = info.validation_accuracy;
  if (!info.settings.empty()) j["settings"] = info.settings;
  // Only what is unlike what every file meant before these keys, whose bytes stay what they were.
  if (info.fit.crop != 1) j["crop"] = info.fit.crop;
  if (info.fit.stretch) j["stretch"] = true;
  if (info.fit.filter != Filter::bilinear) j["filter"] = name_of(info.fit.filter);
  file.metadata = {{"format", kModelFormat}, {"model", json_line(j)}};
  if (!a.graph.empty()) file.metadata["graph"] = a.graph;
  return file;
}

void save_model(const std::filesystem::path& path, const Network& network, const ModelInfo& info) {
  SafeTensors file = model_content(network, info);
  seal(file);
  write_safetensors(path, file);
}

bool describes_itself(const SafeTensors& file) { return akin_file_of(file).model; }

namespace {

ForeignModel model_of(Context& ctx, SafeTensors stored, const std::string& hash, const ModelInfo* fallback,
                      const ImportOptions& options) {
  check_seal(stored, "fetch or train it again; who changed it on purpose takes \"sha256\" out of its metadata");
  SafeTensors file = dequantized(std::move(stored));
  const std::filesystem::path path = file.source;
  ForeignModel out;
  Model& model = out.model;
  NamePrefix prefix;
  model.hash = hash;
  if (const AkinFile known = akin_file_of(file); !known.model && !known.kind.empty())
    fail("{}: is {} and no model; {}", path.string(), known.kind, known.remedy);
  if (describes_itself(file)) {
    try {
      const Json j = parse_json(file.metadata.at("model"), path.string() + ": its description");
      const auto whole = [&](const char* key, std::int64_t low, std::int64_t high) {
        return whole_number(j.at(key), fmt::format("{}: its {}", path.string(), key), low, high);
      };
      Architecture& a = model.info.architecture;
      a.name = j.at("architecture").get<std::string>();
      a.width = whole("width", 0, 4096);
      a.shortcut = j.at("shortcut").get<std::string>();
      a.channels = whole("channels", 1, 1'000'000);
      a.classes = whole("classes", 1, 1'000'000);
      a.stem = j.value("stem", "");
      a.norm_eps = j.value("norm_eps", 0.0);
      a.taught_share = j.value("taught_share", 0.0);
      if (const auto graph = file.metadata.find("graph"); graph != file.metadata.end()) a.graph = graph->second;
      model.info.height = whole("image_height", 0, 65536);
      model.info.width = whole("image_width", 0, 65536);
      model.info.normalization = {floats(j, "mean", path.string()), floats(j, "std", path.string())};
      model.info.classes = j.at("class_names").get<std::vector<std::string>>();
      model.info.task = j.at("task").get<std::string>();
      model.info.test_accuracy = j.at("test_accuracy").get<double>();
      if (j.contains("step")) model.info.step = whole("step", -1, std::numeric_limits<std::int64_t>::max());
      model.info.validation_accuracy = j.value("validation_accuracy", -1.0);
      model.info.settings = j.value("settings", "");
      model.info.fit = {.crop = j.value("crop", 1.0),
                        .stretch = j.value("stretch", false),
                        .filter = filter_of(j.value("filter", name_of(Filter::bilinear)), path.string())};
      AKIN_CHECK(model.info.fit.crop > 0 && model.info.fit.crop <= 1,
                 "{}: its crop is {}, expected a share above 0 and at most 1 (damaged description?)", path.string(),
                 model.info.fit.crop);
    } catch (const Json::exception& e) {
      fail("{}: the model description in its metadata is damaged ({}); write the model again", path.string(),
           json_reason(e));
    }
    if (fallback != nullptr) {
      ModelInfo said = *fallback;
      const bool converted = options.convert_stem && said.architecture.channels != model.info.architecture.channels;
      if (converted) said.normalization = {{}, {}};
      check_description(model.info, said, path.string());
      change_ends(model.info, *fallback, options, path.string());
    }
  } else if (fallback != nullptr && !fallback->architecture.name.empty()) {
    const Architecture wanted = fallback->architecture;
    model.info = *fallback;
    for (std::vector<float>* values : {&model.info.normalization.mean, &model.info.normalization.std})
      if (values->empty()) *values = {0.5f};
    Architecture& a = model.info.architecture;
    if (wanted.name == "graph") {
      AKIN_CHECK(describe_graph(path, file, model.info, prefix, false),
                 "{}: no layer graph lies beside it ({}.graph.json)", path.string(), path.stem().string());
    } else {
      prefix = take_prefix(file, end_layers(a).stem);
      describe_ends(file, a);
    }
    if (options.new_head) a.classes = wanted.classes;
    if (options.convert_stem) a.channels = wanted.channels;
  } else if (!describe_graph(path, file, model.info, prefix, true)) {
    fail(
        "{}: has no description of its network; akin import makes a model file of it with --arch (and --width, "
        "--shortcut, --mean, --std)",
        path.string());
  }
  if (!file.metadata.contains("graph") && !model.info.architecture.graph.empty())
    model.hash = sha256_hex(model.hash + model.info.architecture.graph + mixture_text(model.info.architecture));
  check_claims(model.info, file, options);
  const auto channels = static_cast<std::size_t>(model.info.architecture.channels);
  Normalization& norm = model.info.normalization;
  if (norm.mean.size() == 1) norm.mean.resize(channels, norm.mean[0]);
  if (norm.std.size() == 1) norm.std.resize(channels, norm.std[0]);
  AKIN_CHECK(norm.mean.size() == channels && norm.std.size() == channels,
             "{}: mean has {} and std {} values for {} channels", path.string(), norm.mean.size(), norm.std.size(),
             channels);
  check_statistics(norm, path, describes_itself(file));
  const bool graph_beside = !file.metadata.contains("graph") && !model.info.architecture.graph.empty();
  naming(graph_beside ? graph_of(path) : path, [&] {
    check_size(model.info.architecture, file, options);
    model.network = make_network(ctx, model.info.architecture);
  });
  if (options.new_head) initialize(model.network->parameters(), options.seed);
  out.report = import_weights(*model.network, file, "", options);
  out.report.prefix = std::move(prefix);
  model.info.architecture = model.network->architecture();
  return out;
}

}  // namespace

Model load_model(Context& ctx, const std::filesystem::path& path, const ModelInfo* fallback) {
  return load_foreign(ctx, path, fallback, {}).model;
}

Model load_model(Context& ctx, SafeTensors&& file, const std::string& hash, const ModelInfo* fallback) {
  return model_of(ctx, std::move(file), hash, fallback, {}).model;
}

ForeignModel load_foreign(Context& ctx, const std::filesystem::path& path, const ModelInfo* fallback,
                          const ImportOptions& options) {
  const Bytes bytes = read_file(path);
  return model_of(ctx, parse_weights(bytes, path.string()), sha256_hex(bytes), fallback, options);
}

}  // namespace akin
