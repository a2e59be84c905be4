// The whole flow on toy tasks: what lies in the run folder, what is kept, what is made again, and what errors cost.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "engine/io/sha256.hpp"
#include "tests/pipeline_case.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("a run writes all its files, and the next one with resume keeps every student untouched") {
  Bench b;
  const TempFolder folder;
  b.options.cache = folder / "cache";
  const PipelineResult r = b.run(folder / "run");
  CHECK(r.finished);
  CHECK_EQ(b.steps, 2 * 5 * 6);
  for (const char* name : {"similarity.csv", "weights.csv", "results.csv", "errors.csv", "log.jsonl", "student.safetensors",
                           "student_best.safetensors", "students/scratch-seed0.safetensors",
                           "students/weighted-seed1.safetensors", "students/weighted-seed1_best.safetensors"})
    CHECK_MESSAGE(std::filesystem::is_regular_file(folder / "run" / name), name);
  CHECK_FALSE(std::filesystem::exists(folder / "run/checkpoints"));

  const auto results = table_of(folder / "run/results.csv");
  REQUIRE_EQ(results.size(), 11);
  std::set<std::string> cells;
  for (std::size_t i = 1; i < results.size(); ++i) {
    cells.insert(results[i][0] + results[i][1]);
    const double accuracy = std::stod(results[i][2]);
    CHECK(accuracy >= 0);
    CHECK(accuracy <= 1);
    CHECK(std::abs(accuracy * 24 - std::round(accuracy * 24)) <= 1e-9);  // 24 test images
  }
  CHECK_EQ(cells.size(), 10);
  CHECK_EQ(table_of(folder / "run/similarity.csv").size(), 1 + 2 * 2);
  const auto weights = table_of(folder / "run/weights.csv");
  REQUIRE_EQ(weights.size(), 1 + 2 * 2);
  CHECK_EQ(weights[0][0], "seed");
  CHECK(std::abs(std::stod(weights[1].back()) + std::stod(weights[2].back()) - 1) <= 1e-12);
  std::istringstream log(read_text(folder / "run/log.jsonl"));
  int logged = 0;
  for (std::string line; std::getline(log, line); ++logged) CHECK(nlohmann::json::parse(line).contains("validation"));
  CHECK_EQ(logged, 10 * 2);
  // The run's student: of the first seed, the best on the validation images.
  double best_share = 0;
  for (const MethodResult& m : r.report.methods) best_share = std::max(best_share, m.seeds.front().val_accuracy);
  const auto delivered = std::find_if(r.report.methods.begin(), r.report.methods.end(),
                                      [&](const MethodResult& m) { return m.name == r.report.delivered; });
  REQUIRE(delivered != r.report.methods.end());
  CHECK_EQ(delivered->seeds.front().val_accuracy, best_share);
  const auto errors = table_of(folder / "run/errors.csv");
  CHECK_EQ(std::ssize(errors) - 1, std::lround(24 * (1 - delivered->seeds.front().test_accuracy)));
  double surer = 1;
  for (std::size_t i = 1; i < errors.size(); ++i) {
    REQUIRE_EQ(errors[i].size(), 5);
    CHECK_NE(errors[i][2], errors[i][3]);  // its label, and what it was called
    const double p = std::stod(errors[i][4]);
    CHECK(p <= surer);
    surer = p;
  }
  const auto traits_of_it = std::find_if(methods().begin(), methods().end(),
                                         [&](const MethodTraits& t) { return r.report.delivered == t.title; });
  CHECK(read_file(folder / "run/student.safetensors") ==
        read_file(folder / (std::string("run/students/") + traits_of_it->name + "-seed0.safetensors")));

  // The page's numbers.
  CHECK_EQ(r.report.methods.size(), 5);
  CHECK_EQ(r.report.labelled, 12);
  CHECK_EQ(r.report.unlabelled, 30);
  REQUIRE_EQ(r.report.sources.size(), 2);
  CHECK(std::abs(r.report.sources[0].alpha + r.report.sources[1].alpha - 1) <= 1e-12);
  CHECK_EQ(r.report.curves.size(), 10);
  CHECK_FALSE(r.report.confusions.empty());
  // A saved student says what the table says.
  Model m = load_model(b.ctx, folder / "run/students/nearest-seed1.safetensors");
  CHECK_EQ(evaluate_model(b.ctx, m, toy_set(24, 4, 2)), m.info.test_accuracy);
  Model best = load_model(b.ctx, folder / "run/students/nearest-seed1_best.safetensors");
  CHECK_EQ(evaluate_model(b.ctx, best, toy_set(24, 4, 2)), best.info.test_accuracy);
  for (const auto& row : results)
    if (row[0] == "DistillNearest" && row[1] == "1") {
      CHECK_EQ(std::stod(row[2]), m.info.test_accuracy);
      CHECK_EQ(std::stod(row[3]), m.info.validation_accuracy);
      CHECK_EQ(std::stoll(row[4]), best.info.step);
      CHECK_EQ(std::stod(row[5]), best.info.validation_accuracy);
      CHECK_EQ(std::stod(row[6]), best.info.test_accuracy);
      CHECK(best.info.validation_accuracy >= m.info.validation_accuracy);
    }

  const auto before = files_of(folder.path());
  const auto time = std::filesystem::last_write_time(folder / "run/students/nearest-seed1.safetensors");
  b.options.resume = true;
  CHECK(b.run(folder / "run").finished);
  CHECK_EQ(b.steps, 0);
  CHECK(files_of(folder.path()) == before);
  CHECK(std::filesystem::last_write_time(folder / "run/students/nearest-seed1.safetensors") == time);

  SUBCASE("other settings: resume names what changed and touches nothing; anew every student is trained again") {
    b.settings.steps = 5;
    const std::string e = error_of([&] { b.run(folder / "run"); });
    CHECK(has(e, "students/scratch-seed0.json: was trained with other settings or data (steps was 6 and is 5)"));
    CHECK(files_of(folder.path()) == before);
    b.options.resume = false;
    CHECK(b.run(folder / "run").finished);
    CHECK_EQ(b.steps, 2 * 5 * 5);
    for (const auto& [name, content] : students_of(folder / "run"))
      CHECK_MESSAGE(before.at("run/" + name) != content, name);
  }
  SUBCASE("without resume: likewise, with the same bits") {
    b.options.resume = false;
    CHECK(b.run(folder / "run").finished);
    CHECK_EQ(b.steps, 60);
    std::map<std::string, Bytes> now = students_of(folder / "run");
    for (const auto& [name, content] : now) CHECK_MESSAGE(before.at("run/" + name) == content, name);
  }
  SUBCASE("a change concerns the students that depend on it, and no others") {
    b.settings.temperature = 3;
    b.methods = {Method::scratch, Method::fixmatch};
    CHECK(b.run(folder / "run").finished);
    CHECK_EQ(b.steps, 0);
    b.methods = {Method::scratch, Method::equal};
    CHECK(has(error_of([&] { b.run(folder / "run"); }), "equal-seed0.json: was trained with other settings"));
  }
  SUBCASE("a student whose record is damaged or gone is trained again, the others are kept") {
    const std::filesystem::path figures = folder / "run/students/equal-seed0.json";
    const std::string good = read_text(figures);
    std::string bad_curve = good;
    bad_curve.replace(bad_curve.find("\"curve\": ["), 10, "\"curve\": 3, \"other\": [");
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("[]"), good.substr(0, good.size() / 2), bad_curve}) {
      CAPTURE(text);
      write_file_atomic(figures, std::string_view(text));
      CHECK(b.run(folder / "run").finished);
      CHECK_EQ(b.steps, 6);
      CHECK(students_of(folder / "run") == [&] {
        std::map<std::string, Bytes> all;
        for (const auto& [name, content] : before)
          if (name.starts_with("run/") && name.ends_with(".safetensors")) all[name.substr(4)] = content;
        return all;
      }());
    }
  }
  SUBCASE("a record of an earlier format is named, not taken") {
    write_file_atomic(folder / "run/students/equal-seed0.json",
                      std::string_view(R"({"fingerprint":"toy","seconds":1,"images_per_second":1,"curve":[]})"));
    CHECK(has(error_of([&] { b.run(folder / "run"); }),
              "equal-seed0.json: was trained with other settings or data "
              "(an earlier akin made it)"));
    CHECK_EQ(b.steps, 0);
  }
  SUBCASE("a student whose best step is lost is trained again; without validation images there is none") {
    std::filesystem::remove(folder / "run/students/equal-seed0_best.safetensors");
    CHECK(b.run(folder / "run").finished);
    CHECK_EQ(b.steps, 6);
    CHECK(students_of(folder / "run").at("students/equal-seed0_best.safetensors") ==
          before.at("run/students/equal-seed0_best.safetensors"));
    b.validation = 0;
    b.options.resume = false;
    CHECK(b.run(folder / "run").finished);
    for (const auto& [name, content] : students_of(folder / "run")) CHECK_FALSE(has(name, "_best"));
    CHECK(table_of(folder / "run/results.csv")[1][4].empty());
  }
  SUBCASE("a damaged student is an error that names it") {
    write_file_atomic(folder / "run/students/equal-seed0.safetensors", std::string_view("broken"));
    CHECK(has(error_of([&] { b.run(folder / "run"); }), "equal-seed0.safetensors"));
  }
}

