#include <algorithm>
#include <cmath>

#include "distill/grid/grid.hpp"
#include "distill/grid/seeds.hpp"
#include "distill/similarity/static_rivals.hpp"
#include "nn/data/alike_names.hpp"
#include "nn/data/image_view.hpp"
#include "nn/data/slices.hpp"

namespace akin {

namespace {

/// Names become files and cells of tables.
std::string checked_name(const SettingsTable& s, const std::string& name) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  if (name.empty() || name.front() == '.' || !std::all_of(name.begin(), name.end(), plain))
    s.refuse("name", fmt::format("'{}': letters, digits and - _ . only", name));
  return name;
}

template <class T>
void add(std::vector<T>& list, T item, const SettingsTable& s) {
  for (const T& other : list) {
    if (other.name == item.name) s.refuse("name", fmt::format("'{}' is there twice", item.name));
    const bool files = !std::is_same_v<T, GridSource>;  // of sources, where an oracle makes some: check_file_names
    if (files && alike_form(other.name) == alike_form(item.name))
      s.refuse("name", fmt::format("'{}' and '{}' differ in case alone, and their files would be one where a file "
                                   "system does not tell it apart; rename one",
                                   other.name, item.name));
  }
  list.push_back(std::move(item));
}

/// Throws UsageError where a cell's settings cannot be used.
void check(const Settings& s, std::int64_t ranks, const std::string& where) {
  try {
    count_slices(ranks, s.slices, s.sync_batchnorm);
    akin::check(s);
  } catch (const UsageError& e) {
    fail_usage("{}: {}", where, e.what());
  }
}

ImageFormat read_format(const SettingsTable& s) {
  ImageFormat format;
  const std::string size = s.text("size", "");
  if (!size.empty()) {
    const std::optional<ImageFormat> read = image_size(size);
    if (!read) s.refuse("size", fmt::format("'{}': expected height x width in pixels, as in \"32x32\"", size));
    format = *read;
  }
  const std::int64_t channels = s.whole("channels", 0);
  if (channels != 0 && channels != 1 && channels != 3)
    s.refuse("channels", fmt::format("{}: 1 (grey), 3 (colour) or 0 (as they are)", channels));
  format.channels = static_cast<int>(channels);
  return format;
}

std::vector<float> read_floats(const SettingsTable& s, const std::string& key) {
  std::vector<float> out;
  const Json v = s.value(key);
  if (v.is_null()) return {};
  if (!v.is_array() || v.empty()) s.refuse(key, "expected a list of numbers, one for all channels or one each");
  for (const auto& item : v) {
    if (!item.is_number()) s.refuse(key, fmt::format("{} is no number", item.dump()));
    out.push_back(item.get<float>());
  }
  return out;
}

GridSource read_source(const SettingsTable& s, const std::filesystem::path& root) {
  GridSource source;
  source.name = checked_name(s, s.text("name"));
  source.path = (root / s.text("path")).lexically_normal().string();
  if (s.has("arch")) {
    ModelInfo info;
    info.architecture.name = s.text("arch");
    info.architecture.width = s.whole("width", 0);
    info.architecture.shortcut = s.text("shortcut", "");
    info.architecture.stem = s.text("stem", "");
    info.normalization = {read_floats(s, "mean"), read_floats(s, "std")};
    source.foreign = info;
  }
  s.done();
  return source;
}

GridTarget read_target(const SettingsTable& s, const std::filesystem::path& root, const std::vector<GridSource>& bank) {
  GridTarget t{.name = checked_name(s, s.text("name")), .load = {}, .sources = {}, .settings = s};
  const std::filesystem::path data = (root / s.text("data")).lexically_normal();
  const ImageFormat format = read_format(s);
  const std::int64_t images = s.whole("images", 0);
  if (images < 0) s.refuse("images", fmt::format("{}: expected a whole number from 0", images));
  t.data = data;
  t.load = [data, format, images] { return load_target(data, format, images); };
  std::vector<std::string> all;
  for (const GridSource& b : bank) all.push_back(b.name);
  t.sources = s.has("sources") ? s.texts("sources") : all;
  const std::vector<std::string> excluded = s.texts("exclude");
  for (const char* key : {"sources", "exclude"})
    for (const std::string& name : s.texts(key))
      if (std::find(all.begin(), all.end(), name) == all.end())
        s.refuse(key, fmt::format("no source is called '{}'{}", name, suggestion(name, all)));
  std::erase_if(t.sources, [&](const std::string& name) {
    return std::find(excluded.begin(), excluded.end(), name) != excluded.end();
  });
  return t;
}

/// "weighted minus transfer": two variants, whose names have no spaces.
std::vector<std::pair<std::string, std::string>> read_differences(const SettingsTable& s,
                                                                  const std::vector<GridVariant>& variants) {
  constexpr std::string_view kMinus = " minus ";
  std::vector<std::string> names;
  for (const GridVariant& v : variants) names.push_back(v.name);
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& text : s.texts("differences")) {
    const std::size_t at = text.find(kMinus);
    if (at == std::string::npos) s.refuse("differences", fmt::format("'{}': expected \"VARIANT minus VARIANT\"", text));
    out.emplace_back(text.substr(0, at), text.substr(at + kMinus.size()));
    for (const std::string& name : {out.back().first, out.back().second})
      if (std::find(names.begin(), names.end(), name) == names.end())
        s.refuse("differences", fmt::format("no variant is called '{}'{}", name, suggestion(name, names)));
    if (out.back().first == out.back().second)
      s.refuse("differences", fmt::format("'{}': a variant minus itself", text));
  }
  return out;
}

}  // namespace

