// The real program: experiments, all methods of distill, and splits that travel between runs.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include <algorithm>

#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

TEST_CASE("cli: an experiment from its list of cells to its tables, interrupted on the way") {
  const TempFolder folder;
  make_bank(folder);
  const std::string file = (folder / "bars.toml").string(), run = (folder / "run").string();
  const std::string text = R"(
title = "bars"
methods = ["scratch", "nearest", "oracle"]
[settings]
student_width = 4
steps = 6
batch = 8
unlabelled_batch = 8
[[budgets]]
name = "four"
per_class = 4
unlabelled = 60
)" + std::string(kBankOfBars);
  write_file_atomic(file, std::string_view(text));
  const Arguments base{"experiment", file, "--out", run, "--threads", "1", "--quiet"};
  const auto with = [&](const Arguments& more) {
    Arguments a = base;
    a.insert(a.end(), more.begin(), more.end());
    return a;
  };
  const auto listed = json_of(akin_(folder, with({"--dry-run", "--json"})));
  REQUIRE_EQ(listed["cells"].size(), 4);
  CHECK_EQ(listed["finished"], 0);
  CHECK_FALSE(fs::exists(run));
  check_fails(folder, with({"--stop-after", "9"}), 1, "the same command goes on");
  const auto half = json_of(akin_(folder, with({"--dry-run", "--json"})));
  CHECK_EQ(half["finished"], 1);
  const Finished done = akin_(folder, base);
  CAPTURE(done.err);
  REQUIRE_EQ(done.code, 0);
  CHECK(has(done.out, "# bars"));
  CHECK(has(done.out, "oracle (analysis only)"));
  for (const char* name :
       {"results.csv", "sources.csv", "results.md", "experiment.toml", "labels/bars/four/seed0.json"})
    CHECK_MESSAGE(fs::exists(folder / "run" / name), name);
  const auto again = json_of(akin_(folder, with({"--json"})));
  CHECK_EQ(again["ran"], 0);
  CHECK_EQ(again["cells"], 4);
  const Finished table = akin_(folder, with({"--dry-run"}));
  CHECK(has(table.out, "4 cells, 4 finished"));

  write_file_atomic(file, std::string_view(text + "flip = \"h\"\n"));  // of the target
  check_fails(folder, base, 1, "4 of 4 cells were made with other settings or data");
  check_fails(folder, with({"--only", "method=scrtach"}), 2, "did you mean");
  write_file_atomic(file, std::string_view(text + "flop = true\n"));
  check_fails(folder, base, 2, "flop: this setting is unknown; did you mean 'flip'?");
  check_fails(folder, {"experiment", (folder / "none.toml").string()}, 1, "none.toml");
  CHECK(has(akin_(folder, {"experiment", "--help"}).out, "akin experiment configs/mini/example.toml"));
}

