// What looks at no data stands beside the metrics in an experiment's tables, and weights nobody.
#include "distill/similarity/static_rivals.hpp"

#include <doctest/doctest.h>

#include "engine/io/json.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/experiment_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Four models beside the table, each with an accuracy of its own but the last; one target, one seed, all as oracles.
struct RivalFixture : ExperimentFixture {
  std::map<std::string, double> parameters, accuracy;
  std::string text;

  RivalFixture() {
    std::string more;
    for (const auto& [name, width, told] :
         {std::tuple{"wide", 8, 0.5}, {"wider", 12, 0.9}, {"narrow", 2, 0.7}, {"mute", 6, -1.0}}) {
      ModelInfo info;
      info.architecture = {.name = "resnet8", .width = width, .channels = 1, .classes = 3};
      info.normalization = {{0.3f}, {0.35f}};
      info.classes = {"a", "b", "c"};
      info.test_accuracy = told;
      const std::unique_ptr<Network> net = make_network(ctx, info.architecture);
      initialize(net->parameters(), static_cast<std::uint64_t>(width));
      save_model(folder / (std::string(name) + ".safetensors"), *net, info);
      for (const Parameter& p : net->parameters())
        if (p.trainable()) parameters[name] += static_cast<double>(p.tensor.numel());
      if (told >= 0) accuracy[name] = told;
      more += fmt::format("[[sources]]\nname = \"{0}\"\npath = \"{0}.safetensors\"\n", name);
    }
    text = replaced(all(), "seeds = [0, 1]", "seeds = [0]");
    text = replaced(text, "\"scratch\", \"transfer\", \"fixmatch\", \"probe\", \"weighted\", \"oracle\"", "\"oracle\"");
    const std::string table = std::string(kSources).substr(std::string(kSources).rfind("[[sources]]"));
    text = text.substr(0, text.find("[[variants]]")) + more + table + kTargets;
    text = text.substr(0, text.rfind("[[targets]]"));
  }
};

}  // namespace

TEST_CASE_FIXTURE(RivalFixture, "sources.csv and results.md have the static rivals beside the metrics") {
  const GridOutcome first = run(read(text));
  CAPTURE(lines);
  REQUIRE(first.finished);
  CHECK(first.failed.empty());
  // Students of five steps are all alike; ranks need accuracies that differ.
  double test = 0.9;
  for (const char* source : {"wide", "table", "narrow", "mute", "wider"}) {
    const std::filesystem::path cell = folder / fmt::format("run/cells/one/three/oracle-seed0@{}.json", source);
    Json j = Json::parse(read_text(cell));
    j["result"]["test_last"] = test -= 0.1;
    seal(j);
    write_file_atomic(cell, std::string_view(j.dump()));
  }
  REQUIRE_EQ(run(read(text)).ran, 0);
  const auto table = table_of(folder / "run/sources.csv");
  REQUIRE_EQ(table.size(), 1 + 5);
  CHECK_EQ(column(table, "static:params"), column(table, "leep") + 1);
  CHECK_EQ(column(table, "static:source-accuracy"), column(table, "leep") + 2);
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> pairs;  // of those that are known
  for (std::size_t i = 1; i < table.size(); ++i) {
    const auto at = [&](const std::string& name) { return table[i][column(table, name)]; };
    const std::string source = at("source");
    CAPTURE(source);
    if (source == "table")
      CHECK(at("static:params").empty());
    else
      CHECK_EQ(std::stod(at("static:params")), parameters.at(source));
    if (accuracy.contains(source))
      CHECK_EQ(std::stod(at("static:source-accuracy")), accuracy.at(source));
    else
      CHECK(at("static:source-accuracy").empty());
    CHECK(at("undefined").empty());  // an empty cell needs no reason
    for (const char* name : {"parc", "cka", "leep", "static:params", "static:source-accuracy"})
      if (!at(name).empty()) {
        pairs[name].first.push_back(std::stod(at(name)));
        pairs[name].second.push_back(std::stod(at("student_test_last")));
      }
  }
  CHECK_EQ(pairs["static:params"].first.size(), 4);
  CHECK_EQ(pairs["static:source-accuracy"].first.size(), 3);
  const std::string page = read_text(folder / "run/results.md");
  CAPTURE(page);
  std::size_t shown = 0;
  for (const auto& [name, pair] : pairs) {
    const double rho = spearman(pair.first, pair.second);
    CAPTURE(name);
    CHECK_EQ(has(page, "| " + name + " |"), std::isfinite(rho));
    if (!std::isfinite(rho)) continue;
    ++shown;
    CHECK(has(page, fmt::format("| {} | {:.2f} (1) | {:.2f} |", name, rho, rho)));
  }
  CHECK_EQ(shown, 5);
  // A ranking of an akin that did not know them is measured again.
  const std::filesystem::path file = folder / "run/rankings/one/three/seed0.json";
  Json old = Json::parse(read_text(file));
  old["metrics"] = {"parc", "cka", "leep"};
  for (Json& source : old["sources"])
    for (const StaticRival& rival : static_rivals()) source["values"].erase(std::string(rival.name));
  write_ranking(file, {"one", "three"}, old["settings"], old["metrics"], old["sources"]);
  CHECK_EQ(run(read(text)).ran, 0);
  CHECK(table_of(folder / "run/sources.csv") == table);
}

