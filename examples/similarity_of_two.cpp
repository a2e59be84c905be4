// Which of two models has the task more like mine? PARC of their features for images whose labels are known.
//   similarity_of_two LABELS FEATURES FEATURES     of your own tables (.npy, .csv or .safetensors; docs/data.md)
//   similarity_of_two                              of two that are drawn here: one sees the classes better
#include <fmt/format.h>

#include <akin/distill/similarity/feature_table.hpp>
#include <akin/kernels/common/rng.hpp>
#include <numeric>

using namespace akin;

/// Features [N, 16] of a model to which images of a class look alike, but for noise of this size.
FeatureTable drawn(const std::string& name, const std::vector<int>& labels, float noise, std::uint64_t seed) {
  constexpr std::size_t D = 16;
  std::vector<float> values;
  Rng of_image(seed);
  for (const int label : labels) {
    Rng of_class(seed, 1, static_cast<std::uint64_t>(label));
    for (std::size_t d = 0; d < D; ++d) values.push_back(of_class.normal() + noise * of_image.normal());
  }
  return {.name = name, .features = Array::from(values, {static_cast<std::int64_t>(labels.size()), D})};
}

int main(int argc, char** argv) try {
  LabelList labels;
  std::vector<FeatureTable> models;
  if (argc == 4) {
    labels = read_labels(argv[1]);
    for (int i = 2; i < argc; ++i) models.push_back(read_feature_table(argv[i]));
    for (const std::string& note : align_tables(models, &labels)) fmt::print(stderr, "{}\n", note);
  } else if (argc == 1) {
    for (int i = 0; i < 60; ++i) labels.labels.push_back(i % 5);
    for (int c = 0; c < 5; ++c) labels.classes.push_back(std::to_string(c));
    models = {drawn("clear", labels.labels, 1, 1), drawn("vague", labels.labels, 4, 2)};
  } else {
    fail_usage("give LABELS FEATURES FEATURES, or nothing");
  }
  Indices all(labels.labels.size());
  std::iota(all.begin(), all.end(), 0);
  // 200 draws of the images for the interval, and 200 shuffles of the labels for what no relation would give.
  const Measurement measured = measure(find_metric("parc"), candidates_of(models, labels, all), {.replicates = 200});
  for (const SimilarityRow& row : measured.rows) {
    if (!row.undefined.empty()) fail("{}: {}", row.source, row.undefined);
    fmt::print(
        "{}: PARC {:.1f}, 95 % interval {:.1f} to {:.1f}, by chance {:.1f}, the more similar one in {:.0f} % of "
        "draws\n",
        row.source, 100 * row.similarity.value, 100 * row.confidence.low, 100 * row.confidence.high,
        100 * row.chance.mean, 100 * row.best_share);
  }
} catch (const Error& e) {
  fmt::print(stderr, "similarity_of_two: {}\n", e.what());
  return dynamic_cast<const UsageError*>(&e) != nullptr ? 2 : 1;
}
