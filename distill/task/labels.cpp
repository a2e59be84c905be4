#include "distill/task/labels.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "distill/task/label_list.hpp"
#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/seal.hpp"
#include "kernels/common/error.hpp"

namespace akin {

namespace {

constexpr const char* kFormat = "akin-labels-1";

Indices read_positions(const SettingsTable& settings, const std::string& key) {
  Indices images;
  for (const std::int64_t i : settings.wholes(key)) {
    if (i < 0) settings.refuse(key, fmt::format("{} is no position of an image", i));
    images.push_back(i);
  }
  return images;
}

std::vector<ListedImages> read_lists(const SettingsTable& table) {
  std::vector<ListedImages> lists;
  for (const std::string& name : table.keys()) lists.push_back({name, read_positions(table, name)});
  return lists;
}

double share(const SettingsTable& settings, const std::string& key) {
  const double f = settings.number(key, 0);
  if (!(f > 0 && f <= 1)) settings.refuse(key, fmt::format("{} is no share: expected more than 0, and at most 1", f));
  return f;
}

std::int64_t count(const SettingsTable& settings, const std::string& key, std::int64_t low) {
  const std::int64_t n = settings.whole(key, low);
  if (n < low) settings.refuse(key, fmt::format("{}: expected a whole number from {}", n, low));
  return n;
}

/// Enters listed images into the split and notes where each one went. Each must be of the class it is listed under.
class Entering {
 public:
  Entering(const ImageSet& pool, std::vector<int>& labels, std::int64_t training, const LabelManifest& manifest)
      : pool_(pool), labels_(labels), training_(training), where_(manifest.source) {}

