#include "nn/model_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/io/sha256.hpp"

namespace akin {

namespace {

constexpr const char* kFormat = "akin-model-1";

bool is_float(DType t) { return t == DType::f32 || t == DType::f64 || t == DType::bf16; }

/// [K,R,S,C] -> [K,C,R,S], or back when `to_memory`.
Array permute_conv(const Array& w, const Shape& memory, bool to_memory) {
  const std::int64_t K = memory[0], R = memory[1], S = memory[2], C = memory[3];
  Array out(DType::f32, to_memory ? memory : Shape{K, C, R, S});
  const auto from = w.as<float>();
  const auto to = out.as<float>();
  for (std::int64_t k = 0; k < K; ++k)
    for (std::int64_t r = 0; r < R; ++r)
      for (std::int64_t s = 0; s < S; ++s)
        for (std::int64_t c = 0; c < C; ++c) {
          const auto at_memory = static_cast<std::size_t>(((k * R + r) * S + s) * C + c);
          const auto at_file = static_cast<std::size_t>(((k * C + c) * R + r) * S + s);
          if (to_memory)
            to[at_memory] = from[at_file];
          else
            to[at_file] = from[at_memory];
        }
  return out;
}

Shape file_shape(const Parameter& p) {
  const Shape& s = p.tensor.shape();
  return p.kind == ParameterKind::conv_weight ? Shape{s[0], s[3], s[1], s[2]} : s;
}

std::string canonical(std::string name) {
  if (name.starts_with("module.")) name.erase(0, 7);
  if (name.starts_with("linear.")) name.replace(0, 7, "fc.");
  return name;
}

/// The tensor that import_weights will read as `name`; nullptr where there is none.
const Array* find_canonical(const SafeTensors& file, const std::string& name) {
  const auto it = std::find_if(file.tensors.begin(), file.tensors.end(),
                               [&](const auto& tensor) { return canonical(tensor.first) == name; });
  return it == file.tensors.end() ? nullptr : &it->second;
}

/// A file that claims a large network but holds a small one must not cost the memory of the large one.
void check_claims(const ModelInfo& info, const SafeTensors& file) {
  const Architecture& a = info.architecture;
  const auto known = [&](std::int64_t n) { return n >= 1 && n <= 1'000'000; };
  AKIN_CHECK(known(a.channels) && known(a.classes) && a.width >= 0,
             "{}: {} channels, {} classes and width {} are no network's (damaged description?)", file.source,
             a.channels, a.classes, a.width);
  AKIN_CHECK(info.classes.empty() || static_cast<std::int64_t>(info.classes.size()) == a.classes,
             "{}: names {} classes of {} (damaged description?)", file.source, info.classes.size(), a.classes);
  if (const Array* fc = find_canonical(file, "fc.weight"); fc != nullptr && fc->shape().rank() == 2)
    AKIN_CHECK(fc->shape()[0] == a.classes,
               "{}: weights do not fit: fc.weight is {}, the network tells {} classes apart", file.source,
               fc->shape().str(), a.classes);
  if (const Array* stem = find_canonical(file, "conv1.weight"); stem != nullptr && stem->shape().rank() == 4)
    AKIN_CHECK(stem->shape()[1] == a.channels && (a.width == 0 || stem->shape()[0] == a.width),
               "{}: weights do not fit: conv1.weight is {}, expected width {} and {} channels", file.source,
               stem->shape().str(), a.width, a.channels);
}

std::vector<float> floats(const nlohmann::json& j, const char* key, const std::string& file) {
  AKIN_CHECK(j.contains(key) && j[key].is_array(), "{}: metadata has no list '{}'", file, key);
  return j[key].get<std::vector<float>>();
}

}  // namespace

void export_weights(const Network& network, SafeTensors& file, const std::string& prefix) {
  for (const Parameter& p : network.parameters()) {
    Array a = p.tensor.to_array();
    if (p.kind == ParameterKind::conv_weight) a = permute_conv(a, p.tensor.shape(), false);
    file.add(prefix + p.name, std::move(a));
  }
}

void import_weights(Network& network, const SafeTensors& file, const std::string& prefix) {
  std::map<std::string, const Array*> found;
  std::vector<std::string> problems;
  for (const auto& [name, array] : file.tensors) {
    if (!name.starts_with(prefix)) continue;
    const std::string own = canonical(name.substr(prefix.size()));
    if (!found.emplace(own, &array).second) problems.push_back("two tensors for " + own);
  }
  const ParameterList list = network.parameters();
  for (const Parameter& p : list) {
    const auto it = found.find(p.name);
    if (it == found.end()) {
      if (p.kind != ParameterKind::counter) problems.push_back("missing " + p.name);
      continue;
    }
    if (!(it->second->shape() == file_shape(p)))
      problems.push_back(fmt::format("{} is {}, expected {}", p.name, it->second->shape().str(), file_shape(p).str()));
    else if (p.kind != ParameterKind::counter && !is_float(it->second->dtype()))
      problems.push_back(fmt::format("{} is of {}, a float type is expected", p.name, name_of(it->second->dtype())));
    else
      check_finite(*it->second, p.name, file.source);
  }
  for (const auto& [name, array] : found)
    if (std::none_of(list.begin(), list.end(), [&n = name](const Parameter& p) { return p.name == n; }))
      problems.push_back("unexpected " + name);
  if (!problems.empty()) {
    const std::size_t shown = std::min<std::size_t>(problems.size(), 8);
    const auto first =
        std::vector<std::string>(problems.begin(), problems.begin() + static_cast<std::ptrdiff_t>(shown));
    const Architecture& a = network.architecture();
    fail(
        "{}: weights do not fit {} (width {}, shortcut {}, {} channels, {} classes): {}{}; give the architecture the "
        "file was made for",
        file.source, a.name, a.width, a.shortcut, a.channels, a.classes, fmt::join(first, "; "),
        shown < problems.size() ? fmt::format("; and {} more", problems.size() - shown) : "");
  }
  for (const Parameter& p : list) {
    const auto it = found.find(p.name);
    if (it == found.end()) continue;
    Array a = it->second->cast(p.tensor.dtype());
    check_finite(a, p.name, file.source);  // again: what was finite in f64 may not be in f32
    if (p.kind == ParameterKind::conv_weight) a = permute_conv(a, p.tensor.shape(), true);
    p.tensor.copy_from(a.bytes());
  }
}

void save_model(const std::filesystem::path& path, const Network& network, const ModelInfo& info) {
  SafeTensors file;
  export_weights(network, file);
  const Architecture& a = network.architecture();
  nlohmann::ordered_json j = {{"architecture", a.name},
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
  if (info.step >= 0) j["step"] = info.step;
  if (info.validation_accuracy >= 0) j["validation_accuracy"] = info.validation_accuracy;
  if (!info.settings.empty()) j["settings"] = info.settings;
  file.metadata = {{"format", kFormat},
                   {"model", j.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)}};
  write_safetensors(path, file);
}

Model load_model(Context& ctx, const std::filesystem::path& path, const ModelInfo* fallback) {
  const Bytes bytes = read_file(path);
  const SafeTensors file = parse_safetensors(bytes, path.string());
  Model model;
  model.hash = sha256_hex(bytes);
  const auto format = file.metadata.find("format");
  if (format != file.metadata.end() && format->second == kFormat && file.metadata.contains("model")) {
    try {
      const auto j = nlohmann::json::parse(file.metadata.at("model"));
      Architecture& a = model.info.architecture;
      a.name = j.at("architecture").get<std::string>();
      a.width = j.at("width").get<std::int64_t>();
      a.shortcut = j.at("shortcut").get<std::string>();
      a.channels = j.at("channels").get<std::int64_t>();
      a.classes = j.at("classes").get<std::int64_t>();
      model.info.height = j.at("image_height").get<std::int64_t>();
      model.info.width = j.at("image_width").get<std::int64_t>();
      model.info.normalization = {floats(j, "mean", path.string()), floats(j, "std", path.string())};
      model.info.classes = j.at("class_names").get<std::vector<std::string>>();
      model.info.task = j.at("task").get<std::string>();
      model.info.test_accuracy = j.at("test_accuracy").get<double>();
      model.info.step = j.value("step", std::int64_t{-1});
      model.info.validation_accuracy = j.value("validation_accuracy", -1.0);
      model.info.settings = j.value("settings", "");
    } catch (const nlohmann::json::exception& e) {
      fail("{}: the model description in its metadata is damaged ({}); write the model again", path.string(), e.what());
    }
  } else if (fallback != nullptr) {
    model.info = *fallback;
    if (const Array* fc = find_canonical(file, "fc.weight"); fc && fc->shape().rank() == 2)
      model.info.architecture.classes = fc->shape()[0];
    if (const Array* stem = find_canonical(file, "conv1.weight"); stem && stem->shape().rank() == 4) {
      model.info.architecture.channels = stem->shape()[1];
      if (model.info.architecture.width == 0) model.info.architecture.width = stem->shape()[0];
    }
  } else {
    fail(
        "{}: has no description of its network; eval and features take it with --arch (and --width, --shortcut, "
        "--mean, "
        "--std), rank and distill the table that features makes of it",
        path.string());
  }
  check_claims(model.info, file);
  const auto channels = static_cast<std::size_t>(model.info.architecture.channels);
  Normalization& norm = model.info.normalization;
  if (norm.mean.size() == 1) norm.mean.resize(channels, norm.mean[0]);
  if (norm.std.size() == 1) norm.std.resize(channels, norm.std[0]);
  AKIN_CHECK(norm.mean.size() == channels && norm.std.size() == channels,
             "{}: mean has {} and std {} values for {} channels", path.string(), norm.mean.size(), norm.std.size(),
             channels);
  for (const float m : norm.mean) AKIN_CHECK(std::isfinite(m), "{}: mean {} must be finite", path.string(), m);
  for (const float s : norm.std) AKIN_CHECK(s > 0 && std::isfinite(s), "{}: std {} must be positive", path.string(), s);
  model.network = make_network(ctx, model.info.architecture);
  import_weights(*model.network, file);
  model.info.architecture = model.network->architecture();
  return model;
}

}  // namespace akin