TEST_CASE("a report knows its students by their bytes, and draws no curve of a probe over training steps") {
  Bench b;
  const TempFolder folder;
  b.seeds = {0};
  b.methods = {Method::scratch, Method::probe};
  const ReportData report = b.run(folder / "run").report;
  REQUIRE_EQ(report.curves.size(), 1);
  CHECK_EQ(report.curves[0].method, "Scratch");
  REQUIRE_EQ(report.files.size(), 2);
  const auto digest = [&](const char* name) { return sha256_file(folder / "run/students" / name); };
  CHECK_EQ(report.files[0].last, digest("scratch-seed0.safetensors"));
  CHECK_EQ(report.files[0].best, digest("scratch-seed0_best.safetensors"));
  CHECK_EQ(report.files[1].last, digest("probe-seed0.safetensors"));
  const ReportData again = report_from_json(report_to_json(report), "report.json");
  REQUIRE_EQ(again.files.size(), 2);
  CHECK_EQ(again.files[1].method, report.files[1].method);
  CHECK_EQ(again.files[0].best, report.files[0].best);
}

TEST_CASE("stopped or killed anywhere and resumed: students and results of a run that never stopped") {
  Bench b;
  const TempFolder folder;
  b.methods = {Method::scratch, Method::fixmatch, Method::weighted};
  b.seeds = {3};
  CHECK(b.run(folder / "whole").finished);
  const auto students = students_of(folder / "whole");
  const auto results = results_of(folder / "whole");
  const auto counted = b.events.progress;
  for (const int at : {0, 3, 6, 9, 15}) {
    for (const bool kill : {false, true}) {
      CAPTURE(at);
      CAPTURE(kill);
      const std::filesystem::path run = folder / fmt::format("run{}{}", at, kill);
      b.options.resume = false;
      if (kill) {
        b.events.progress = [&](const std::string& l, std::int64_t done, std::int64_t total, const std::string& unit,
                                const std::string& note) {
          counted(l, done, total, unit, note);
          if (b.steps > at) throw Killed();
        };
        CHECK_THROWS_AS(b.run(run), Killed);
      } else {
        b.events.stop = [&] { return b.steps == at; };
        CHECK_FALSE(b.run(run).finished);
      }
      b.events.progress = counted;
      b.events.stop = {};
      CHECK_FALSE(std::filesystem::exists(run / "results.csv"));
      b.options.resume = true;
      CHECK(b.run(run).finished);
      // A checkpoint comes after every second of a student's six steps; what is done since then is done again.
      CHECK_EQ(b.steps, 18 - (kill ? at - at % 6 % 2 : at));
      CHECK(students_of(run) == students);
      CHECK(results_of(run) == results);
      CHECK(read_text(run / "log.jsonl") == read_text(folder / "whole/log.jsonl"));
      CHECK_FALSE(std::filesystem::exists(run / "checkpoints"));
    }
  }
}

