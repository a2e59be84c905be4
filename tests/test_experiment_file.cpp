// What experiments do where something is wrong: a cell, a file, a metric.
#include <doctest/doctest.h>

#include <cmath>

#include "distill/grid/tables.hpp"
#include "tests/experiment_case.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE_FIXTURE(ExperimentFixture, "a cell that cannot be made is reported with its reason, and tried again") {
  // With one label a class PARC is undefined: only what looks at similarities fails.
  std::string text = replaced(all(), "per_class = 3", "per_class = 1");
  text = replaced(text, "seeds = [0, 1]", "seeds = [0]");
  const GridOutcome o = run(read(text));
  CHECK(o.finished);
  std::size_t looks = 0;
  for (const std::string& f : o.failed) looks += has(f, "weighted") || has(f, "transfer") || has(f, "probe");
  CHECK_EQ(looks, 2 * 4);
  CHECK_EQ(o.failed.size(), looks);
  const std::string page = read_text(folder / "run/results.md");
  CHECK(has(page, "## Without a result"));
  CHECK(has(page, "one, three, seed 0, weighted"));
  const auto sources = table_of(folder / "run/sources.csv");
  CHECK(sources[1][column(sources, "parc")].empty());
  CHECK_FALSE(sources[1][column(sources, "leep")].empty());
  CHECK_FALSE(sources[1][column(sources, "undefined")].empty());
  const GridOutcome again = run(read(text));
  CHECK_EQ(again.ran, looks);
  const GridOutcome other =
      run(read(replaced(text, "mapping = \"softmax\"", "mapping = \"softmax\"\nmetric = \"leep\"")));
  CHECK_EQ(other.ran, looks);
  CHECK_EQ(other.failed.size(), 0);
}

TEST_CASE_FIXTURE(ExperimentFixture,
                  "some images of a large set, the same for all; a set of its own test images is not cut") {
  std::string text = replaced(all(), "name = \"one\"\ndata = \"one\"",
                              "name = \"one\"\ndata = \"one\"\nimages = 40\nexclude = [\"table\"]");
  text = replaced(text, "methods = [\"scratch\", \"transfer\", \"fixmatch\", \"probe\", \"weighted\", \"oracle\"]",
                  "methods = [\"scratch\"]");
  const Grid e = read(text);
  CHECK(run(e).finished);
  const LabelManifest a = read_manifest(folder / "run/labels/one/three/seed0.json", {});
  for (const ListedImages& l : a.labelled)
    for (const std::int64_t i : l.images) CHECK(i < 40);
  CHECK_NE(a.data, read_manifest(folder / "run/labels/two/three/seed0.json", {}).data);
}

