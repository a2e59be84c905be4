// What a grid's folder holds after its file has changed: no ranking, row or student of what was before.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "distill/grid/origin.hpp"
#include "engine/io/json.hpp"
#include "engine/io/sha256.hpp"
#include "tests/experiment_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// One target, one seed, no method that looks at sources.
std::string plain() {
  std::string text = replaced(ExperimentFixture::all(), "seeds = [0, 1]", "seeds = [0]");
  text = replaced(text, "\"scratch\", \"transfer\", \"fixmatch\", \"probe\", \"weighted\", \"oracle\"", "\"scratch\"");
  text = text.substr(0, text.find("[[variants]]")) + kSources + kTargets;
  return text.substr(0, text.rfind("[[targets]]"));
}

/// Column `name` of sources.csv by source.
std::map<std::string, std::string> measured(const std::filesystem::path& run, const std::string& name) {
  const auto table = table_of(run / "sources.csv");
  std::map<std::string, std::string> out;
  for (std::size_t i = 1; i < table.size(); ++i) out[table[i][column(table, "source")]] = table[i][column(table, name)];
  return out;
}

}  // namespace

TEST_CASE_FIXTURE(ExperimentFixture, "a damaged or exchanged ranking or record is told of and made anew") {
  const Grid grid = read(plain());
  REQUIRE(run(grid).finished);
  const auto results = results_of(folder / "run");
  const std::string sources = read_text(folder / "run/sources.csv");
  std::vector<std::filesystem::path> files;
  for (const char* part : {"rankings", "cells"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "run" / part))
      if (entry.is_regular_file()) files.push_back(entry.path());
  REQUIRE(files.size() >= 2);
  for (const std::filesystem::path& file : files) {
    CAPTURE(file.string());
    const Json good = Json::parse(read_text(file));
    std::vector<std::string> bad = {"", "[1,", "{}", "7", read_text(file).substr(1), std::string(100000, '[')};
    for (const char* key : {"sources", "metrics", "settings", "result", "curve", "format"})
      for (const Json& other : {Json(7), Json::object(), Json(nullptr), Json({1, "x"}), Json("text")}) {
        if (!good.contains(key)) continue;
        Json j = good;
        j[key] = other;
        bad.push_back(json_text(j));
        seal(j);  // even with a digest that fits
        bad.push_back(json_text(j));
      }
    for (const std::string& text : bad) {
      CAPTURE(text.substr(0, 200));
      write_file_atomic(file, std::string_view(text));
      options.redo_stale = true;  // a record without a digest passes for an earlier akin's
      CHECK(run(grid).finished);
      CHECK(results_of(folder / "run") == results);
      CHECK_EQ(read_text(folder / "run/sources.csv"), sources);
    }
  }
  std::string text = read_text(files.front());
  text[text.find("0.") + 2] ^= 1;
  write_file_atomic(files.front(), std::string_view(text));
  CHECK(run(grid).finished);
  CHECK_MESSAGE(has(lines, files.front().string()), lines);
}

