#include "distill/task/source.hpp"

#include <algorithm>
#include <cstring>

#include "engine/io/npy.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

Array checked_table(const Array& a, const std::string& name, const std::string& file) {
  AKIN_CHECK(a.shape().rank() == 2 && a.shape()[0] > 0 && a.shape()[1] > 0, "{}: {} is {}, expected [images, columns]",
             file, name, a.shape().str());
  const Array f = a.cast(DType::f32);
  check_finite(f, name, file);
  return f;
}

/// Without logits the source has no head: it can be ranked by its features, and cannot teach.
Source table_source(Source source, const Array& features, const Array* logits, const std::string& file) {
  source.table.features = checked_table(features, "features", file);
  source.table.logits = logits != nullptr ? checked_table(*logits, "logits", file)
                                          : Array(DType::f32, {source.table.features.shape()[0], 0});
  AKIN_CHECK(source.table.features.shape()[0] == source.table.logits.shape()[0],
             "{}: {} rows of features, {} of logits", file, source.table.features.shape()[0],
             source.table.logits.shape()[0]);
  return source;
}

}  // namespace

Array pick_rows(const Array& table, const Indices& index) {
  const std::int64_t D = table.shape()[1];
  Array out(table.dtype(), {static_cast<std::int64_t>(index.size()), D});
  if (out.numel() == 0) return out;
  const auto row = static_cast<std::size_t>(D) * size_of(table.dtype());
  for (std::size_t i = 0; i < index.size(); ++i)
    std::memcpy(out.bytes() + i * row, table.bytes() + static_cast<std::size_t>(index[i]) * row, row);
  return out;
}

namespace {

std::string cache_key(const Source& source, const Task& task) {
  Sha256 h;
  const ModelInfo& info = source.model.info;
  h.update(fmt::format("clean-2|{}x{}|", info.height, info.width));
  h.update(source.hash + "|" + task.hash() + "|");
  const Normalization& n = info.normalization;
  h.update(ByteView(reinterpret_cast<const std::uint8_t*>(n.mean.data()), n.mean.size() * sizeof(float)));
  h.update(ByteView(reinterpret_cast<const std::uint8_t*>(n.std.data()), n.std.size() * sizeof(float)));
  h.update(
      ByteView(reinterpret_cast<const std::uint8_t*>(task.target.data()), task.target.size() * sizeof(std::int64_t)));
  return h.hex();
}

/// True when `file` holds outputs of the expected shapes; a damaged or foreign file is simply not used.
bool read_cached(const std::filesystem::path& file, std::int64_t N, std::int64_t D, std::int64_t C, Outputs& out) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return false;
  try {
    const SafeTensors t = read_safetensors(file);
    const Array &features = t.at("features"), &logits = t.at("logits");
    if (features.dtype() != DType::f32 || logits.dtype() != DType::f32) return false;
    if (!(features.shape() == Shape{N, D}) || !(logits.shape() == Shape{N, C})) return false;
    check_finite(features, "features", file.string());
    check_finite(logits, "logits", file.string());
    out = {features, logits};
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::int64_t Source::classes() const { return is_table() ? table.logits.shape()[1] : model.info.architecture.classes; }

std::string source_name(const std::filesystem::path& path) {
  std::error_code none;
  if (std::filesystem::is_directory(path, none))  // a table of .npy files
    return path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
  const std::string name = path.stem().string();
  const std::string folder = path.parent_path().filename().string();
  // What `akin train` and `akin distill` write has one name everywhere; the run folder tells them apart.
  if (folder.empty()) return name;
  if (name == "model" || name == "student") return folder;
  return name == "student_best" ? folder + "_best" : name;
}

Source open_source(Context& ctx, const std::filesystem::path& path, const ModelInfo* fallback) {
  Source source;
  source.name = source_name(path);
  if (std::filesystem::is_directory(path)) {
    AKIN_CHECK(std::filesystem::exists(path / "features.npy"),
               "{}: a source folder holds features.npy and, for a source that teaches, logits.npy", path.string());
    const bool head = std::filesystem::exists(path / "logits.npy");
    source.hash = sha256_hex(sha256_file(path / "features.npy") + (head ? sha256_file(path / "logits.npy") : ""));
    const Array logits = head ? read_npy(path / "logits.npy") : Array();
    return table_source(std::move(source), read_npy(path / "features.npy"), head ? &logits : nullptr, path.string());
  }
  AKIN_CHECK(
      path.extension() == ".safetensors" || !std::filesystem::exists(path),
      "{}: is no source; a source is a .safetensors file (a model, or a table of features and logits) or a folder "
      "with features.npy and logits.npy",
      path.string());
  const SafeTensors file = read_safetensors(path);
  if (file.find("features") != nullptr) {
    source.hash = sha256_file(path);
    return table_source(std::move(source), file.at("features"), file.find("logits"), path.string());
  }
  AKIN_CHECK(file.find("logits") == nullptr, "{}: holds logits without features; a table has features, or both",
             path.string());
  source.model = load_model(ctx, path, fallback);
  source.hash = source.model.hash;
  return source;
}

namespace {

std::string kind(std::int64_t channels) {
  return channels == 1 ? "grey" : channels == 3 ? "colour" : fmt::format("{}-channel", channels);
}

}  // namespace

void check_channels(const Source& source, const Task& task, bool match_channels) {
  if (source.is_table()) return;
  const std::int64_t wanted = source.model.info.architecture.channels, found = task.pool().images.shape()[3];
  const bool possible = wanted == found || wanted == 1 || found == 1;
  AKIN_CHECK(wanted == found || (match_channels && possible), "source {} expects {} images, the target's are {}{}",
             source.name, kind(wanted), kind(found),
             possible ? "; --match-channels turns grey to colour and colour to grey" : "; leave this source out");
}

Outputs source_outputs(Context& ctx, const Source& source, const Task& task, const OutputOptions& options) {
  const auto N = static_cast<std::int64_t>(task.target.size());
  if (source.is_table()) {
    const std::int64_t rows = source.table.features.shape()[0], images = task.pool().images.shape()[0];
    AKIN_CHECK(
        rows == images,
        "source {}: its table has {} rows, the target {} images (training, then unlabelled ones); one row an image, in "
        "their order",
        source.name, rows, images);
    return {pick_rows(source.table.features, task.target), pick_rows(source.table.logits, task.target)};
  }
  check_channels(source, task, options.match_channels);
  const std::int64_t D = source.model.network->feature_size(), C = source.classes();
  const std::filesystem::path file =
      options.cache.empty() ? std::filesystem::path() : options.cache / (cache_key(source, task) + ".safetensors");
  Outputs out;
  if (!file.empty() && read_cached(file, N, D, C, out)) return out;
  const ModelInfo& info = source.model.info;
  out = run_network(ctx, *source.model.network, task.pool().images, task.target, info.normalization,
                    {.height = info.height, .width = info.width, .progress = options.progress});
  check_finite(out.features, "features", "source " + source.name);
  check_finite(out.logits, "logits", "source " + source.name);
  if (!file.empty()) {
    make_folder(options.cache);
    SafeTensors t;
    t.add("features", out.features);
    t.add("logits", out.logits);
    t.metadata = {{"source", source.name}, {"task", task.pool().name}};
    write_safetensors(file, t);
  }
  return out;
}

}  // namespace akin