TEST_CASE_FIXTURE(ExperimentFixture, "what a file gets wrong is named with its place") {
  const auto says = [&](const std::string& from, const std::string& to, const char* what) {
    const std::string e = error(replaced(all(), from, to));
    CAPTURE(e);
    CHECK(has(e, what));
    CHECK(has(e, "grid.toml"));
  };
  CHECK_EQ(error(all()), "");
  says("steps = 5", "stpes = 5", "settings: stpes: this setting is unknown; did you mean 'steps'?");
  says("flip = \"none\"", "flop = \"none\"", "targets 'two': flop: this setting is unknown; did you mean 'flip'?");
  says("p = 1", "pp = 1", "variants 'weighted-p1': pp: this setting is unknown");
  says("title", "titel", "titel: this setting is unknown; did you mean 'title'?");
  says("per_class = 3", "per_clas = 3", "exactly one of per_class");
  says("validation = 2", "validation = 1.0", "validation: a share of 1 leaves too few images");
  says("\"fixmatch\"", "\"fixmatsh\"", "method 'fixmatsh' is unknown; did you mean 'fixmatch'?");
  says("exclude = [\"table\"]", "exclude = [\"tabel\"]", "no source is called 'tabel'; did you mean 'table'?");
  says("lambda = 0.8", "lambda = 1.8", "variants 'weighted-p1': lambda: '1.8' is no number from 0 to 1");
  says("steps = 5", "threshold = 2", "settings: threshold: '2' is no number from 0 to 1");
  says("lambda = 0.8", "precision = \"bf16\"", "precision: is one for the whole run: it belongs into [settings]");
  says("steps = 5", "steps = \"5\"", "is no whole number");
  says("steps = 5", "steps = 5.5", "is no whole number");
  says("seeds = [0, 1]", "seeds = [0, 0]", "there twice");
  says("seeds = [0, 1]", "seeds = [-1]", "-1 is none: seeds are whole numbers from 0 to");
  write_file_atomic(folder / "grid.json", std::string_view("{\"seeds\": [0, 9223372036854775808]}"));
  CHECK(has(error_of([&] { read_grid(folder / "grid.json"); }),
            "seeds: 9223372036854775808 is none: seeds are whole numbers from 0 to 9223372036854775807"));
  says("name = \"two\"", "name = \"one\"", "'one' is there twice");
  says("name = \"two\"", "name = \"ONE\"", "'one' and 'ONE' differ in case alone");
  says("name = \"weighted-p1\"", "name = \"Weighted\"", "'weighted' and 'Weighted' differ in case alone");
  says("name = \"two\"", "name = \"a/b\"", "letters, digits");
  says("student = \"resnet8\"", "student = \"resnet9\"", "did you mean 'resnet8'?");
  says("[[variants]]", "[variants]", "[[variants]]");
  says("title = \"toy grid\"", "title = toy", "line 2");
  const auto differ = [](const char* text) { return fmt::format("title = \"t\"\ndifferences = [\"{}\"]", text); };
  says("title = \"toy grid\"", differ("weighted - transfer"), "expected \"VARIANT minus VARIANT\"");
  says("title = \"toy grid\"", differ("scratch minus scratch"), "a variant minus itself");
  says("title = \"toy grid\"", differ("weighted minus transfr"), "'transfr'; did you mean 'transfer'?");
  CHECK(read(replaced(all(), "title = \"toy grid\"", differ("weighted-p1 minus scratch"))).differences ==
        std::vector<std::pair<std::string, std::string>>{{"weighted-p1", "scratch"}});
  CHECK_FALSE(read(all()).differences.has_value());
  const Grid none = read(replaced(all(), "title = \"toy grid\"", "title = \"t\"\ndifferences = []"));
  REQUIRE(none.differences.has_value());
  CHECK(none.differences->empty());
  CHECK(has(error(replaced(all(), "metrics = [\"parc\", ", "metrics = [\"park\", ")), "park"));
  CHECK(has(error(std::string(kGrid) + kSources), "has no [[targets]]"));
  CHECK(has(error(std::string(kGrid) + "[[targets]]\nname = \"one\"\ndata = \"one\"\n"), "needs sources"));
  // Paths start from the root, a student's start too.
  const Grid e = read(replaced(all(), "steps = 5", "steps = 5\ninit = \"three.safetensors\""));
  CHECK_EQ(e.settings_of(e.targets[0], &e.variants[0]).init,
           (folder / "three.safetensors").lexically_normal().string());
  // What is not there is found before anything runs.
  std::filesystem::remove(folder / "three.safetensors");
  CHECK(has(error_of([&] { run(read(all())); }), "three.safetensors"));
  CHECK_EQ(steps, 0);
}

TEST_CASE("Spearman: ties averaged, against Pearson's formula on ranks by hand") {
  CHECK_EQ(spearman({1, 2, 3, 4}, {10, 20, 30, 40}), doctest::Approx(1).epsilon(1e-12));
  CHECK_EQ(spearman({1, 2, 3, 4}, {4, 3, 2, 1}), doctest::Approx(-1).epsilon(1e-12));
  // Ranks 1 2.5 2.5 4 and 2 1 3 4: covariance 3, variances 4.5 and 5.
  CHECK_EQ(spearman({1, 2, 2, 3}, {20, 10, 30, 40}), doctest::Approx(3 / std::sqrt(4.5 * 5)).epsilon(1e-12));
  CHECK_EQ(spearman({1, NAN, 2, 3, 4}, {1, 9, 2, 3, NAN}), doctest::Approx(1).epsilon(1e-12));
  CHECK(std::isnan(spearman({1, 2}, {1, 2})));
  CHECK(std::isnan(spearman({1, 1, 1}, {1, 2, 3})));
}
