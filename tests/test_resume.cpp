// What a run of distill may take from an earlier one in its folder, and what is left of that one.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "engine/io/json.hpp"
#include "tests/pipeline_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// A finished run of the methods with seed 0; then, changed as a test wants it, resumed.
struct Resumed : Bench {
  TempFolder folder;
  std::filesystem::path place = folder / "run";

  Resumed() { seeds = {0}; }
  void first(std::vector<Method> of) {
    methods = std::move(of);
    options.resume = false;
    CHECK(run(place).finished);
    options.resume = true;
  }
  /// What a resumed run says instead of going on.
  std::string refusal() {
    return error_of([&] { run(place); });
  }
  /// With a sound digest, as a program would write it.
  void edit(const std::string& record, const std::function<void(Json&)>& change) const {
    std::optional<Json> j = read_sealed(place / "students" / record);
    REQUIRE(j.has_value());
    change(*j);
    write_sealed(place / "students" / record, *j);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Resumed, "student = init: a student depends on that model wherever its network comes from") {
  add_source("wide", [&] {
    ClassifierOptions o;
    o.architecture = toy_net(6);
    o.epochs = 1;
    return train_classifier(ctx, toy_set(40, 4, 9), o);
  }());
  settings.student = "init";
  settings.student_width = 0;
  settings.init = sources[0];
  first({Method::transfer});
  settings.init = sources[2];  // another network, which the transfer of before has not
  CHECK(has(refusal(), "transfer-seed0.json: was trained with other settings or data (init: other content"));
}

TEST_CASE_FIXTURE(Resumed, "the order of sources counts where several teach at once, and says so") {
  settings.mapping = "rank";
  first({Method::equal, Method::nearest, Method::random, Method::oracle});
  const auto before = students_of(place);
  std::reverse(sources.begin(), sources.end());
  methods = {Method::nearest, Method::random, Method::oracle};
  CHECK(run(place).finished);
  CHECK_EQ(steps, 0);
  methods = {Method::equal};
  CHECK(has(refusal(),
            "equal-seed0.json: was trained with other settings or data "
            "(sources were in the order source4, source3)"));
  // The reason is real, and so it is for what was stopped.
  options.resume = false;
  CHECK(run(folder / "other").finished);
  CHECK(students_of(folder / "other").at("students/equal-seed0.safetensors") !=
        before.at("students/equal-seed0.safetensors"));
  methods = {Method::equal, Method::oracle};
  for (const Method m : methods) {
    methods = {m};
    options.resume = false;
    events.stop = [&] { return steps == 3; };
    CHECK_FALSE(run(folder / "stopped").finished);
    events.stop = {};
    options.resume = true;
    std::reverse(sources.begin(), sources.end());
    const std::string e = error_of([&] { run(folder / "stopped"); });
    CHECK_EQ(has(e, "equal-seed0.safetensors: was trained with other settings or data (sources were in the order"),
             m == Method::equal);
    CHECK_EQ(e.empty(), m == Method::oracle);
  }
}

TEST_CASE_FIXTURE(Resumed, "a source that is named is all that transfer depends on") {
  settings.transfer = "source4";
  first({Method::transfer, Method::fixmatch_transfer});
  add_source("more", toy_source(ctx, 3, 8));
  CHECK(run(place).finished);
  CHECK_EQ(steps, 0);
  save_model(sources[1], *toy_source(ctx, 4, 11).model.network, load_model(ctx, sources[0]).info);
  CHECK(run(place).finished);
  CHECK_EQ(steps, 0);
  save_model(sources[0], *toy_source(ctx, 4, 11).model.network, load_model(ctx, sources[0]).info);
  CHECK(has(refusal(), "sources.source4: other content"));
}

TEST_CASE_FIXTURE(Resumed, "begun anew and stopped: what an earlier run made is not gone on with, nor in its way") {
  first({Method::scratch, Method::fixmatch});
  settings.lr = 0.05;
  options.resume = false;
  events.stop = [&] { return steps == 3; };
  CHECK_FALSE(run(place).finished);
  events.stop = {};
  options.resume = true;
  CHECK(run(place).finished);
  CHECK_EQ(steps, 2 * 6 - 3);
  options.resume = false;
  CHECK(run(folder / "whole").finished);
  CHECK(students_of(place) == students_of(folder / "whole"));
}

TEST_CASE_FIXTURE(Resumed, "tables that a run does not write are not left from an earlier one") {
  first({Method::weighted, Method::oracle});
  const std::vector<const char*> tables = {"similarity.csv", "weights.csv", "oracle.csv"};
  for (const char* table : tables) CHECK(std::filesystem::exists(place / table));
  methods = {Method::weighted};
  CHECK(run(place).finished);
  CHECK_FALSE(std::filesystem::exists(place / "oracle.csv"));
  CHECK(std::filesystem::exists(place / "similarity.csv"));
  methods = {Method::scratch};
  CHECK(run(place).finished);
  for (const char* table : tables) CHECK_FALSE(std::filesystem::exists(place / table));
  methods = {Method::oracle, Method::weighted};
  CHECK(run(place).finished);
  CHECK_EQ(steps, 0);
  CHECK_EQ(table_of(place / "oracle.csv").size(), 3);
  CHECK_EQ(table_of(place / "results.csv").size(), 3);
}

TEST_CASE_FIXTURE(Resumed, "a record that is another student's, or says what cannot be, is made again") {
  first({Method::scratch});
  const auto good = results_of(place);
  const std::vector<std::function<void(Json&)>> changes = {
      [](auto& j) { j["seed"] = 5; }, [](auto& j) { j["variant"] = "fixmatch"; },
      [](auto& j) { j["teacher"] = "source4"; }, [](auto& j) { j["result"]["test_last"] = 7; },
      [](auto& j) { j["settings"] = "none"; }};
  for (const auto& change : changes) {
    edit("scratch-seed0.json", change);
    CHECK(run(place).finished);
    CHECK_EQ(steps, 6);
    CHECK(results_of(place) == good);
  }
}

TEST_CASE_FIXTURE(Resumed, "a checkpoint that was left behind by a finished student goes") {
  methods = {Method::scratch};
  events.stop = [&] { return steps == 4; };
  CHECK_FALSE(run(place).finished);
  const std::filesystem::path checkpoint = place / "checkpoints/scratch-seed0.safetensors";
  const Bytes left = read_file(checkpoint);
  events.stop = {};
  options.resume = true;
  CHECK(run(place).finished);
  make_folder(place / "checkpoints");
  write_file_atomic(checkpoint, ByteView(left));
  CHECK(run(place).finished);
  CHECK_EQ(steps, 0);
  CHECK_FALSE(std::filesystem::exists(place / "checkpoints"));
}

TEST_CASE_FIXTURE(Resumed, "two sources whose students would share a file are refused before anything is made") {
  add_source("source4_best", toy_source(ctx, 4, 12));
  methods = {Method::oracle};
  CHECK(has(refusal(), "sources source4 and source4_best"));
  CHECK_FALSE(std::filesystem::exists(place));
  validation = 0;  // no best step, no second file
  CHECK(run(place).finished);
}

TEST_CASE_FIXTURE(Resumed, "a source whose students' files could not be named is refused before anything is made") {
  const std::string name(228, 's');
  add_source(name, toy_source(ctx, 4, 12));
  methods = {Method::oracle};
  // oracle-seed0-NAME_best.safetensors
  CHECK_MESSAGE(has(refusal(), "a name in it has 258 bytes, 255 at most; give the source " + name), refusal());
  CHECK_FALSE(std::filesystem::exists(place));
  sources.pop_back();
  const std::string fits(225, 's');  // 255 bytes
  add_source(fits, toy_source(ctx, 4, 12));
  CHECK(run(place).finished);
  CHECK(std::filesystem::exists(place / ("students/oracle-seed0-" + fits + "_best.safetensors")));
}

TEST_CASE_FIXTURE(Resumed, "a similarity that no method needs may be undefined: told, and an empty cell") {
  settings.probe = 4;  // one image a class: no two are alike, and PARC has nothing to compare
  settings.transfer = "source4";
  first({Method::scratch, Method::transfer, Method::equal, Method::oracle});
  CHECK_MESSAGE(has(lines, "warning: source source4: PARC is undefined"), lines);
  CHECK(has(lines, "no student of this run depends on it"));
  CHECK_FALSE(has(lines, "nearest source"));
  const auto table = table_of(place / "similarity.csv");
  REQUIRE_EQ(table.size(), 3);
  CHECK_EQ(table[1][3], "");
  const auto weights = table_of(place / "weights.csv");
  CHECK_EQ(weights[1][2], "");     // raw
  CHECK_EQ(weights[1][4], "0.5");  // DistillEqual's, which is shown
  methods = {Method::scratch};
  CHECK(run(place).finished);
  methods = {Method::transfer};
  CHECK(run(place).finished);
  CHECK_EQ(table_of(place / "weights.csv")[1].size(), 4);  // no weights: the last cell is empty
  for (const Method m : {Method::nearest, Method::probe, Method::weighted_transfer}) {
    methods = {Method::scratch, m};
    CHECK_MESSAGE(has(refusal(), "seed 0: source source4: PARC is undefined"), refusal());
  }
  settings.transfer.clear();  // then the most similar one is asked for
  methods = {Method::fixmatch_transfer};
  CHECK(has(refusal(), "PARC is undefined"));
}
