// akin_rank_tables: the numbers of akin rank, and what it refuses.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "api/akin.h"
#include "engine/io/npy.hpp"
#include "tests/cli_process.hpp"
#include "tests/similarity_cases.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;
using Json = nlohmann::json;

TEST_CASE("api: a ranking of tables is that of akin rank") {
  const TempFolder folder;
  const Case c = find_case("iris");
  const Probe probe = c.probe();
  const Array half = c.columns(0, 2), single = probe.features.cast(DType::f32);
  write_npy(folder / "iris.npy", single);
  write_npy(folder / "half.npy", half.cast(DType::f64));
  write_npy(folder / "p.npy", probe.probabilities.cast(DType::f64));
  const Array wide = half.cast(DType::f64), p = probe.probabilities.cast(DType::f64);
  std::string labels;
  for (const int label : c.labels) labels += fmt::format("{}\n", label);
  write_file_atomic(folder / "y.txt", labels);
  const auto matrix = [](const Array& a) {
    return akin_matrix{a.bytes(), a.dtype() == DType::f32 ? AKIN_F32 : AKIN_F64, a.shape()[0], a.shape()[1]};
  };
  const std::vector<std::int32_t> y(c.labels.begin(), c.labels.end());
  const auto N = std::ssize(y);
  std::vector<akin_table> tables(2, akin_table{});
  tables[0].name = "half";
  tables[0].features = matrix(wide);
  tables[0].layers = 8;
  tables[1].name = "iris";
  tables[1].features = matrix(single);
  tables[1].layers = 18;
  for (akin_table& table : tables) table.probabilities = matrix(p);
  for (const char* metric : {"parc", "leep", "auto", "rsa", "plasticity", "parc:2"}) {
    CAPTURE(metric);
    const auto path = [&](const char* name) { return (folder / name).string(); };
    const Finished f = akin_(folder, {"rank",
                                      "--tables",
                                      path("half.npy"),
                                      path("iris.npy"),
                                      "--label-file",
                                      path("y.txt"),
                                      "--probabilities",
                                      path("p.npy"),
                                      path("p.npy"),
                                      "--reference",
                                      path("iris.npy"),
                                      "--layers",
                                      "8,18",
                                      "--metric",
                                      metric,
                                      "--replicates",
                                      "20",
                                      "--seed",
                                      "5",
                                      "--probe",
                                      "90",
                                      "--p",
                                      "3",
                                      "--json",
                                      "--quiet"});
    REQUIRE_EQ(f.code, 0);
    akin_rank_options o;
    akin_rank_defaults(&o);
    CHECK_EQ(o.replicates, 200);
    o.metric = metric;
    o.replicates = 20;
    o.seed = 5;
    o.probe = 90;
    o.power = 3;
    o.reference = matrix(single);
    akin_ranking* ranking = nullptr;
    REQUIRE_EQ(akin_rank_tables(tables.data(), 2, y.data(), N, &o, &ranking), AKIN_OK);
    Json said = Json::parse(akin_ranking_json(ranking));
    CHECK(said["notes"].is_array());
    said.erase("notes");
    CHECK_EQ(said.dump(), json_of(f)["metrics"][0].dump());
    REQUIRE_EQ(akin_ranking_rows(ranking), 2);
    for (std::size_t row = 0; row < 2; ++row) {
      const Json& of = said["sources"][row];
      CHECK_EQ(of["source"], akin_ranking_source(ranking, row));
      CHECK(akin_ranking_undefined(ranking, row) == nullptr);
      const char* const fields[] = {"value",   "low",        "high",   "chance", "chance_high",
                                    "p_value", "best_share", "mapped", "weight"};
      for (int which = AKIN_VALUE; which <= AKIN_WEIGHT; ++which)
        CHECK_EQ(of[fields[which]].get<double>(), akin_ranking_number(ranking, row, which));
    }
    CHECK(std::isnan(akin_ranking_number(ranking, 0, AKIN_WEIGHT + 1)));
    CHECK(std::isnan(akin_ranking_number(ranking, 2, AKIN_VALUE)));
    CHECK(akin_ranking_source(ranking, 2) == nullptr);
    akin_ranking_free(ranking);
  }
}

TEST_CASE("api: what cannot be ranked is told, and leaves the result as it was") {
  const auto says = [](int code, int wanted, const std::string& text) {
    CHECK_EQ(code, wanted);
    CAPTURE(akin_last_error());
    CHECK(has(akin_last_error(), text));
  };
  float x[6] = {1, 2, 3, 4, 5, NAN};
  const std::int32_t labels[] = {0, 1, -1};
  akin_table t{};
  t.name = "x";
  t.features = {x, AKIN_F32, 3, 2};
  akin_ranking* ranking = nullptr;
  says(akin_rank_tables(&t, 1, labels, 3, nullptr, &ranking), AKIN_FAILED, "table 'x'");
  x[5] = 6;
  says(akin_rank_tables(&t, 1, labels, 3, nullptr, &ranking), AKIN_FAILED, "label -1 in row 2");
  says(akin_rank_tables(&t, 1, labels, 2, nullptr, &ranking), AKIN_FAILED, "2 labels");
  says(akin_rank_tables(&t, 0, labels, 2, nullptr, &ranking), AKIN_USAGE, "at least one");
  t.features.type = 7;
  says(akin_rank_tables(&t, 1, labels, 3, nullptr, &ranking), AKIN_USAGE, "of type 7");
  akin_rank_options o;
  akin_rank_defaults(&o);
  o.metric = "park";
  t.features = {x, AKIN_F32, 2, 3};
  says(akin_rank_tables(&t, 1, labels, 2, &o, &ranking), AKIN_USAGE, "park");
  o = {};
  says(akin_rank_tables(&t, 1, labels, 2, &o, &ranking), AKIN_USAGE, "probe 0");
  CHECK(ranking == nullptr);
  akin_ranking_free(nullptr);
  CHECK_EQ(akin_ranking_rows(nullptr), 0);
}