std::string with_target(std::string text, const std::string& name) {
  constexpr std::string_view kTarget = "{target}";
  for (std::size_t at = 0; (at = text.find(kTarget)) != std::string::npos;) text.replace(at, kTarget.size(), name);
  return text;
}

Settings Grid::settings_of(const GridTarget& target, const GridVariant* variant) const {
  Settings s = settings;
  read_settings(target.settings, root, false, s);
  if (variant != nullptr) read_settings(variant->settings, root, false, s);
  s.reference = with_target(s.reference, target.name);
  if (s.slices == 1) s.slices = ranks_per_cell;
  return s;
}

GridInputs inputs_of(const Grid& grid) {
  GridInputs out;
  for (const GridTarget& t : grid.targets) {
    if (!t.data.empty()) out.data.push_back(t.data);
    for (const GridSource& s : grid.sources) out.files.emplace_back(with_target(s.path, t.name));
    for (const GridVariant& v : grid.variants) {
      const Settings s = grid.settings_of(t, &v);
      for (const std::string* file : {&s.init, &s.reference})
        if (!file->empty()) out.files.emplace_back(*file);
    }
  }
  return out;
}

std::vector<std::string> Grid::measured_metrics() const {
  std::vector<std::string> all;
  const auto add = [&](std::string_view name) {
    if (std::find(all.begin(), all.end(), name) == all.end()) all.emplace_back(name);
  };
  for (const std::string& name : metrics.empty() ? std::vector<std::string>{settings.metric} : metrics)
    if (name == kAutoMetric)
      for (const std::string_view one : auto_metrics()) add(one);
    else
      add(name);
  return all;
}

std::vector<std::string> Grid::ranked_by() const {
  std::vector<std::string> all = measured_metrics();
  for (const StaticRival& rival : static_rivals()) all.emplace_back(rival.name);
  return all;
}

std::shared_ptr<const TargetImages> load_target(const std::filesystem::path& data, const ImageFormat& format,
                                                std::int64_t images) {
  constexpr std::uint32_t kStream = 0x696d6773;  // "imgs"
  std::vector<Split> wanted{Split::train, Split::test};
  if (has_split(data, Split::unlabeled)) wanted.push_back(Split::unlabeled);
  std::vector<ImageSet> sets = load_splits(data, wanted, format);
  ImageSet& train = sets[0];
  if (const std::int64_t all = train.images.shape()[0]; images > 0 && images < all) {
    Indices kept = permutation(all, 0, kStream);
    kept.resize(static_cast<std::size_t>(images));
    std::sort(kept.begin(), kept.end());
    Account account = std::move(train.account);
    train = pick_images(train, kept);
    train.account = std::move(account);
  }
  return target_images(std::move(train), std::move(sets[1]), sets.size() > 2 ? sets[2] : ImageSet{});
}

