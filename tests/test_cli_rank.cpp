// akin rank: tables of other programs, and the bank of a data set by every metric.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/io/npy.hpp"
#include "tests/cli_process.hpp"
#include "tests/similarity_cases.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("cli: ranking tables without any image") {
  const TempFolder folder;
  const Case c = find_case("iris");
  const Probe probe = c.probe();
  const auto path = [&](const char* name) { return (folder / name).string(); };
  write_npy(folder / "iris.npy", probe.features);
  write_npy(folder / "half.npy", c.columns(0, 2));
  write_npy(folder / "p.npy", probe.probabilities);
  std::string labels;
  for (const int label : c.labels) labels += fmt::format("{}\n", label);
  write_file_atomic(folder / "y.txt", labels);
  const auto rank = [&](Arguments more) {
    Arguments all{"rank", "--tables", path("half.npy"), path("iris.npy"), "--label-file", path("y.txt"), "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    return akin_(folder, all);
  };
  const Finished ranked = rank({"--metric", "all", "--layers", "8,18", "--reference", path("iris.npy"), "--replicates",
                                "20", "--json", "--out", path("out.csv")});
  CAPTURE(ranked.err);
  REQUIRE_EQ(ranked.code, 0);
  const auto found = json_of(ranked);
  CHECK_EQ(found["labelled"], 150);
  CHECK_EQ(found["metrics"].size(), metrics().size());
  Probe whole = probe;
  whole.reference = probe.features;
  for (const auto& m : found["metrics"]) {
    const std::string name = m["metric"].get<std::string>();
    CAPTURE(name);
    for (const auto& source : m["sources"]) {
      if (name == "leep" || name == "nce") {
        CHECK(source["value"].is_null());
        CHECK(has(source["undefined"].get<std::string>(), "no class probabilities"));
        CHECK(source["weight"].is_null());
      } else if (source["source"] == "iris" && name != "plasticity") {
        CHECK(source["undefined"].is_null());
        // printed so that it reads back the same
        CHECK_EQ(source["value"].get<double>(), similarity(name, whole).value);
        CHECK(source["low"].get<double>() <= source["high"].get<double>());
      }
    }
  }
  const std::string csv = read_text(folder / "out.csv");
  CHECK_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 2 * static_cast<long>(metrics().size()));
  const Finished plain = rank({"--metric", "leep,parc"});
  CHECK_EQ(plain.code, 0);
  CHECK(has(plain.out, "all sources: leep: the source gives no class probabilities"));
  CHECK(has(plain.out, "58.7"));
  CHECK(has(plain.out, "Kendall"));
  const auto leep = json_of(rank({"--metric", "leep", "--probabilities", path("p.npy"), path("p.npy"), "--json"}));
  CHECK(close(leep["metrics"][0]["sources"][0]["value"].get<double>(), -0.817141466, 0.5e-9));
  CHECK_EQ(json_of(rank({"--probe", "30", "--json"}))["labelled"], 150);

  // auto: 50 labels a class here, 2 where the first six rows are all there is.
  const auto by_auto = json_of(rank({"--metric", "auto", "--json", "--out", path("auto.csv")}))["metrics"][0];
  CHECK_EQ(by_auto["metric"], "parc");
  CHECK_EQ(by_auto["metric_why"], "auto chose PARC: 50 labels a class, not fewer than 5");
  CHECK(has(read_text(folder / "auto.csv"), "auto chose PARC: 50 labels a class"));
  CHECK(has(rank({"--metric", "auto"}).out, "auto chose PARC: 50 labels a class, not fewer than 5\n"));
  CHECK(json_of(rank({"--metric", "parc", "--json"}))["metrics"][0]["metric_why"].is_null());
  std::vector<double> x, p;
  std::string few_labels;
  for (const std::size_t i : {0, 1, 50, 51, 100, 101}) {
    for (std::size_t d = 0; d < 4; ++d) x.push_back(c.features[4 * i + d]);
    for (std::size_t d = 0; d < 4; ++d) p.push_back(probe.probabilities.as<double>()[4 * i + d]);
    few_labels += fmt::format("{}\n", c.labels[i]);
  }
  write_npy(folder / "few.npy", Array::from(x, {6, 4}));
  write_npy(folder / "few_p.npy", Array::from(p, {6, 4}));
  write_file_atomic(folder / "few.txt", few_labels);
  const auto few = [&](Arguments more) {
    Arguments all{"rank",    "--tables", path("few.npy"), "--label-file", path("few.txt"),
                  "--quiet", "--json",   "--metric",      "auto"};
    all.insert(all.end(), more.begin(), more.end());
    return json_of(akin_(folder, all))["metrics"][0];
  };
  CHECK_EQ(few({"--probabilities", path("few_p.npy")})["metric"], "leep");
  CHECK_EQ(few({})["metric"], "parc");
  CHECK(has(few({})["metric_why"].get<std::string>(), "LEEP needs the heads that few lacks"));
  // Two tables of the same features: neither is surely the first.
  write_npy(folder / "twin.npy", probe.features);
  const Finished twins = akin_(folder, {"rank", "--tables", path("iris.npy"), path("twin.npy"), "--label-file",
                                        path("y.txt"), "--quiet", "--json"});
  const char* doubt = "iris is the most similar source by parc, but wins only 50 % of the bootstrap draws, twin 50 %";
  CHECK(has(twins.err, fmt::format("warning: {}", doubt)));
  CHECK(has(json_of(twins)["metrics"][0]["unsure"].get<std::string>(), doubt));
  CHECK(by_auto["unsure"].is_null() == (by_auto["sources"][0]["best_share"].get<double>() >= 0.6));

  const auto fails = [&](Arguments more, int code, const char* text) {
    const Finished failed = rank(std::move(more));
    CAPTURE(failed.err);
    CHECK_EQ(failed.code, code);
    CHECK(has(failed.err, text));
  };
  fails({"--target", path("t")}, 2, "--tables needs no images");
  for (const char* of_images : {"--labels-per-class=3", "--labels=3", "--size=8x8", "--channels=1", "--match-channels"})
    fails({of_images}, 2, " goes with --target");
  fails({"--metric", "static:params"}, 2, "looks at no image, so no teacher is weighted by it");
  fails({"--logits", path("p.npy")}, 2, "1 files for 2 tables");
  fails({"--layers", "8"}, 2, "1 numbers for 2 sources");
  fails({"--layers", "8,1.5"}, 2, "is no number of layers");
  fails({"--classes", "2"}, 1, "another label space");
  fails({"--metric", "leep", "--probabilities", path("iris.npy"), path("p.npy"), "--mapping", "best"}, 2, "best");
  // Features in place of probabilities: the cell says so, and that is all.
  const Finished mixed = rank({"--metric", "leep", "--probabilities", path("iris.npy"), path("p.npy")});
  CHECK_EQ(mixed.code, 0);
  CHECK(has(mixed.out, "are these logits?"));
  check_fails(folder, {"rank", "--tables", path("iris.npy"), path("iris.npy"), "--label-file", path("y.txt")}, 2,
              "would both be called 'iris'");
  check_fails(folder, {"rank", "--tables", path("iris.npy")}, 1, "--label-file");
  check_fails(folder, {"rank", "--target", path("t")}, 2, "--sources");
  check_fails(folder, {"rank", "--target", path("t"), "--sources", "s", "--classes", "3"}, 2, "go with --tables");
  write_npy(folder / "short.npy", c.columns(0, 2).reshaped({100, 3}));
  check_fails(folder, {"rank", "--tables", path("short.npy"), "--label-file", path("y.txt")}, 1, "100 rows");
  check_fails(folder,
              {"rank", "--tables", path("iris.npy"), "--label-file", path("y.txt"), "--reference", path("short.npy")},
              1, "the reference has 100 rows");
}

