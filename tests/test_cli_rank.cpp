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

  const auto fails = [&](Arguments more, int code, const char* text) {
    const Finished failed = rank(std::move(more));
    CAPTURE(failed.err);
    CHECK_EQ(failed.code, code);
    CHECK(has(failed.err, text));
  };
  fails({"--target", path("t")}, 2, "--tables needs no images");
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