TEST_CASE_FIXTURE(RivalFixture, "nobody is weighted by a static rival, wherever a metric may be named") {
  for (const StaticRival& rival : static_rivals()) {
    const std::string name(rival.name);
    CHECK(name.starts_with(kStaticPrefix));
    CHECK(has(error_of([&] { find_metric(name); }), "looks at no image, so no teacher is weighted by it"));
    CHECK(has(error(replaced(text, "flip = \"h\"", "flip = \"h\"\nmetric = \"" + name + "\"")), "looks at no image"));
    CHECK(has(error(replaced(text, "\"cka\"", "\"" + name + "\"")), "looks at no image"));
  }
}

TEST_CASE_FIXTURE(ExperimentFixture, "an experiment tells once of the rankings whose draws do not agree") {
  std::string grid =
      replaced(all(), "methods = [\"scratch\", \"transfer\", \"fixmatch\", \"probe\", \"weighted\", \"oracle\"]",
               "methods = [\"scratch\", \"nearest\"]");
  grid = replaced(grid, "flip = \"h\"\n", "flip = \"h\"\nreplicates = 40\n");
  const std::size_t own = grid.find("[[variants]]"), sources = grid.find("[[sources]]");
  grid = grid.substr(0, own) + grid.substr(sources);
  // A source and its twin win half of the draws each, with the table far behind or in front.
  std::filesystem::copy_file(folder / "four.safetensors", folder / "twin.safetensors");
  grid =
      replaced(grid, "name = \"three\"\npath = \"three.safetensors\"", "name = \"twin\"\npath = \"twin.safetensors\"");
  grid = replaced(grid, "exclude = [\"table\"]\n", "sources = [\"four\", \"twin\"]\n");
  const GridOutcome o = run(read(grid));
  CAPTURE(lines);
  REQUIRE(o.finished);
  const std::string two =
      "two, three, seed 0: four is the most similar source by parc, but wins only 50 % of the "
      "bootstrap draws, twin 50 %";
  const std::string page = read_text(folder / "run/results.md");
  CAPTURE(page);
  CHECK(has(page, "- " + two));
  CHECK(has(page, fmt::format("## Unsure rankings ({} of 4)", o.disputed.size())));
  CHECK(o.disputed.size() >= 2);
  std::size_t told = 0;
  for (std::size_t at = 0; (at = lines.find("rankings are unsure", at)) != std::string::npos; ++at) ++told;
  CHECK_EQ(told, 1);
  CHECK(has(lines, fmt::format("warning: {} of 4 rankings are unsure, the first ", o.disputed.size())));
  // They are those of the students' metric: of one that nobody follows there is nothing to tell.
  options.place.folder = folder / "scratch";
  CHECK(run(read(replaced(grid, "\"scratch\", \"nearest\"", "\"scratch\""))).disputed.empty());
  CHECK_FALSE(has(lines, "unsure"));
  // Without draws nothing is known.
  options.place.folder = folder / "none";
  CHECK(run(read(replaced(grid, "replicates = 40", "replicates = 0"))).disputed.empty());
}