TEST_CASE("cli: a student that an experiment kept is exported with the figures of its cells") {
  const TempFolder folder;
  make_bank(folder);
  write_file_atomic(folder / "bars.toml", std::string_view(R"(
seeds = [3, 4]
methods = ["scratch", "nearest", "oracle"]
[settings]
student_width = 4
steps = 2
batch = 8
unlabelled_batch = 8
[[budgets]]
name = "two"
per_class = 2
[[variants]]
name = "by-leep"
method = "nearest"
metric = "leep"
)" + std::string(kBankOfBars)));
  const std::string run = (folder / "run").string();
  const Finished done = akin_(folder, {"experiment", (folder / "bars.toml").string(), "--out", run, "--threads", "1",
                                       "--keep-students", "--quiet"});
  CAPTURE(done.err);
  REQUIRE_EQ(done.code, 0);
  const auto card_of = [&](const char* student) {
    const Finished made = akin_(folder, {"export", run + "/students/bars/two/" + student + ".safetensors", "--out",
                                         (folder / student).string(), "--format", "onnx"});
    CAPTURE(made.err);
    REQUIRE_EQ(made.code, 0);
    return read_text(folder / student / (std::string(student) + ".md"));
  };
  const std::string taught = card_of("nearest-seed4"), alone = card_of("scratch-seed3");
  CAPTURE(taught);
  const auto cell = nlohmann::json::parse(read_text(folder / "run/cells/bars/two/nearest-seed4.json"));
  const std::string top = cell["result"]["top_source"];
  for (const std::string& part : {std::string("Method: nearest, seed 4"), std::string("| nearest (this model's) |"),
                                  "main teacher: " + top, "| " + top + " | – | – |", std::string(" | 1.000 |"),
                                  std::string("\"steps\": 2"), std::string("Label budget's name: two")})
    CHECK_MESSAGE(has(taught, part), part);
  CHECK(has(taught, "| 2 |\n"));         // both seeds in the table
  CHECK_FALSE(has(taught, "| oracle"));  // no student of its own
  CHECK(has(alone, "None: the method uses no source"));
  CHECK(has(card_of("oracle-seed3@b"), "Method: oracle, seed 3"));
  const std::string by_leep = card_of("by-leep-seed3");
  CHECK(has(taught, "| PARC x100 |"));
  CHECK(has(by_leep, "| LEEP |"));  // no correlation: as it is
}

TEST_CASE("cli: distill with every method, and with the split of an earlier run") {
  const TempFolder folder;
  make_bank(folder);
  Arguments first = distill_arguments(folder, "first", {"--json", "--validation", "6", "--transfer", "b"});
  *(std::find(first.begin(), first.end(), "--methods") + 1) =
      "scratch,transfer,probe,finetune,fixmatch,fixmatch-transfer,random,equal,nearest,weighted,nearest-transfer,"
      "weighted-transfer,oracle";
  const Finished all = akin_(folder, first);
  CAPTURE(all.err);
  REQUIRE_EQ(all.code, 0);
  const auto j = json_of(all);
  REQUIRE_EQ(j["methods"].size(), 13);
  for (const auto& m : j["methods"]) CHECK(m["test_accuracy_mean"].get<double>() > 0);
  CHECK_EQ(j["methods"][12]["name"], "Oracle (analysis only)");
  CHECK(has(read_text(folder / "first/oracle.csv"), "\n0,a,"));
  CHECK(has(akin_(folder, {"report", (folder / "first").string()}).out, "FineTune"));

  const std::string manifest = (folder / "first/labels-seed0.json").string();
  const auto with_labels = [&](const std::string& out, const std::string& labels, const Arguments& more = {}) {
    Arguments arguments = distill_arguments(folder, out, more);
    *std::find(arguments.begin(), arguments.end(), "--labels-per-class") = "--labels";
    *(std::find(arguments.begin(), arguments.end(), "--labels") + 1) = labels;
    return arguments;
  };
  const Arguments second = with_labels("second", manifest, {"--seeds", "5"});
  const Finished other = akin_(folder, second);
  CAPTURE(other.err);
  REQUIRE_EQ(other.code, 0);
  auto a = nlohmann::json::parse(read_text(manifest)),
       b = nlohmann::json::parse(read_text(folder / "second/labels-seed5.json"));
  CHECK_EQ(b["seed"], 5);
  for (const char* part : {"labelled", "validation", "unlabelled", "data"}) CHECK_EQ(a[part], b[part]);
  a["data"] = std::string(64, '0');
  write_file_atomic(manifest, std::string_view(a.dump()));
  check_fails(folder, with_labels("third", manifest), 2, "its content is not what akin wrote");
  a.erase("sha256");
  write_file_atomic(manifest, std::string_view(a.dump()));
  check_fails(folder, with_labels("third", manifest), 1, "was made for other images");
  check_fails(folder, with_labels("third", "0"), 2, "--labels 0");
  check_fails(folder, with_labels("third", (folder / "x.toml").string()), 1, "x.toml");
}