Grid read_grid(const std::filesystem::path& file, const std::filesystem::path& root_option,
               std::int64_t ranks_per_cell) {
  const SettingsTable top = SettingsTable::read(file);
  Grid e;
  e.ranks_per_cell = ranks_per_cell;
  e.settings.files = std::make_shared<FileDigests>();
  e.title = top.text("title", file.stem().string());
  const std::filesystem::path own = file.parent_path() / top.text("root", "");
  const std::filesystem::path root = e.root = root_option.empty() ? own : root_option;
  const SettingsTable settings = top.table("settings");
  e.settings.replicates = 0;
  read_settings(settings, root, true, e.settings);
  settings.done();
  if (const Json listed = top.value("seeds"); listed.is_array())
    for (const Json& item : listed)
      if (item.is_number_integer() && !parse_seed(item.dump()))
        top.refuse("seeds", fmt::format("{} is none: {}", item.dump(), kSeedRange));
  for (const std::int64_t seed : top.has("seeds") ? top.wholes("seeds") : std::vector<std::int64_t>{0}) {
    const auto s = static_cast<std::uint64_t>(seed);
    if (std::find(e.seeds.begin(), e.seeds.end(), s) != e.seeds.end())
      top.refuse("seeds", fmt::format("{} is there twice", seed));
    e.seeds.push_back(s);
  }
  for (const SettingsTable& s : top.tables("sources")) add(e.sources, read_source(s, root), s);
  for (const SettingsTable& s : top.tables("targets")) add(e.targets, read_target(s, root, e.sources), s);
  for (const SettingsTable& s : top.tables("budgets")) {
    GridBudget budget{checked_name(s, s.text("name")), {}};
    budget.labels =
        s.has("file") ? read_manifest(root / s.text("file"), {.labels_per_class = 1}) : read_manifest(s, {});
    s.done();
    add(e.budgets, std::move(budget), s);
  }
  std::vector<std::string> names;
  for (const MethodTraits& m : methods()) names.emplace_back(m.name);
  const auto method_of = [&](const SettingsTable& s, const std::string& key, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      s.refuse(key, fmt::format("method '{}' is unknown{}", name, suggestion(name, names)));
    return parse_method(name);
  };
  for (const std::string& name : top.texts("methods"))
    add(e.variants, {name, method_of(top, "methods", name), SettingsTable(Json::object(), top.where())}, top);
  for (const SettingsTable& s : top.tables("variants"))
    add(e.variants, {checked_name(s, s.text("name")), method_of(s, "method", s.text("method")), s}, s);
  if (top.has("differences")) e.differences = read_differences(top, e.variants);
  e.metrics = top.texts("metrics");
  for (const std::string& m : e.metrics)
    if (m != kAutoMetric) find_metric(m);
  top.done();
  for (const auto& [what, empty] : {std::pair{"[[targets]]", e.targets.empty()},
                                    {"[[budgets]]", e.budgets.empty()},
                                    {"methods or [[variants]]", e.variants.empty()},
                                    {"seeds", e.seeds.empty()}})
    if (empty) fail_usage("{}: has no {}", file.string(), what);
  for (const GridTarget& t : e.targets)
    for (const GridVariant& v : e.variants) {
      check(e.settings_of(t, &v), ranks_per_cell, fmt::format("{}: target '{}', '{}'", file.string(), t.name, v.name));
      if (uses_sources(v.method) && t.sources.empty())
        fail_usage("{}: '{}' needs sources, and target '{}' has none", file.string(), v.name, t.name);
    }
  for (const GridTarget& t : e.targets) t.settings.done();
  for (const GridVariant& v : e.variants) v.settings.done();
  return e;
}

bool GridFilter::takes(const GridTarget& t) const { return targets.empty() || targets.contains(t.name); }
bool GridFilter::takes(const GridBudget& b) const { return budgets.empty() || budgets.contains(b.name); }
bool GridFilter::takes(const GridVariant& v) const {
  return (variants.empty() || variants.contains(v.name)) && (methods.empty() || methods.contains(name_of(v.method)));
}
bool GridFilter::takes_seed(std::uint64_t seed) const { return seeds.empty() || seeds.contains(seed); }

void add_filter(GridFilter& filter, const std::string& text, const Grid& e) {
  const std::size_t equals = text.find('=');
  const std::string kind = text.substr(0, equals), name = equals == std::string::npos ? "" : text.substr(equals + 1);
  std::vector<std::string> known;
  std::set<std::string>* to = nullptr;
  const auto choose = [&](std::set<std::string>& chosen, const auto& list) {
    to = &chosen;
    for (const auto& item : list) known.push_back(item.name);
  };
  if (kind == "target") choose(filter.targets, e.targets);
  if (kind == "budget") choose(filter.budgets, e.budgets);
  if (kind == "variant") choose(filter.variants, e.variants);
  if (kind == "method") {
    to = &filter.methods;
    for (const GridVariant& v : e.variants) known.emplace_back(name_of(v.method));
  }
  if (kind == "seed")
    for (const std::uint64_t seed : e.seeds) known.push_back(std::to_string(seed));
  if (known.empty())
    fail_usage("--only '{}': expected target=NAME, budget=NAME, method=NAME, variant=NAME or seed=N", text);
  if (std::find(known.begin(), known.end(), name) == known.end())
    fail_usage("--only '{}': the experiment has no such {}{}", text, kind, suggestion(name, known));
  if (to != nullptr)
    to->insert(name);
  else
    filter.seeds.insert(std::stoull(name));
}

}  // namespace akin
