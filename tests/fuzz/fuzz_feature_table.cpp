// Tables to rank and lists of labels, in their four formats and as folders (distill/similarity/feature_table.hpp): what
// is read is whole and finite, and every metric of it is a number or says why it is none. An input is some files
// (fuzz.hpp: pack): each is read as a table and as labels.
#include <cmath>

#include "distill/similarity/feature_table.hpp"
#include "distill/task/source.hpp"
#include "engine/io/npy.hpp"
#include "engine/io/safetensors.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

namespace {

constexpr std::int64_t kMostRows = 24, kMostColumns = 12;

bool finite(const Array& a, const char* what) {
  return passes([&] { check_finite(a, what, "input"); });
}

void check(const FeatureTable& t) {
  const Shape& s = t.features.shape();
  require(s.rank() == 2 && s[0] > 0 && s[1] > 0 && finite(t.features, "features"), "a table that is not whole");
  const auto rows = static_cast<std::size_t>(s[0]);
  require(t.rows.labels.empty() || t.rows.labels.size() == rows, "labels of some rows only");
  require(t.rows.names.empty() || t.rows.names.size() == rows, "names of some rows only");
  require(
      t.probabilities.numel() == 0 || (t.probabilities.shape()[0] == s[0] && finite(t.probabilities, "probabilities")),
      "probabilities of some rows only");
}

void check(const LabelList& l) {
  require(!l.labels.empty(), "no labels");
  for (const int label : l.labels)
    require(label >= 0 && static_cast<std::size_t>(label) < l.classes.size(), "a label out of the classes");
}

void measure_all(const std::vector<FeatureTable>& tables, const LabelList& labels) {
  const auto rows = static_cast<std::int64_t>(labels.labels.size());
  if (rows > kMostRows || labels.classes.size() > static_cast<std::size_t>(kMostColumns)) return;
  for (const FeatureTable& t : tables)
    if (t.features.shape()[1] > kMostColumns ||
        (t.probabilities.numel() > 0 && t.probabilities.shape()[1] > kMostColumns))
      return;
  const auto bank = accepted([&] { return candidates_of(tables, labels, all_indices(rows), tables[0].features); });
  if (!bank) return;
  for (const Metric& metric : metrics()) {
    const auto measured = accepted([&] { return measure(metric, *bank); });
    if (!measured) continue;
    require(measured->rows.size() == bank->size(), "another number of rows than of sources");
    for (const SimilarityRow& row : measured->rows)
      if (row.undefined.empty() && !std::isfinite(row.similarity.value))
        finding(fmt::format("{} is {} and does not say why", metric.name, row.similarity.value));
  }
}

void run(ByteView input) {
  const std::vector<Part> parts = unpack(input);
  const std::filesystem::path& folder = folder_with(parts);
  std::vector<FeatureTable> tables;
  std::optional<LabelList> labels;
  std::vector<std::filesystem::path> files{folder};
  for (const Part& p : parts) files.push_back(folder / p.path);
  for (const std::filesystem::path& file : files) {
    if (const auto table = accepted([&] { return read_feature_table(file); })) {
      check(*table);
      tables.push_back(*table);
    }
    for (const int classes : {0, 3})
      if (const auto list = accepted([&] { return read_labels(file, classes); })) {
        check(*list);
        labels = *list;
      }
    // The same file as a source of a distillation.
    Context ctx(Device::cpu, {.limit = 1 << 20});
    if (const auto source = accepted([&] { return open_source(ctx, file); }); source && source->is_table())
      require(finite(source->table.features, "features") && finite(source->table.logits, "logits"),
              "a source that is not whole");
  }
  if (tables.empty()) return;
  if (const auto own = accepted([&] { return labels_of(tables, 0); })) {
    check(*own);
    measure_all(tables, *own);
  }
  if (labels) measure_all(tables, *labels);
}

Seeds seeds() {
  const Array features = Array::from(std::vector<float>{1, 2, 3, 4, 0, 1, 5, 2}, {4, 2}),
              logits = Array::from(std::vector<float>{2, -1, 0, 1, 3, 3, -2, 2}, {4, 2}),
              labels = Array::from(std::vector<std::int64_t>{0, 1, 0, 1}, {4});
  SafeTensors file;
  file.add("features", features);
  file.add("logits", logits);
  file.add("labels", labels);
  file.metadata = {{"layers", "18"}};
  const Bytes f = to_npy(features), y = to_npy(labels),
              csv = bytes_of_text("a,b,label\n1,2,cat\n3,4,dog\n0,1,cat\n5,2,dog\n"),
              names = bytes_of_text("label\ncat\ndog\ncat\ndog\n"), numbers = bytes_of_text("0\n1\n0\n1\n");
  const auto seed = [](const std::string& name, const std::vector<Part>& parts) { return Seed{name, pack(parts)}; };
  return {seed("npy", {{"a.npy", f}, {"y.npy", y}}),
          seed("csv", {{"a.csv", csv}}),
          seed("safetensors", {{"a.safetensors", to_safetensors(file)}}),
          seed("folder", {{"features.npy", f}, {"logits.npy", to_npy(logits)}, {"y.txt", names}}),
          seed("folder_csv", {{"features.csv", csv},
                              {"probabilities.csv", bytes_of_text("0.2,0.8\n1,0\n0.5,0.5\n0,1\n")},
                              {"y.csv", numbers}}),
          seed("two", {{"a.npy", f}, {"b.npy", to_npy(features.cast(DType::f64))}, {"y.txt", numbers}}),
          seed("constant", {{"a.csv", bytes_of_text("1,1\n1,1\n1,1\n1,1\n")}, {"y.txt", numbers}}),
          seed("one_class", {{"a.npy", f}, {"y.txt", bytes_of_text("0\n0\n0\n0\n")}}),
          seed("from_one", {{"a.npy", f}, {"y.txt", bytes_of_text("1\n2\n1\n2\n")}}),
          seed("large", {{"a.csv", bytes_of_text("1e300,1e-300\n-1e300,1\n1e308,0\n2,3\n")}, {"y.txt", numbers}})};
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = {"label", "labels", "class", "features", "logits", "probabilities", "layers",
                              "features.npy", "logits.npy", ".csv", ".txt", ".npy", ".safetensors", "nan", "1e300"}};

}  // namespace akin::fuzz