  Indices classes(const std::vector<ListedImages>& lists, const std::string& part) {
    Indices out;
    for (const ListedImages& list : lists) {
      const auto known = std::find(pool_.classes.begin(), pool_.classes.end(), list.class_name);
      AKIN_CHECK(known != pool_.classes.end(), "{}: {}: class '{}' is not one of the data set's{}", where_, part,
                 list.class_name, suggestion(list.class_name, pool_.classes));
      const auto label = static_cast<int>(known - pool_.classes.begin());
      for (const std::int64_t i : list.images) {
        enter(i, part);
        int& own = labels_[static_cast<std::size_t>(i)];
        AKIN_CHECK(own == label || i >= training_, "{}: {}: image {} is listed as '{}', the data set has it as '{}'",
                   where_, part, i, list.class_name, pool_.classes[static_cast<std::size_t>(own)]);
        own = label;
        out.push_back(i);
      }
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  void enter(std::int64_t i, const std::string& part) {
    const auto images = static_cast<std::int64_t>(labels_.size());
    AKIN_CHECK(i < images, "{}: {}: image {} of {} (positions count from 0)", where_, part, i, images);
    const auto [it, is_new] = taken_.emplace(i, part);
    AKIN_CHECK(is_new, "{}: image {} is listed twice: as {} and as {}", where_, i, it->second, part);
  }
  bool has(std::int64_t i) const { return taken_.contains(i); }

 private:
  const ImageSet& pool_;
  std::vector<int>& labels_;
  std::int64_t training_;
  std::string where_;
  std::map<std::int64_t, std::string> taken_;
};

/// At most `limit` of them (0: all), drawn by the seed, in ascending order.
Indices draw(Indices from, std::int64_t limit, std::uint64_t seed) {
  constexpr std::uint32_t kStream = 0x6d6f7265;  // "more"
  if (limit == 0 || static_cast<std::int64_t>(from.size()) <= limit) return from;
  Indices drawn = permutation(static_cast<std::int64_t>(from.size()), seed, kStream);
  drawn.resize(static_cast<std::size_t>(limit));
  for (std::int64_t& i : drawn) i = from[static_cast<std::size_t>(i)];
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

}  // namespace

LabelManifest read_manifest(const SettingsTable& s, const SplitOptions& defaults) {
  LabelManifest m;
  m.draw = defaults;
  m.source = s.where();
  const std::string format = s.text("format", kFormat);
  if (format != kFormat) s.refuse("format", fmt::format("'{}' is not {}", format, kFormat));
  for (const char* told : {"name", "seed", "classes", "held_out"}) s.value(told);  // for people
  m.data = s.text("data", "");
  if (s.has("per_class") + s.has("fraction") + s.has("labelled") != 1)
    fail_usage("{}: says which images are labelled with exactly one of per_class, fraction and [labelled]", s.where());
  if (s.has("per_class"))
    m.draw.labels_per_class = s.value("per_class") == "all" ? kAllLabels : count(s, "per_class", 1);
  if (s.has("fraction")) m.draw.fraction = share(s, "fraction");
  if (s.has("labelled")) m.labelled = read_lists(s.table("labelled"));
  if (s.has("labelled") && m.labelled.empty()) s.refuse("labelled", "no class is listed");
  if (const Json v = s.value("validation"); !v.is_null()) {
    m.draw.validation = m.draw.validation_per_class = 0;
    m.draw.validation_fraction = 0;
    if (v.is_object())
      m.validation = read_lists(s.table("validation"));
    else if (v.is_number_integer())
      m.draw.validation_per_class = count(s, "validation", 0);
    else
      m.draw.validation_fraction = share(s, "validation");
    if (const double taken = m.draw.validation_fraction; taken >= 1 || taken + m.draw.fraction > 1 + 1e-9)
      s.refuse("validation", fmt::format("a share of {} leaves too few images for the labelled ones", taken));
  }
  if (const Json v = s.value("unlabelled"); v.is_array())
    m.unlabelled = read_positions(s, "unlabelled");
  else if (!v.is_null())
    m.draw.unlabelled = count(s, "unlabelled", 0);
  s.done();
  if (m.labelled.empty() && (!m.validation.empty() || m.unlabelled))
    fail_usage("{}: lists validation or unlabelled images but draws the labelled ones; list those too", s.where());
  return m;
}

LabelManifest read_manifest(const std::filesystem::path& file, const SplitOptions& defaults) {
  if (lower_ending(file) == ".csv") return read_label_list(file, defaults);
  const SettingsTable table = SettingsTable::read(file);
  if (table.has("sha256")) {
    if (seal_of(table.whole()) != Seal::sound)
      fail_usage(
          "{}: its content is not what akin wrote (its sha256 differs: damaged, or changed by hand); take the manifest "
          "of the run again, or, where it was changed on purpose, \"sha256\" out of it",
          file.string());
  }
  return read_manifest(table, defaults);
}

TaskSplit split_pool(const ImageSet& pool, std::int64_t training, const std::string& hash,
                     const LabelManifest& manifest, std::vector<int>& labels) {
  const LabelManifest m = with_positions(manifest, pool);
  AKIN_CHECK(m.data.empty() || m.data == hash,
             "{}: was made for other images than those of {} (content {}.., expected {}..): take the same data set, "
             "--size and --channels, or a manifest that says per_class or fraction",
             m.source, pool.source, hash.substr(0, 12), m.data.substr(0, 12));
  const std::int64_t images = pool.images.shape()[0];
  Entering listed(pool, labels, training, m);
  TaskSplit out;
  out.labelled = listed.classes(m.labelled, "labelled");
  out.validation = listed.classes(m.validation, "validation");
  if (m.unlabelled) {
    out.unlabelled = *m.unlabelled;
    for (const std::int64_t i : out.unlabelled) listed.enter(i, "unlabelled");
    std::sort(out.unlabelled.begin(), out.unlabelled.end());
  }
  if (!m.labelled.empty()) {
    std::set<int> seen;
    for (const std::int64_t i : out.labelled) seen.insert(labels[static_cast<std::size_t>(i)]);
    for (std::size_t c = 0; c < pool.classes.size(); ++c)
      AKIN_CHECK(seen.contains(static_cast<int>(c)),
                 "{}: class '{}' has no labelled image: list at least one, or leave the class out of the data set",
                 m.source, pool.classes[c]);
  }
  if (m.fixed()) return out;
  // What is not listed is drawn from the other training images, and the unlabelled ones from those without labels too.
  const std::vector<int> own_labels(pool.labels.begin(), pool.labels.begin() + training);
  SplitOptions drawing = m.draw;
  const bool more = images > training || m.draw.fraction > 0 || !m.labelled.empty();
  if (more) drawing.unlabelled = 0;  // all that are left; both kinds are drawn from below
  Indices own;
  if (!m.labelled.empty())
    std::copy_if(out.labelled.begin(), out.labelled.end(), std::back_inserter(own),
                 [&](std::int64_t i) { return i < training; });
  TaskSplit drawn;
  try {
    drawn = split_task(own_labels, pool.classes, drawing, more, m.labelled.empty() ? nullptr : &own);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    fail("{}: {}", m.source.empty() ? pool.source : m.source, e.what());
  }
  const auto without_listed = [&](Indices part) {
    std::erase_if(part, [&](std::int64_t i) { return listed.has(i); });
    return part;
  };
  if (m.labelled.empty()) {
    out.labelled = drawn.labelled;
    for (const std::int64_t i : out.labelled) listed.enter(i, "labelled");
  }
  if (m.validation.empty()) out.validation = without_listed(drawn.validation);
  if (!m.unlabelled) {
    out.unlabelled = without_listed(drawn.unlabelled);
    for (std::int64_t i = training; more && i < images; ++i)
      if (!listed.has(i)) out.unlabelled.push_back(i);
    if (more) out.unlabelled = draw(std::move(out.unlabelled), m.draw.unlabelled, m.draw.seed);
  }
  return out;
}

std::string manifest_text(const ImageSet& pool, const std::vector<int>& labels, const TaskSplit& split,
                          const std::string& hash, std::uint64_t seed) {
  const auto lists = [&](const Indices& part) {
    Json out = Json::object();
    for (std::size_t c = 0; c < pool.classes.size(); ++c) {
      Indices own;
      std::copy_if(part.begin(), part.end(), std::back_inserter(own),
                   [&](std::int64_t i) { return labels[static_cast<std::size_t>(i)] == static_cast<int>(c); });
      if (!own.empty()) out[pool.classes[c]] = own;
    }
    return out;
  };
  Json j = {
      {"format", kFormat}, {"name", pool.name}, {"data", hash}, {"seed", seed}, {"labelled", lists(split.labelled)}};
  if (split.validation.empty())
    j["validation"] = 0;
  else
    j["validation"] = lists(split.validation);
  j["unlabelled"] = split.unlabelled;
  if (!pool.held_out.empty()) j["held_out"] = pool.held_out;
  seal(j);
  // One line a part: a list of ten thousand numbers is not for reading.
  std::string text = "{\n";
  for (const auto& [key, value] : j.items())
    text += "  " + json_line(key) + ": " + json_line(value) + (key == "sha256" ? "\n" : ",\n");
  return text + "}\n";
}

}  // namespace akin