TEST_CASE("checkpoints: of other settings they stop a run, of other methods they are kept, damaged ones are named") {
  Bench b;
  const TempFolder folder;
  b.seeds = {0};
  b.methods = {Method::weighted};
  b.events.stop = [&] { return b.steps == 4; };
  CHECK_FALSE(b.run(folder / "run").finished);
  const std::filesystem::path checkpoint = folder / "run/checkpoints/weighted-seed0.safetensors";
  const Bytes good = read_file(checkpoint);
  b.events.stop = {};
  b.options.resume = true;
  b.methods = {Method::scratch};
  CHECK(b.run(folder / "run").finished);
  CHECK(read_file(checkpoint) == good);
  b.methods = {Method::weighted};
  write_file_atomic(checkpoint, ByteView(good).first(good.size() / 2));
  CHECK(has(error_of([&] { b.run(folder / "run"); }), "checkpoints/weighted-seed0.safetensors"));
  write_file_atomic(checkpoint, ByteView(good));
  b.settings.lr = 0.05;
  CHECK(
      has(error_of([&] { b.run(folder / "run"); }),
          "checkpoints/weighted-seed0.safetensors: was trained with other settings or data (lr was 0.1 and is 0.05)"));
  CHECK(read_file(checkpoint) == good);
  b.settings.lr = 0.1;
  CHECK(b.run(folder / "run").finished);
  CHECK_EQ(b.steps, 2);
}

