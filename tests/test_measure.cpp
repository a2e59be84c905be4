// A bank measured by one metric, and banks made of tables.
#include "distill/similarity/measure.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "distill/similarity/feature_table.hpp"
#include "distill/similarity/metrics/parc.hpp"
#include "engine/io/npy.hpp"
#include "engine/io/safetensors.hpp"
#include "kernels/common/parallel.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/similarity_cases.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

std::vector<Candidate> bank_of_three() {
  std::vector<Candidate> bank{{"near", random_probe(60, 8, 3, 1.0, 1), 18},
                              {"far", random_probe(60, 8, 3, 0.3, 2), 50},
                              {"none", random_probe(60, 8, 3, 0.0, 3), 8}};
  return bank;
}

std::string complaint(auto&& fn) {
  try {
    fn();
  } catch (const Error& e) {
    return e.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("measure: values, intervals and stability of a bank") {
  const auto bank = bank_of_three();
  const Measurement measured = measure(find_metric("parc"), bank, {.replicates = 60});
  REQUIRE_EQ(measured.rows.size(), 3u);
  CHECK(measured.first_undefined().empty());
  double shares = 0;
  for (std::size_t s = 0; s < 3; ++s) {
    const SimilarityRow& row = measured.rows[s];
    CHECK_EQ(row.source, bank[s].name);
    CHECK_EQ(row.similarity.value, similarity("parc", bank[s].probe).value);
    CHECK(row.confidence.low < row.confidence.high);
    CHECK_EQ(row.agreement, measured.agreement);
    shares += row.best_share;
  }
  CHECK_EQ(measured.rows[0].best_share, 1);
  CHECK_EQ(shares, doctest::Approx(1));
  CHECK(measured.agreement > 0.5);  // the other two are close to each other
  const Measurement quick = measure(find_metric("parc"), bank, {.replicates = 0});
  CHECK(quick.values() == measured.values());
  CHECK(std::isnan(quick.agreement));
  CHECK(std::isnan(quick.rows[0].confidence.low));
}

TEST_CASE("measure: a source a thread gives the bits of one source after another") {
  std::vector<Candidate> bank = bank_of_three();
  bank.push_back({"other labels", random_probe(60, 8, 3, 1.0, 4), 8});
  std::rotate(bank.back().probe.labels.begin(), bank.back().probe.labels.begin() + 7, bank.back().probe.labels.end());
  bank.push_back({"no label", random_probe(60, 8, 3, 1.0, 5), 8});
  bank.back().probe.labels[3] = 9;  // no class of the target: told in its row
  const auto measured_on = [&](const char* metric, int threads) {
    const int before = max_threads();
    set_threads(threads);
    Measurement measured = measure(find_metric(metric), bank, {.replicates = 70});
    set_threads(before);
    return measured;
  };
  for (const char* metric : {"parc", "parc:3", "plasticity", "knn", "logme"}) {
    CAPTURE(metric);
    const Measurement one = measured_on(metric, 1);
    CHECK(has(one.rows[4].undefined, "label 9"));
    for (const int threads : {2, 3, 8}) {  // 8: more than sources, all of them for one source
      const Measurement many = measured_on(metric, threads);
      CHECK(similarity_csv(one.rows) == similarity_csv(many.rows));
      for (std::size_t s = 0; s < 4; ++s) {
        CHECK(one.rows[s].confidence.draws == many.rows[s].confidence.draws);
        CHECK(one.rows[s].chance.draws == many.rows[s].chance.draws);
        CHECK_EQ(one.rows[s].confidence.draws.size(), 70u);
      }
    }
  }
}

TEST_CASE("measure: agreement of rankings") {
  const auto of = [](std::vector<double> draws) {
    Confidence c;
    c.draws = std::move(draws);
    return c;
  };
  // Draw r against draw r + 2: the first pair in one order, the second pair reversed.
  CHECK_EQ(ranking_agreement(std::vector{of({1, 1, 1, 3}), of({2, 2, 2, 2}), of({3, 3, 3, 1})}), 0);
  CHECK_EQ(ranking_agreement(std::vector{of({1, 2}), of({2, 3})}), 1);
  CHECK_EQ(ranking_agreement(std::vector{of({1, 3}), of({2, 1})}), -1);
  // tau-b: 3 pairs against 2 untied ones, both agreeing: 2 / sqrt(6)
  CHECK(close(ranking_agreement(std::vector{of({1, 1}), of({2, 1}), of({3, 2})}), 2 / std::sqrt(6.0)));
  CHECK(std::isnan(ranking_agreement(std::vector{of({1, 2})})));
  CHECK(std::isnan(ranking_agreement(std::vector{of({1, not_measured}), of({2, 3})})));
  CHECK(std::isnan(ranking_agreement(std::vector{of({1, 1}), of({1, 1})})));
}

TEST_CASE("measure: a source without a value says why and stops nothing") {
  auto bank = bank_of_three();
  bank[1].probe.probabilities = Array::from(std::vector<double>(120, 0.5), {60, 2});
  const Measurement leep = measure(find_metric("leep"), bank, {.replicates = 20});
  CHECK(has(leep.rows[0].undefined, "no class probabilities"));
  CHECK(std::isnan(leep.values()[0]));
  CHECK(leep.rows[1].undefined.empty());
  CHECK_EQ(leep.rows[1].best_share, 1);
  CHECK(has(leep.first_undefined(), "source near: "));

  // A metric of a reference looks at no label: those that no draw can be made of leave it its value.
  for (Candidate& c : bank) c.probe.reference = bank[0].probe.features;
  bank[2].probe.labels[5] = 99;
  const Measurement rsa = measure(find_metric("rsa"), bank, {.replicates = 20});
  CHECK(std::isfinite(rsa.values()[2]));
  CHECK(std::isnan(rsa.rows[2].confidence.low));
  CHECK(std::isfinite(rsa.rows[1].confidence.low));

  // More images than intervals are offered for: the value is there, with a warning.
  Probe large = random_probe(8200, 2, 2, 1.0, 5);
  const Measurement many = measure(find_metric("knn"), std::vector<Candidate>{{"large", large}}, {.replicates = 2});
  CHECK(many.rows[0].undefined.empty());
  CHECK(std::isnan(many.rows[0].confidence.low));
  CHECK(has(many.rows[0].similarity.warnings.back(), "no interval"));
}

TEST_CASE("measure: numbers whose products are none make no value") {
  std::vector<Candidate> bank = bank_of_three();
  bank[1].probe.features = bank[1].probe.features.cast(DType::f64);
  for (double& v : bank[1].probe.features.as<double>()) v *= 1e300;
  const Measurement measured = measure(find_metric("cka"), bank, {.replicates = 20});
  CHECK_MESSAGE(has(measured.rows[1].undefined, "too large"), measured.rows[1].undefined);
  CHECK(measured.rows[0].undefined.empty());
  CHECK(std::isfinite(measured.rows[2].similarity.value));
}

TEST_CASE("measure: features whose squares overflow or vanish are told as that by every metric") {
  Probe probe = random_probe(64, 6, 3, 1.0, 5);  // a mean of 64 ones is one
  const Array sound = probe.features.cast(DType::f64);
  const auto times = [&](double scale, double first) {
    std::vector<double> x(sound.as<double>().begin(), sound.as<double>().end());
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % 6 == 0 && first != 0 ? first : x[i] * scale;
    return Array::from(x, {64, 6});
  };
  for (const char* name : {"parc", "parc:2", "cka", "cka-debiased", "nleep", "logme", "hscore", "hscore-reg",
                           "transrate", "gbc", "gbc:full", "gbc:diagonal", "knn", "rsa", "dds"}) {
    CAPTURE(name);
    for (const double scale : {1e300, 1e160, 1e-200, 1e-300}) {
      CAPTURE(scale);
      probe.features = probe.reference = times(scale, 0);
      const std::string why = error_of([&] { similarity(name, probe); });
      CHECK_MESSAGE(has(why, scale > 1 ? "too large" : "too small"), why);
      CHECK(has(why, "scale all numbers of the table alike"));
    }
  }
  // One column is the same everywhere, and what varies in the others is lost beside it.
  probe.features = times(1e-200, 1.0);
  for (const char* name : {"gbc", "gbc:diagonal", "gbc:spherical", "nleep", "parc:2", "knn"}) {
    CAPTURE(name);
    const std::string why = error_of([&] { similarity(name, probe); });
    CHECK_MESSAGE(has(why, "the same for all 64 images, as far as products of their numbers tell"), why);
  }
  const Metric knn = find_metric("knn");
  CHECK(has(error_of([&] { knn.resampler(probe); }), "kNN is undefined"));
  // Columns that are equal within every image, of numbers that are sound.
  std::vector<double> rows;
  for (int i = 0; i < 384; ++i) rows.push_back(0x1p60 + 256 * (i / 6 % 7));
  probe.features = Array::from(rows, {64, 6});
  CHECK(has(error_of([&] { similarity("parc", probe); }), "are equal as far as 16 digits tell"));
}

TEST_CASE("measure: plasticity is a z-score over the bank and the layers") {
  auto bank = bank_of_three();
  const auto base = measure(find_metric("knn"), bank, {.replicates = 40});
  const auto deep = measure(find_metric("plasticity:knn"), bank, {.replicates = 40});
  const std::vector<double> v = base.values();
  const double mean = (v[0] + v[1] + v[2]) / 3;
  double squares = 0;
  for (const double value : v) squares += (value - mean) * (value - mean);
  for (std::size_t s = 0; s < 3; ++s) {
    CHECK(close(deep.values()[s], (v[s] - mean) / std::sqrt(squares / 2) + bank[s].layers / 50.0));
    CHECK_EQ(deep.rows[s].similarity.metric, "plasticity:knn");
    CHECK(deep.rows[s].confidence.low <= deep.values()[s]);
    CHECK(deep.values()[s] <= deep.rows[s].confidence.high);
    CHECK_EQ(deep.rows[s].chance.draws.size(), 40u);
    // z-scores of three add up to 0, whatever the draw.
    if (s == 0) {
      double sum = 0;
      for (const SimilarityRow& row : deep.rows) sum += row.chance.mean;
      CHECK(close(sum, (18 + 50 + 8) / 50.0, 1e-9));
    }
  }
  bank[2].layers = 0;
  const auto unknown = measure(find_metric("plasticity"), bank, {.replicates = 0});
  for (const SimilarityRow& row : unknown.rows) CHECK(has(row.undefined, "--layers"));
  const auto alone = measure(find_metric("plasticity"), std::span(bank).first(1), {.replicates = 0});
  CHECK(has(alone.rows[0].undefined, "compares the sources"));
  const std::vector<Candidate> twins{bank[0], bank[0]};
  CHECK(has(measure(find_metric("plasticity"), twins, {.replicates = 0}).rows[0].undefined, "same value"));
}

TEST_CASE("measure: weight layers are those in the networks' names") {
  Context ctx;
  for (const auto& [name, layers] :
       {std::pair{"resnet8", 8}, {"resnet20", 20}, {"resnet18", 18}, {"resnet50", 50}, {"alexnet", 8}}) {
    CAPTURE(name);
    Source source;
    source.model.network =
        make_network(ctx, {.name = name, .width = name == std::string("alexnet") ? 0 : 2, .classes = 3});
    CHECK_EQ(weight_layers(source), layers);
  }
  CHECK_EQ(weight_layers(Source{}), 0);
}

TEST_CASE("similarity: above 8192 images PARC is counted in bins within its bound") {
  const Probe probe = random_probe(8193, 3, 2, 0.8, 6);
  const Similarity binned = parc(probe), exact = parc(probe, {.histogram_from = 10000});
  CHECK(exact.error_bound == 0);
  CHECK(binned.error_bound > 0);
  CHECK(binned.error_bound < 1e-3);
  CHECK(std::abs(binned.value - exact.value) <= binned.error_bound);
}

TEST_CASE("tables: one probe in every format gives the same numbers") {
  const TempFolder folder;
  const Case c = find_case("iris");
  const Probe probe = c.probe();
  write_npy(folder / "a.npy", probe.features);
  std::string csv = "w,x,label,y,z\n", names = "label\n";
  const char* classes[] = {"iris setosa", "iris versicolor", "iris virginica"};
  for (std::size_t i = 0; i < 150; ++i) {
    csv += fmt::format("{},{},\"{}\",{},{}\n", c.features[4 * i], c.features[4 * i + 1], classes[c.labels[i]],
                       c.features[4 * i + 2], c.features[4 * i + 3]);
    names += std::string(classes[c.labels[i]]) + "\n";
  }
  write_file_atomic(folder / "b.csv", csv);
  write_file_atomic(folder / "y.txt", names);
  SafeTensors file;
  file.add("features", probe.features);
  file.add("probabilities", probe.probabilities);
  file.add("labels", Array::from(std::vector<std::int32_t>(c.labels.begin(), c.labels.end()), {150}));
  file.metadata = {{"layers", "50"}};
  write_safetensors(folder / "c.safetensors", file);
  make_folder(folder / "d");
  write_npy(folder / "d/features.npy", probe.features);
  write_npy(folder / "d/probabilities.npy", probe.probabilities);
  std::vector<std::int64_t> wide(c.labels.begin(), c.labels.end());
  write_npy(folder / "y.npy", Array::from(wide, {150, 1}));

  std::vector<FeatureTable> tables;
  for (const char* name : {"a.npy", "b.csv", "c.safetensors", "d"}) tables.push_back(read_feature_table(folder / name));
  CHECK_EQ(tables[1].rows.labels[60], "iris versicolor");
  CHECK_EQ(tables[2].layers, 50);
  Indices all;
  for (std::int64_t i = 0; i < 150; ++i) all.push_back(i);
  for (const char* name : {"y.txt", "y.npy", "c.safetensors"}) {
    const LabelList labels = read_labels(folder / name);
    CHECK(labels.labels == c.labels);
    CHECK_EQ(labels.classes.size(), 3u);
    const auto bank = candidates_of(tables, labels, all, probe.features);
    CHECK_EQ(bank[3].name, "d");
    for (const Candidate& candidate : bank) {
      CHECK_EQ(parc(candidate.probe).value, parc(probe).value);
      CHECK_EQ(similarity("rsa", candidate.probe).value, doctest::Approx(1));
    }
    CHECK(close(similarity("leep", bank[3].probe).value, -0.817141466, 0.5e-9));
  }
  CHECK_EQ(read_labels(folder / "y.npy", 7).classes.size(), 7u);
  CHECK(has(complaint([&] { labels_of(tables); }), "different labels"));  // names in one, numbers in the other
  CHECK(labels_of({tables[2]}).labels == c.labels);
  const Indices half = evenly(all, c.labels, 3, 30);
  REQUIRE_EQ(half.size(), 30u);
  CHECK_EQ(half[10], 50);

  // What is wrong, with the file's name and what to do.
  const auto table = [&](const char* name) { return complaint([&] { read_feature_table(folder / name); }); };
  const auto labels = [&](const char* name, int limit = 0) {
    return complaint([&] { read_labels(folder / name, limit); });
  };
  CHECK(has(labels("y.npy", 2), "label 2 in row 100 is out of range, expected 0..1"));
  CHECK(has(labels("y.txt", 2), "3 different labels, but --classes 2"));
  CHECK(has(labels("a.npy"), "shape [150, 4]"));
  CHECK(has(labels("d"), "is no list of labels"));
  CHECK(read_labels(folder / "b.csv").labels == c.labels);  // its column of labels
  CHECK(has(labels("missing.txt"), "missing.txt"));
  write_npy(folder / "half.npy", Array::from(std::vector<float>{0, 0.5f}, {2}));
  CHECK(has(labels("half.npy"), "label 0.5 in row 1 is no whole number"));
  write_file_atomic(folder / "negative.txt", std::string_view("0\n-1\n"));
  CHECK(has(labels("negative.txt"), "label -1 in row 1"));
  CHECK(has(table("missing.csv"), "missing.csv"));
  CHECK(has(table("y.txt"), "is no table"));
  write_npy(folder / "line.npy", Array::from(std::vector<float>{1, 2}, {2}));
  CHECK(has(table("line.npy"), "expected [rows, columns]"));
  write_file_atomic(folder / "hole.csv", std::string_view("1,2\n3,nan\n"));
  CHECK(has(table("hole.csv"), "hole.csv"));
  make_folder(folder / "empty");
  CHECK(has(table("empty"), "features.npy or features.csv"));
  file.metadata = {{"layers", "many"}};
  write_safetensors(folder / "layers.safetensors", file);
  CHECK(has(table("layers.safetensors"), "metadata layers is \"many\""));
  write_npy(folder / "short.npy", Array::from(std::vector<float>(40, 1.f), {10, 4}));
  const FeatureTable shorter = read_feature_table(folder / "short.npy");
  CHECK(has(complaint([&] { candidates_of({shorter}, read_labels(folder / "y.npy"), all); }),
            "10 rows, but " + (folder / "y.npy").string() + " has 150 labels"));
  CHECK(has(complaint([&] { labels_of({tables[0]}); }), "--label-file"));
}
