#include "distill/predict/classifier_file.hpp"

#include <algorithm>
#include <cmath>

#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "engine/io/pth.hpp"
#include "engine/io/seal.hpp"
#include "engine/io/sha256.hpp"
#include "nn/akin_file.hpp"
#include "nn/classifier.hpp"

namespace akin {

namespace {

std::string said(const SafeTensors& file, const char* key) {
  const auto at = file.metadata.find(key);
  return at == file.metadata.end() ? std::string() : at->second;
}

/// What a probe file says of one source.
struct WantedSource {
  std::string name, hash, tensors;  // tensors: what the names of its weights begin with
  double weight = 1;
};

std::vector<WantedSource> wanted_sources(const SafeTensors& file) {
  if (said(file, "format").starts_with("akin-head"))
    return {{.name = said(file, "source"), .hash = said(file, "source_hash"), .tensors = "fc"}};
  std::vector<WantedSource> out;
  const Json parts = parse_json(said(file, "parts"), file.source + ": its parts");
  for (const Json& part : parts)
    out.push_back({.name = part.at("source").get<std::string>(),
                   .hash = part.at("sha256").get<std::string>(),
                   .tensors = std::to_string(out.size()),
                   .weight = part.at("weight").get<double>()});
  return out;
}

/// A head that works on the features as they are: weight [C, D] and bias [C] as plain_head gives them.
ProbeHead head_of(const SafeTensors& file, const std::string& name) {
  const Array weight = file.at(name + ".weight").cast(DType::f64), bias = file.at(name + ".bias").cast(DType::f64);
  const Shape& s = weight.shape();
  AKIN_CHECK(s.rank() == 2 && bias.shape() == Shape({s[0]}), "{}: {}.weight is {} and {}.bias {}", file.source, name,
             s.str(), name, bias.shape().str());
  const auto C = static_cast<std::size_t>(s[0]), D = static_cast<std::size_t>(s[1]);
  ProbeHead head;
  head.mean.assign(D, 0.0);
  head.scale.assign(D, 1.0);
  head.fit.bias.assign(bias.as<double>().begin(), bias.as<double>().end());
  head.fit.weight.resize(C * D);
  for (std::size_t c = 0; c < C; ++c)
    for (std::size_t d = 0; d < D; ++d) head.fit.weight[d * C + c] = weight.as<double>()[c * D + d];
  return head;
}

}  // namespace

Classifier::Classifier(Context& ctx, const std::filesystem::path& path, const std::vector<std::string>& sources,
                       const ModelInfo* fallback)
    : file_(path.string()) {
  AKIN_CHECK(!is_folder(path), "{}: is a folder; expected a model file, such as student.safetensors of a run's folder",
             file_);
  const Bytes bytes = read_file(path);
  SafeTensors file = parse_weights(bytes, file_);
  const std::string format = said(file, "format");
  if (format.starts_with("akin-probe") || format.starts_with("akin-head")) {
    open_probe(ctx, file, sources);
  } else {
    if (!sources.empty()) fail_usage("--sources: {} is a model with a network of its own; leave the option out", file_);
    parts_.push_back({load_model(ctx, std::move(file), sha256_hex(bytes), fallback), ""});
    classes_ = parts_[0].model.info.classes;
    named_ = !classes_.empty();
    for (std::int64_t c = std::ssize(classes_); c < parts_[0].model.info.architecture.classes; ++c)
      classes_.push_back(std::to_string(c));
  }
  for (const Part& part : parts_) {
    inputs_.push_back(preprocessing_of(part.model.info));
    const std::int64_t channels = inputs_.back().channels;
    AKIN_CHECK(channels == 1 || channels == 3, "{}: expects images of {} channels; pictures have 1 or 3", file_,
               channels);
  }
}

void Classifier::open_probe(Context& ctx, const SafeTensors& file, const std::vector<std::string>& sources) {
  check_seal(file, "take it from its run again; who changed it on purpose takes \"sha256\" out of its metadata");
  const std::vector<WantedSource> wanted = wanted_sources(file);
  AKIN_CHECK(!wanted.empty(), "{}: a probe of no source (damaged?)", file_);
  std::vector<SourceFile> given;
  for (const std::string& source : sources) given.push_back({source});
  std::vector<Source> opened = open_sources(ctx, given);
  std::vector<std::string> missing;
  probe_.emplace();
  probe_->stacked = said(file, "mixes") == "probabilities";
  for (const WantedSource& w : wanted) {
    const auto at =
        std::find_if(opened.begin(), opened.end(), [&](const Source& s) { return s.hash == w.hash && !s.is_table(); });
    if (at == opened.end()) {
      const bool named = std::any_of(opened.begin(), opened.end(), [&](const Source& s) { return s.name == w.name; });
      missing.push_back(w.name + (named ? " (the one given is another file, or a table)" : ""));
      continue;
    }
    probe_->parts.push_back({parts_.size(), head_of(file, w.tensors), w.weight});
    AKIN_CHECK(std::ssize(probe_->parts.back().head.mean) == at->model.network->feature_size(),
               "{}: reads {} features of {}, which has {}", file_, probe_->parts.back().head.mean.size(), w.name,
               at->model.network->feature_size());
    parts_.push_back({std::move(at->model), w.name});
    opened.erase(at);
  }
  if (!missing.empty())
    fail(
        "{}: is a probe, which has no network of its own; it reads the features of {}; give {} with --sources FILE ...",
        file_, fmt::join(missing, ", "), missing.size() == 1 ? "that model's file" : "those models' files");
  if (!opened.empty()) fail_usage("--sources: {} is none of those that {} reads", opened[0].name, file_);
  if (const Json names = json_or_null(said(file, "classes")); names.is_array())
    classes_ = names.get<std::vector<std::string>>();
  named_ = !classes_.empty();
  const std::size_t C = probe_->parts[0].head.fit.bias.size();
  while (classes_.size() < C) classes_.push_back(std::to_string(classes_.size()));
  AKIN_CHECK(classes_.size() == C, "{}: names {} classes of {} (damaged?)", file_, classes_.size(), C);
}

void Classifier::set_size(std::int64_t height, std::int64_t width) {
  if (inputs_.size() > 1)
    fail_usage("--size: {} reads {} networks, each with a size of its own; leave the option out", file_,
               inputs_.size());
  inputs_[0].height = height;
  inputs_[0].width = width;
}

Array Classifier::probabilities(Context& ctx, const std::vector<Array>& images) const {
  std::vector<Outputs> outputs;
  for (std::size_t k = 0; k < parts_.size(); ++k) {
    const Indices all = all_indices(images[k].shape()[0]);
    outputs.push_back(run_model(ctx, parts_[k].model, images[k], all, {}, true));
  }
  Array p;
  if (probe_) {
    std::vector<const Array*> features;
    for (const Outputs& o : outputs) features.push_back(&o.features);
    p = probe_->log_probabilities(features);
    for (float& v : p.as<float>()) v = std::exp(v);
  } else {
    p = softmax_rows(outputs[0].logits);
  }
  for (const float v : p.as<float>())
    AKIN_CHECK(std::isfinite(v), "{}: gives a picture a probability that is no number (broken weights?)", file_);
  return p;
}

}  // namespace akin