TEST_CASE("cli: what a data frame adds does not count, and where nothing can be ranked the exit code says so") {
  const TempFolder folder;
  const Case c = find_case("iris");
  std::string plain = "w,x,y,z\n", indexed = ",w,x,y,z\n", labels;
  for (std::size_t i = 0; i < 150; ++i) {
    const std::string row = fmt::format("{},{},{},{}\n", c.features[4 * i], c.features[4 * i + 1],
                                        c.features[4 * i + 2], c.features[4 * i + 3]);
    plain += row;
    indexed += fmt::format("{},{}", i, row);
    labels += fmt::format("{}\n", c.labels[i]);
  }
  write_file_atomic(folder / "plain.csv", std::string_view(plain));
  write_file_atomic(folder / "indexed.csv", std::string_view(indexed));
  write_file_atomic(folder / "y.csv", std::string_view(labels));
  const auto rank = [&](Arguments more) {
    Arguments all{"rank",    "--label-file", (folder / "y.csv").string(), "--replicates", "0", "--json",
                  "--quiet", "--tables"};
    all.insert(all.end(), more.begin(), more.end());
    return akin_(folder, all);
  };
  const Finished both = rank({(folder / "plain.csv").string(), (folder / "indexed.csv").string()});
  CAPTURE(both.err);
  REQUIRE_EQ(both.code, 0);
  const auto sources = json_of(both)["metrics"][0]["sources"];
  CHECK_EQ(sources[0]["value"], sources[1]["value"]);
  CHECK(has(both.err, "indexed.csv: column 1 numbers the rows and is left out"));
  CHECK(has(both.err, "1 other table do not say of which images the rows are"));
  // The same as an array has no name to tell by.
  Array counted(DType::f64, {150, 2});
  for (std::size_t i = 0; i < 150; ++i) counted.as<double>()[2 * i] = static_cast<double>(i);
  write_npy(folder / "counted.npy", counted);
  const Finished refused = rank({(folder / "counted.npy").string()});
  CHECK_EQ(refused.code, 1);
  CHECK(has(refused.err, "a row number is no feature. In Python: x[:, 1:]"));
  // Labels of a table itself, of which two may be meant for one class.
  std::string own = "w,x,y,z,label\n";
  for (std::size_t i = 0; i < 150; ++i)
    own += fmt::format("{},{},{},{},{}\n", c.features[4 * i], c.features[4 * i + 1], c.features[4 * i + 2],
                       c.features[4 * i + 3], Arguments{"Cat", "cat", "dog"}[i % 3]);
  write_file_atomic(folder / "own.csv", std::string_view(own));
  const Finished alike = akin_(folder, {"rank", "--tables", (folder / "own.csv").string(), "--replicates", "0"});
  CHECK_EQ(alike.code, 0);
  CHECK_MESSAGE(has(alike.err, "own.csv: labels \"Cat\" and \"cat\" differ only in case"), alike.err);
  // Nothing to rank by: the table says why, and the exit code that nothing came out.
  const Finished none = akin_(folder, {"rank", "--label-file", (folder / "y.csv").string(), "--metric", "leep,nce",
                                       "--quiet", "--tables", (folder / "plain.csv").string()});
  CHECK_EQ(none.code, 1);
  CHECK(has(none.out, "undefined"));
  CHECK(has(none.err, "no source could be ranked by leep,nce"));
}

TEST_CASE("cli: ranking models by metrics of a reference and of depth") {
  const TempFolder folder;
  make_bank(folder);
  const std::string a = (folder / "a.safetensors").string(), b = (folder / "b.safetensors").string();
  const Finished ranked =
      akin_(folder, {"rank", "--target", (folder / "target").string(), "--sources", a, b, "--metric",
                     "dds,rsa,plasticity:knn", "--reference", a, "--replicates", "10", "--json"});
  CAPTURE(ranked.err);
  REQUIRE_EQ(ranked.code, 0);
  const auto found = json_of(ranked)["metrics"];
  for (const int m : {0, 1}) {
    CHECK_EQ(found[m]["sources"][0]["source"], "a");
    CHECK(close(found[m]["sources"][0]["value"].get<double>(), 1, 1e-6));
    CHECK(found[m]["sources"][1]["value"].get<double>() < 0.99);
  }
  CHECK(found[2]["sources"][0]["undefined"].is_null());  // the models' layers are counted
}