TEST_CASE_FIXTURE(ExperimentFixture, "rankings are those of the file, though every cell is finished") {
  REQUIRE(run(read(plain())).finished);
  const auto before = measured(folder / "run", "leep");
  CHECK_EQ(before.size(), 3);
  const auto again = [&](const std::string& text) {
    const GridOutcome o = run(read(text));
    CHECK(o.finished);
    CHECK_EQ(o.ran, 0);  // scratch does not look at them
    const auto found = measured(folder / "run", "leep");
    const std::filesystem::path kept = options.place.folder;
    options.place.folder = folder / "fresh";
    std::filesystem::remove_all(options.place.folder);
    CHECK(run(read(text)).finished);
    CHECK(measured(folder / "fresh", "leep") == found);
    options.place.folder = kept;
    return found;
  };
  CHECK(again(replaced(plain(), "flip = \"h\"", "flip = \"h\"\nprobe = 8")) != before);
  CHECK(again(plain()) == before);
  CHECK_EQ(again(replaced(plain(), "data = \"one\"", "data = \"one\"\nexclude = [\"three\"]")).size(), 2);
  // A source with another content.
  std::filesystem::copy_file(folder / "three.safetensors", folder / "four.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  const auto copied = again(plain());
  CHECK_EQ(copied.at("four"), copied.at("three"));
}

TEST_CASE_FIXTURE(ExperimentFixture, "intervals stand in a ranking where replicates are drawn, around the values") {
  const std::filesystem::path file = folder / "run/rankings/one/three/seed0.json";
  const auto ranking = [&](const std::string& text) {
    CHECK(run(read(text)).finished);
    return nlohmann::json::parse(read_text(file));
  };
  const Json without = ranking(plain());
  for (const auto& source : without["sources"]) CHECK_FALSE(source.contains("intervals"));
  const auto drawn = ranking(replaced(plain(), "flip = \"h\"", "flip = \"h\"\nreplicates = 20"));
  CHECK_EQ(drawn["settings"]["replicates"], 20);
  REQUIRE_EQ(drawn["sources"].size(), 3);
  for (const auto& source : drawn["sources"]) {
    CAPTURE(source.dump());
    REQUIRE_EQ(source["intervals"].size(), 3);
    for (const char* metric : {"parc", "cka", "leep"}) {
      const double low = source["intervals"][metric][0], high = source["intervals"][metric][1];
      CHECK(low < high);
      CHECK(low <= source["values"][metric].get<double>());
      CHECK(high >= source["values"][metric].get<double>());
    }
  }
  // One image a class: PARC has no value, and so no interval.
  const auto undefined = ranking(replaced(plain(), "flip = \"h\"", "flip = \"h\"\nreplicates = 5\nprobe = 4"));
  for (const auto& source : undefined["sources"]) {
    CHECK(source["values"]["parc"].is_null());
    CHECK(source["intervals"]["parc"][0].is_null());
    CHECK(source["intervals"]["parc"][1].is_null());
  }
}

TEST_CASE_FIXTURE(ExperimentFixture,
                  "a part that is run again with other settings does not share a table with the rest") {
  const std::string two = replaced(plain(), "seeds = [0]", "seeds = [0, 1]");
  REQUIRE(run(read(two)).finished);
  CHECK_EQ(table_of(folder / "run/results.csv").size(), 3);
  const Grid changed = read(replaced(two, "steps = 5", "steps = 6"));
  options.redo_stale = true;
  add_filter(options.only, "seed=1", changed);
  CHECK_EQ(run(changed).ran, 1);
  const auto rows = table_of(folder / "run/results.csv");
  REQUIRE_EQ(rows.size(), 2);
  CHECK_EQ(rows[1][column(rows, "seed")], "1");
  const std::string page = read_text(folder / "run/results.md");
  CHECK(has(
      page,
      "## Made with other settings or data, and in no table\n\n- one, three, seed 0, scratch: steps was 5 and is 6"));
  options.only = {};
  CHECK_EQ(run(changed).ran, 1);
  CHECK_EQ(table_of(folder / "run/results.csv").size(), 3);
  CHECK_FALSE(has(read_text(folder / "run/results.md"), "other settings"));
}

TEST_CASE_FIXTURE(ExperimentFixture, "tables hold no cell, ranking or source of other data, though --only leaves it") {
  const std::string text = replaced(
      all(), "\"scratch\", \"transfer\", \"fixmatch\", \"probe\", \"weighted\", \"oracle\"", "\"scratch\", \"oracle\"");
  const std::string two = text.substr(0, text.find("[[variants]]")) + kSources + kTargets;
  REQUIRE(run(read(two)).finished);
  const auto seeds = [&](const char* file, const std::string& target, const std::string& variant = {}) {
    const auto rows = table_of(folder / "run" / file);
    std::string out;
    for (std::size_t i = 1; i < rows.size(); ++i)
      if (rows[i][column(rows, "target")] == target && (variant.empty() || rows[i][column(rows, "variant")] == variant))
        out += rows[i][column(rows, "seed")];
    return out;
  };
  const auto part = [&](const std::string& grid_text, const std::string& only) {
    const Grid grid = read(grid_text);
    options.redo_stale = true;
    add_filter(options.only, only, grid);
    CHECK(run(grid).finished);
    options.only = {};
    return read_text(folder / "run/results.md");
  };
  const auto restored = [&](const std::string& grid_text = {}) {
    options.redo_stale = true;
    CHECK(run(read(grid_text.empty() ? two : grid_text)).finished);
    const bool clean = !has(read_text(folder / "run/results.md"), "in no table") && !has(lines, "in no table");
    return clean && seeds("results.csv", "one", "scratch") == "01" && seeds("results.csv", "one", "oracle") == "01" &&
           seeds("sources.csv", "one") == "000111" && seeds("sources.csv", "two") == "0011";
  };
  CHECK(restored());

  // Other images of a target that is opened: the newest command's are taken.
  save_images(toy_set(60, 4, 11), Split::train, folder / "one");
  std::string page = part(two, "seed=1");
  CHECK_EQ(seeds("results.csv", "one", "scratch"), "1");
  CHECK_EQ(seeds("sources.csv", "one"), "111");
  CHECK_EQ(seeds("results.csv", "two", "scratch"), "01");
  CHECK(has(page, "- one, three, seed 0, scratch: images: other content"));
  CHECK(has(page, "- one, three, seed 0, similarities: images: other content"));
  CHECK_MESSAGE(has(lines, "warning: 5 cells and rankings were made with other settings or data"), lines);
  // The same seen by a command that does not open this target: its pieces disagree, and none is right.
  page = part(two, "target=two");
  CHECK_EQ(seeds("results.csv", "one"), "");
  CHECK_EQ(seeds("sources.csv", "one"), "");
  CHECK_EQ(seeds("results.csv", "two", "scratch"), "01");
  CHECK_MESSAGE(has(page, "- one: 10 cells and rankings were not made of the same images of one (run"), page);
  CHECK(restored());

  // Other test images alone concern no ranking.
  save_images(toy_set(24, 4, 12), Split::test, folder / "one");
  page = part(two, "seed=1");
  CHECK_EQ(seeds("results.csv", "one", "scratch"), "1");
  CHECK_EQ(seeds("sources.csv", "one"), "000111");
  CHECK(restored());

  // Another source: what did not look at it stays, an oracle that lacks one of its students is none.
  std::filesystem::copy_file(folder / "three.safetensors", folder / "four.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  page = part(two, "seed=1");
  CHECK_EQ(seeds("results.csv", "one", "scratch"), "01");
  CHECK_EQ(seeds("results.csv", "one", "oracle"), "1");
  CHECK_EQ(seeds("sources.csv", "one"), "111");
  CHECK(has(page, "- one, three, seed 0, oracle (four): sources.four: other content"));
  // Of a target that is not opened too, for it is the same file.
  CHECK(restored());
  write_table(60);
  const TrainedClassifier again = toy_source(ctx, 4, 9);
  save_model(folder / "four.safetensors", *again.model.network, again.model.info);
  page = part(two, "target=two");
  CHECK_EQ(seeds("results.csv", "one", "oracle"), "");
  CHECK_EQ(seeds("results.csv", "one", "scratch"), "01");
  CHECK_EQ(seeds("sources.csv", "one"), "");
  CHECK_MESSAGE(has(page, "- one: 4 cells and rankings were not made of the same sources.four (run"), page);
  CHECK(restored());

  // Another setting of the rankings.
  const std::string probed = replaced(two, "flip = \"h\"", "flip = \"h\"\nprobe = 8");
  page = part(probed, "seed=1");
  CHECK_EQ(seeds("sources.csv", "one"), "111");
  CHECK(has(page, "- one, three, seed 0, similarities: probe was 500 and is 8"));
  page = part(probed, "target=two");
  CHECK_EQ(seeds("sources.csv", "one"), "111");
  CHECK(restored());
}

TEST_CASE_FIXTURE(ExperimentFixture,
                  "a record or ranking that was copied from another target is not taken for its own") {
  namespace fs = std::filesystem;
  const std::string text = plain() + "[[targets]]\nname = \"two\"\ndata = \"two\"\nexclude = [\"table\"]\n";
  REQUIRE(run(read(text)).finished);
  const auto results = results_of(folder / "run");
  const std::string sources = read_text(folder / "run/sources.csv");
  for (const char* part : {"cells", "rankings"})
    fs::copy(folder / "run" / part / "one", folder / "run" / part / "two",
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  const Grid grid = read(text);
  add_filter(options.only, "target=one", grid);
  CHECK(run(grid).finished);
  CHECK_FALSE(has(read_text(folder / "run/results.csv"), "two"));
  CHECK_FALSE(has(read_text(folder / "run/sources.csv"), "two"));
  for (const char* what : {"scratch", "similarities"})
    CHECK(has(read_text(folder / "run/results.md"),
              fmt::format("- two, three, seed 0, {}: its file is damaged, a", what)));
  CHECK_MESSAGE(has(lines, "warning: 2 cells and rankings were made"), lines);
  options.only = {};
  CHECK_EQ(run(grid).ran, 1);
  CHECK_MESSAGE(has(lines, "is the record of another student (one, three, seed 0, scratch)"), lines);
  CHECK_MESSAGE(has(lines, "is the ranking of another target (\"one\")"), lines);
  CHECK(results_of(folder / "run") == results);
  CHECK_EQ(read_text(folder / "run/sources.csv"), sources);
  CHECK_FALSE(has(read_text(folder / "run/results.md"), "in no table"));
}

TEST_CASE_FIXTURE(ExperimentFixture, "what is said of a file that does not describe itself is part of the source") {
  SafeTensors weights = read_safetensors(folder / "four.safetensors");
  weights.metadata.clear();
  write_safetensors(folder / "bare.safetensors", weights);
  const auto text = [&](const std::string& description) {
    std::string t =
        replaced(plain(), "[[targets]]",
                 "[[sources]]\nname = \"bare\"\npath = \"bare.safetensors\"\n" + description + "\n[[targets]]");
    return replaced(t, "methods = [\"scratch\"]", "methods = [\"scratch\", \"random\"]");
  };
  const std::string dark = text("arch = \"resnet8\"\nmean = [0.2]\nstd = [0.2]");
  REQUIRE(run(read(dark)).finished);
  const std::string bright = text("arch = \"resnet8\"\nmean = [0.7]\nstd = [0.2]");
  std::size_t stale = 0;
  for (const auto& c : survey_grid(ctx, read(bright), options).cells)
    stale += has(c.changed, "sources.bare: other content");
  CHECK_EQ(stale, 1);
  const auto before = measured(folder / "run", "cka");
  options.redo_stale = true;
  REQUIRE(run(read(bright)).finished);
  CHECK_NE(measured(folder / "run", "cka").at("bare"), before.at("bare"));
  CHECK(has(error_of([&] { run(read(text("arch = \"resnet14\""))); }), "bare.safetensors"));
  // What the file knows itself is not overruled in silence.
  const std::string wrong =
      replaced(plain(), "path = \"four.safetensors\"", "path = \"four.safetensors\"\narch = \"resnet14\"");
  CHECK(has(error_of([&] { run(read(wrong)); }), "four.safetensors: says itself that it is a resnet8 of width 4"));
  const std::string table = replaced(plain(), "{target}.safetensors\"", "{target}.safetensors\"\narch = \"resnet8\"");
  CHECK(has(error_of([&] { run(read(table)); }), "is a table of a model's outputs; leave out arch"));
  options.redo_stale = false;
}

TEST_CASE_FIXTURE(ExperimentFixture, "a student that was kept has the card of its own cell, or none") {
  const std::filesystem::path student = folder / "run/students/one/three/scratch-seed0.safetensors";
  const auto origin = [](const std::filesystem::path& file) { return find_origin(file, sha256_file(file)); };
  options.keep_students = true;
  const std::string two = replaced(replaced(plain(), "seeds = [0]", "seeds = [0, 1]"), "methods = [\"scratch\"]",
                                   "methods = [\"scratch\", \"fixmatch\"]");
  REQUIRE(run(read(two)).finished);
  StudentOrigin o = origin(student);
  CHECK(o.known);
  CHECK_EQ(o.method, "scratch");
  CHECK_EQ(o.left_out, 0);
  REQUIRE_EQ(o.report.methods.size(), 2);
  for (const MethodResult& m : o.report.methods) CHECK_EQ(m.seeds.size(), 2);
  // The name does not count.
  std::filesystem::copy_file(student, folder / "run/students/one/three/other.safetensors");
  CHECK_EQ(origin(folder / "run/students/one/three/other.safetensors").seed, "0");
  std::filesystem::copy_file(folder / "four.safetensors", folder / "run/students/one/three/mine.safetensors");
  CHECK_FALSE(origin(folder / "run/students/one/three/mine.safetensors").known);

  // Seeds that were made with other settings are no spread of this one.
  const Grid longer = read(replaced(two, "steps = 5", "steps = 6"));
  options.redo_stale = true;
  add_filter(options.only, "seed=1", longer);
  REQUIRE(run(longer).finished);
  for (const char* seed : {"0", "1"}) {
    o = origin(folder / fmt::format("run/students/one/three/scratch-seed{}.safetensors", seed));
    CHECK_EQ(o.left_out, 2);
    REQUIRE_EQ(o.report.methods.size(), 2);
    for (const MethodResult& m : o.report.methods) {
      REQUIRE_EQ(m.seeds.size(), 1);
      CHECK_EQ(std::to_string(m.seeds[0].seed), seed);
    }
  }
  // A method of other settings stands beside it with what they are.
  options.only = {};
  add_filter(options.only, "variant=scratch", longer);
  REQUIRE(run(longer).finished);
  o = origin(student);
  REQUIRE_EQ(o.report.methods.size(), 2);
  CHECK_EQ(o.report.methods[0].name, "scratch");
  CHECK_EQ(o.report.methods[0].seeds.size(), 2);
  CHECK_EQ(o.report.methods[1].name, "fixmatch, with steps 5");
  CHECK_EQ(o.report.methods[1].seeds.size(), 1);
  options.only = {};

  std::filesystem::copy_file(student, folder / "kept.safetensors");
  options.keep_students = false;
  REQUIRE(run(read(replaced(two, "steps = 5", "steps = 7"))).finished);
  CHECK_FALSE(std::filesystem::exists(student));
  CHECK_FALSE(std::filesystem::exists(folder / "run/students/one/three/scratch-seed0_best.safetensors"));
  std::filesystem::copy_file(folder / "kept.safetensors", student);
  CHECK_FALSE(origin(student).known);
}

TEST_CASE_FIXTURE(ExperimentFixture, "finished cells are run again where their students are to be kept and were not") {
  const Grid grid = read(plain());
  REQUIRE(run(grid).finished);
  const auto results = results_of(folder / "run");
  options.keep_students = true;
  const GridSurvey survey = survey_grid(ctx, grid, options);
  for (const GridSurvey::Cell& c : survey.cells) {
    CHECK(c.state == GridSurvey::Cell::State::pending);
    CHECK_EQ(c.changed, "its student was not kept");
  }
  const GridOutcome again = run(grid);
  CHECK_EQ(again.ran, again.cells);
  CHECK(has(lines, fmt::format("{} finished cells are run again to keep their students", again.cells)));
  CHECK(results_of(folder / "run") == results);
  const std::filesystem::path student = folder / "run/students/one/three/scratch-seed0.safetensors";
  const Bytes kept = read_file(student);
  CHECK_EQ(run(grid).ran, 0);
  std::filesystem::remove(student);
  CHECK_EQ(run(grid).ran, 1);
  CHECK(read_file(student) == kept);
  std::filesystem::copy_file(folder / "run/students/one/three/scratch-seed0_best.safetensors", student,
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(has(error_of([&] { run(grid); }), "scratch-seed0.safetensors: is not the file that was written with"));
  options.keep_students = false;  // nobody asks for it
  CHECK_EQ(run(grid).ran, 0);
}

TEST_CASE_FIXTURE(ExperimentFixture,
                  "sizes, channels and empty files of an experiment are taken as on the command line") {
  const auto with = [&](const std::string& line) {
    return error(replaced(plain(), "data = \"one\"", "data = \"one\"\n" + line));
  };
  CHECK_EQ(with("size = \"4096x1\""), "");
  for (const char* bad : {"4097x12", "12x99999", "0x12", "12", "12x", "12x12x", "12x12 ", "99999999999x1"})
    CHECK(has(with(fmt::format("size = \"{}\"", bad)), "targets 'one': size: "));
  CHECK(has(with("channels = 2"), "channels: 2: 1 (grey)"));
  CHECK(has(with("channels = 4294967297"), "channels: 4294967297: 1 (grey)"));
  // "" is no file, whatever the root.
  const Grid e = read(replaced(plain(), "flip = \"h\"", "flip = \"h\"\ninit = \"four.safetensors\"") +
                      "[[variants]]\nname = \"bare\"\nmethod = \"scratch\"\ninit = \"\"\n");
  CHECK_EQ(e.settings_of(e.targets[0], &e.variants[1]).init, "");
  CHECK_NE(e.settings_of(e.targets[0], &e.variants[0]).init, "");
}