TEST_CASE("without sources in play none is needed; a table of another framework teaches too") {
  Bench b;
  const TempFolder folder;
  b.sources.clear();
  b.methods = {Method::scratch};
  b.seeds = {0};
  CHECK(b.run(folder / "scratch").finished);
  CHECK_FALSE(std::filesystem::exists(folder / "scratch/weights.csv"));
  b.methods = {Method::nearest};
  CHECK(has(error_of([&] { b.run(folder / "nearest"); }), "needs at least one source"));
  CHECK_EQ(b.steps, 0);
  Outputs table{Array(DType::f32, {60, 3}), Array(DType::f32, {60, 4})};
  for (std::size_t i = 0; i < 60; ++i) {
    table.logits.as<float>()[4 * i + i % 4] = 5;
    for (std::size_t d = 0; d < 3; ++d)
      table.features.as<float>()[3 * i + d] =
          static_cast<float>(i % 4 == d) + 0.01f * static_cast<float>(i * (d + 1) % 7);
  }
  b.add_table(table);
  CHECK(b.run(folder / "table").finished);
  b.settings.teacher_view = "same";
  b.methods = {Method::scratch, Method::nearest};
  CHECK(has(error_of([&] { b.run(folder / "same"); }), "--teacher-view clean"));
  CHECK_EQ(b.steps, 0);
}

TEST_CASE(
    "by auto, and where the draws do not agree, everything that a run leaves says which metric, why and who leads") {
  Bench b;
  const TempFolder folder;
  b.methods = {Method::scratch, Method::weighted};
  b.settings.metric = "auto";
  const std::filesystem::path twin = b.bank / "twin.safetensors";
  std::filesystem::copy_file(b.sources[0], twin);
  const PipelineResult alone = b.run(folder / "alone");
  const std::string why = "auto chose LEEP: 3 labels a class, fewer than 5, and every source has a head";
  CHECK(has(b.lines, why));
  CHECK_EQ(alone.report.metric, "LEEP");
  CHECK_EQ(alone.report.metric_scale, 1);
  REQUIRE_FALSE(alone.report.ranking_notes.empty());
  CHECK_EQ(alone.report.ranking_notes[0], why);
  const auto similarity = table_of(folder / "alone/similarity.csv");
  for (std::size_t i = 1; i < similarity.size(); ++i) CHECK_EQ(similarity[i][2], "leep");
  CHECK(has(read_text(folder / "alone/similarity.csv"), why));
  const Json record = Json::parse(read_text(folder / "alone/students/weighted-seed1.json"));
  CHECK_EQ(record["settings"]["metric"], "leep");
  CHECK_EQ(record["metric_why"], why);
  CHECK_FALSE(Json::parse(read_text(folder / "alone/students/scratch-seed1.json")).contains("metric_why"));
  // The same students as by the name, and nothing to make again.
  b.options.resume = true;
  b.settings.metric = "leep";
  CHECK(b.run(folder / "alone").finished);
  CHECK_EQ(b.steps, 0);
  b.settings.metric = "parc";
  CHECK(has(error_of([&] { b.run(folder / "alone"); }), "metric was \"leep\" and is \"parc\""));
  b.options.resume = false;

  // A source and its twin win half of the draws each: told once for both seeds.
  b.settings.metric = "auto";
  b.sources = {b.sources[0], twin.string()};
  const PipelineResult twins = b.run(folder / "twins");
  const std::string doubt =
      "2 of 2 rankings are unsure; seed 0: source4 is the most similar source by leep, but wins only 50 % of the "
      "bootstrap draws, twin 50 %";
  const std::size_t at = b.lines.find("warning: " + doubt);
  CHECK_NE(at, std::string::npos);
  CHECK_EQ(b.lines.find("bootstrap draws,", at + doubt.size()), std::string::npos);
  REQUIRE_EQ(twins.report.ranking_notes.size(), 2);
  CHECK(has(twins.report.ranking_notes[1], doubt));
}

