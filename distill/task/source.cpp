#include "distill/task/source.hpp"

#include <algorithm>
#include <cstring>
#include <set>

#include "distill/task/table_file.hpp"
#include "engine/io/file.hpp"
#include "engine/io/nearest_name.hpp"
#include "engine/io/npy.hpp"
#include "engine/io/path.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/pth.hpp"
#include "engine/io/seal.hpp"
#include "engine/io/sha256.hpp"
#include "engine/io/text.hpp"
#include "nn/data/account.hpp"

namespace akin {

namespace {

/// As f32, in which whole numbers beyond 2^24 are not exact.
Array checked_table(const Array& a, const std::string& name, const std::string& file, std::vector<std::string>& notes) {
  const Array wide = table_numbers(a, name, file, {}, notes), f = wide.cast(DType::f32);
  const auto columns = static_cast<std::size_t>(a.shape()[1]);
  const bool whole = a.dtype() == DType::i32 || a.dtype() == DType::i64;
  bool exact = true;
  for (std::size_t i = 0; wide.dtype() == DType::f64 && i < static_cast<std::size_t>(f.numel()); ++i) {
    const double value = wide.as<double>()[i];
    AKIN_CHECK(std::isfinite(f.as<float>()[i]), "{}: {} hold {} in row {}, column {}, beyond what f32 can hold", file,
               name, value, i / columns, i % columns + 1);
    exact = exact && (!whole || value == static_cast<double>(f.as<float>()[i]));
  }
  if (!exact)
    notes.push_back(fmt::format("{}: some of its {} are whole numbers beyond 2^24, which f32 rounds", file, name));
  return f;
}

/// Without logits the source has no head: it can be ranked by its features, and cannot teach.
Source table_source(Source source, const Array& features, const Array* logits, const std::string& file) {
  source.table.features = checked_table(features, "features", file, source.notes);
  if (logits != nullptr && sums_to_one(*logits))
    source.notes.push_back(
        fmt::format("{}: its logits are at least 0 and sum to 1 in every row; are they "
                    "probabilities? Then give their logarithms",
                    file));
  source.table.logits = logits != nullptr ? checked_table(*logits, "logits", file, source.notes)
                                          : Array(DType::f32, {source.table.features.shape()[0], 0});
  AKIN_CHECK(source.table.features.shape()[0] == source.table.logits.shape()[0],
             "{}: {} rows of features, {} of logits", file, source.table.features.shape()[0],
             source.table.logits.shape()[0]);
  return source;
}

}  // namespace

std::int64_t Source::classes() const { return is_table() ? table.logits.shape()[1] : model.info.architecture.classes; }

std::string source_name(const std::filesystem::path& path) {
  std::error_code none;
  if (std::filesystem::is_directory(path, none))  // a table of .npy files
    return last_name(path);
  const std::filesystem::path whole = whole_path(path);
  const std::string name = readable_text(whole.stem().string());
  const std::string folder = last_name(whole.parent_path());
  // What `akin train` and `akin distill` write has one name everywhere; the run folder tells them apart.
  if (folder.empty()) return name;
  if (name == "model" || name == "student") return folder;
  return name == "student_best" ? folder + "_best" : name;
}

namespace {

/// Of weights and of what was said of them: both decide what the network computes.
std::string described_hash(const Model& model) {
  const Architecture& a = model.info.architecture;
  const Normalization& n = model.info.normalization;
  return sha256_hex(fmt::format("{}|{}|{}|{}|{}|{}|{}|{}", model.hash, a.name, a.width, a.shortcut, a.stem, a.norm_eps,
                                fmt::join(n.mean, ","), fmt::join(n.std, ",")));
}

std::string no_head(const std::string& file) {
  return fmt::format(
      "{}: holds probabilities and no logits, which a source teaches by; give their logarithms as logits", file);
}

/// The rows of logits in the order of those of features, where both say which images they are.
void take_logits(Source& source, TableFile& logits, const Array& features, const std::filesystem::path& folder) {
  if (features.shape().rank() != 2 || logits.values.shape().rank() != 2) return;  // table_source says what is wrong
  take_rows_of_folder(logits.rows, logits.values.shape()[0], folder, source.rows, features.shape()[0]);
  const Indices order =
      rows_beside(source.rows, features.shape()[0], logits.rows, logits.values.shape()[0], source.notes);
  logits.values = pick_rows(logits.values, order);
  if (!source.rows.keyed()) source.logit_rows = logits.rows;
}

}  // namespace

Source model_source(const std::filesystem::path& path, Model model, bool described) {
  Source source;
  source.name = source_name(path);
  source.hash = described ? described_hash(model) : model.hash;
  source.model = std::move(model);
  return source;
}

Source open_source(Context& ctx, const std::filesystem::path& path, const ModelInfo* fallback) {
  Source source;
  source.name = source_name(path);
  if (is_folder(path)) {
    const auto features_file = table_part(path, "features"), logits_file = table_part(path, "logits");
    AKIN_CHECK(features_file,
               "{}: a source folder holds features.npy and, for a source that teaches, logits.npy (or .csv of either)",
               path.string());
    source.hash = table_hash(path);
    TableFile features = read_table_file(*features_file), logits;
    source.notes = std::move(features.notes);
    source.rows = rows_of_part(path, features, source.notes);
    tell_passed_over(path, source.notes);
    if (logits_file) {
      logits = read_table_file(*logits_file);
      source.notes.insert(source.notes.end(), logits.notes.begin(), logits.notes.end());
      take_logits(source, logits, features.values, path);
    } else if (table_part(path, "probabilities")) {
      source.notes.push_back(no_head(path.string()));
    }
    return table_source(std::move(source), features.values, logits_file ? &logits.values : nullptr, path.string());
  }
  static const std::set<std::string> kEndings{".safetensors", ".pth", ".pt", ".bin"};
  AKIN_CHECK(
      kEndings.contains(lower_ending(path)) || !is_there(path),
      "{}: is no source; a source is a .safetensors or .pth file (a model, or a table of features and logits) or a "
      "folder with features.npy and logits.npy",
      path.string());
  const Bytes bytes = read_file(path);
  const std::string hash = sha256_hex(bytes);
  SafeTensors file = parse_weights(bytes, path.string());
  if (file.find("features") != nullptr) {
    AKIN_CHECK(fallback == nullptr, "{}: is a table of a model's outputs; leave out arch, which describes a network",
               path.string());
    source.hash = hash;
    const Array& features = file.at("features");
    source.rows = rows_of(file, features.shape().rank() > 0 ? features.shape()[0] : 0);
    tell_passed_over(file, source.notes);
    const Array *logits = file.find("logits"), *shares = file.find("probabilities");
    if (shares != nullptr && logits == nullptr) source.notes.push_back(no_head(path.string()));
    source = table_source(std::move(source), features, logits, path.string());
    if (shares != nullptr && logits != nullptr)
      compare_predictions(softmax_rows(source.table.logits),
                          table_numbers(*shares, "probabilities", path.string(), {}, source.notes), path.string(),
                          source.notes);
    return source;
  }
  AKIN_CHECK(file.find("logits") == nullptr, "{}: holds logits without features; a table has features, or both",
             path.string());
  const bool described = fallback != nullptr && !describes_itself(file);
  return model_source(path, load_model(ctx, std::move(file), hash, fallback), described);
}

std::vector<std::string> source_names(const std::vector<std::string>& files) {
  std::vector<std::string> names;
  for (const std::string& file : files) {
    names.push_back(source_name(file));
    const auto first = std::find(names.begin(), names.end(), names.back());
    if (first + 1 != names.end())
      fail_usage("--sources: {} and {} would both be called '{}'; leave one out or rename it",
                 files[static_cast<std::size_t>(first - names.begin())], file, names.back());
  }
  Faults missing;
  for (const std::string& file : files)
    if (!is_there(file)) missing.push_back(fmt::format("{}: no such file{}", file, nearest_file(file)));
  throw_faults(missing, "--sources");
  return names;
}

std::vector<Source> open_sources(Context& ctx, const std::vector<SourceFile>& files) {
  std::vector<Source> sources;
  Faults faults;
  for (const SourceFile& file : files) try {
      sources.push_back(open_source(ctx, file.path, file.fallback));
    } catch (const Error& e) {
      faults.emplace_back(e.what());
    }
  throw_faults(faults, "the sources");
  return sources;
}

}  // namespace akin