TEST_CASE("a later seed without usable weights stops the run before a student of an earlier one trains") {
  Bench b;
  const TempFolder folder;
  // Features that tell apart the classes of seed 0's labelled images, and of no others.
  const Indices labelled = b.task(0).split.labelled;
  Outputs table{Array(DType::f32, {60, 4}), Array(DType::f32, {60, 4})};
  for (std::size_t i = 0; i < 60; ++i) {
    const bool in = std::binary_search(labelled.begin(), labelled.end(), static_cast<std::int64_t>(i));
    table.features.as<float>()[4 * i + (in ? i : i / 4) % 4] = 1;
    table.logits.as<float>()[4 * i + i % 4] = 3;
  }
  b.sources.clear();
  b.add_table(table);
  const std::vector<Source> opened = [&] {
    std::vector<Source> out;
    out.push_back(open_source(b.ctx, b.sources[0]));
    return out;
  }();
  b.settings.mapping = "clip0";
  const auto similarity_of = [&](std::uint64_t seed) {
    return rank_sources(b.ctx, b.task(seed), opened, rank_options_of(b.settings), {}, seed).rows[0].similarity.value;
  };
  REQUIRE(similarity_of(0) > 0.5);
  std::uint64_t bad = 1;
  while (bad < 100 && similarity_of(bad) > 0) ++bad;
  REQUIRE_LT(bad, 100);
  b.seeds = {0, bad};
  const std::string e = error_of([&] { b.run(folder / "run"); });
  CHECK(has(e, fmt::format("seed {}: all 1 sources have weight 0", bad)));
  CHECK_EQ(b.steps, 0);
  CHECK(students_of(folder / "run").empty());
  b.methods = {Method::scratch, Method::nearest};  // needs no weights
  CHECK(b.run(folder / "run").finished);
}

TEST_CASE("bad input and folders that cannot be written stop a run before it trains") {
  Bench b;
  const TempFolder folder;
  const auto error = [&](const std::filesystem::path& run) {
    const std::string e = error_of([&] { b.run(run); });
    CHECK_EQ(b.steps, 0);
    return e;
  };
  write_file_atomic(folder / "file", std::string_view("x"));
  CHECK(has(error(folder / "file"), "file"));
  CHECK(has(error(folder / "file/below"), "file"));
  make_folder(folder / "run");
  std::filesystem::create_directory(folder / "run/similarity.csv");
  CHECK(has(error(folder / "run"), "similarity.csv"));
  write_file_atomic(folder / "checkpoints-file", std::string_view("x"));
  make_folder(folder / "other");
  write_file_atomic(folder / "other/checkpoints", std::string_view("x"));
  CHECK(has(error(folder / "other"), "checkpoints"));
  b.settings.metric = "guess";
  CHECK(has(error(folder / "a"), "guess"));
  b.settings.metric = "parc";
  b.methods.clear();
  CHECK_THROWS_AS(b.run(folder / "b"), UsageError);
  b.methods = {Method::equal};
  b.seeds.clear();
  CHECK_THROWS_AS(b.run(folder / "b"), UsageError);
  b.seeds = {0};
  b.add_source("colour", toy_source(b.ctx, 3, 5, 3));
  const std::string e = error(folder / "c");
  CHECK(has(e, "colour"));
  CHECK(has(e, "--match-channels"));
  b.settings.match_channels = true;
  CHECK(b.run(folder / "c").finished);
}
