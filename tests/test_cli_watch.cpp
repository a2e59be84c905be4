// akin watch beside a run, and akin report of several runs and of an experiment, as processes.
#include "tests/cli_process.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("watch shows a run at work, one that was killed and one that is finished; it ends when the run does") {
  const TempFolder folder, beside;
  write_bars(folder / "data", 1, false);
  const std::filesystem::path out = folder / "run";
  Arguments train = train_arguments(folder / "data", out);
  train[6] = "4000";  // epochs: far longer than this test
  check_fails(beside, {"watch", out.string()}, 1, "no such folder");
  make_folder(beside / "other");
  write_file_atomic(beside / "other/config.toml", std::string_view("[server]\n"));
  check_fails(beside, {"watch", (beside / "other").string()}, 1, "holds no run");
  const auto look = [&](const Arguments& more) { return akin_(beside, with({"watch", out.string()}, more)); };
  {
    Process run(folder.path(), train);
    REQUIRE(appears(out / "progress.json"));
    for (const char* columns : {"60", "100"}) {
      const Finished f = look({"--once", "--columns", columns});
      CAPTURE(f.out);
      CHECK_EQ(f.code, 0);
      CHECK(has(f.out, "at work"));
      CHECK(has(f.out, "training on data"));
      CHECK(has(f.out, "loss"));
    }
    CHECK_EQ(json_of(look({"--json"}))["state"], "running");
    Process watching(beside.path(), {"watch", out.string()});
    run.send(SIGKILL);
    run.wait();
    const Finished f = watching.wait();
    CHECK_EQ(f.code, 0);
    CHECK(has(f.out, "stopped before its end"));
  }
  train[6] = "2";
  REQUIRE_EQ(akin_(folder, with(train, {"--force", "--tensorboard"})).code, 0);
  const Finished f = look({});
  CHECK(has(f.out, "finished"));
  CHECK(has(f.out, "model.safetensors"));
  CHECK(std::filesystem::exists(out / "tensorboard/train/events.out.tfevents.akin"));
  CHECK_FALSE(std::filesystem::exists(out / "progress.json"));
  // Another run in its place takes the event files away.
  REQUIRE_EQ(akin_(folder, with(train, {"--force"})).code, 0);
  CHECK_FALSE(std::filesystem::exists(out / "tensorboard"));
}

TEST_CASE("report compares runs, as text and as a page") {
  const TempFolder folder;
  make_bank(folder);
  for (const char* name : {"one", "two"})
    REQUIRE_EQ(
        akin_(folder, distill_arguments(folder, name, {"--lambda", *name == 'o' ? "0.2" : "0.5", "--validation", "6"},
                                        {.methods = "scratch,probe,equal"}))
            .code,
        0);
  const std::string one = (folder / "one").string(), two = (folder / "two").string(),
                    page = (folder / "page.html").string();
  const Finished f = akin_(folder, {"report", one, two, "--out", page});
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  CHECK(has(f.out, "distill.lambda"));
  CHECK(has(f.out, "95 % interval"));
  CHECK(has(f.out, "DistillEqual"));
  CHECK(has(read_text(page), "<h2>What they differ in</h2>"));
  CHECK_EQ(json_of(akin_(folder, {"report", one, two, "--json"}))["runs"].size(), 2);
  check_fails(folder, {"report", one, two, "--out", page}, 1, "exists; --force replaces it");
  check_fails(folder, {"report", one, one + "/."}, 2, "named twice");
  check_fails(folder, {"report", one, "--out", page, "--force"}, 2, "report.html");
  check_fails(folder, {"report", one, (folder / "run_a").string()}, 1, "report.json");

  // What a run's own page shows of the model that it hands over.
  const std::string own = read_text(folder / "one/report.html");
  for (const char* heading : {"Class by class", "What they mix up", "How the model sees the test images"})
    CHECK_MESSAGE(has(own, "<h2>" + std::string(heading) + "</h2>"), std::string(heading));
  CHECK(has(own, "How alike the teachers are"));
  const nlohmann::json report = nlohmann::json::parse(read_text(folder / "one/report.json"));
  CHECK_EQ(report["map"]["method"], report["delivered"]);
  CHECK_EQ(report["map"]["x"].size(), 60);  // all test images
  CHECK_EQ(report["likeness"]["cka"].size(), 4);
  CHECK_EQ(report["likeness"]["cka"][0], 1);
  CHECK_EQ(report["likeness"]["cka"][1], report["likeness"]["cka"][2]);
  std::int64_t wrong = 0;
  for (const auto& c : report["confusions"])
    if (c["method"] == report["delivered"])
      for (std::size_t i = 0; i < 9; ++i) wrong += i % 4 == 0 ? 0 : c["counts"][i].get<std::int64_t>();
  CHECK_EQ(report["errors"].size(), std::min<std::int64_t>(12, wrong));
  // Gone on with, it shows the same: the student is tested again.
  const std::string before = report["map"].dump() + report["errors"].dump();
  REQUIRE_EQ(akin_(folder, distill_arguments(folder, "one", {"--lambda", "0.2", "--validation", "6", "--resume"},
                                             {.methods = "scratch,probe,equal"}))
                 .code,
             0);
  const nlohmann::json after = nlohmann::json::parse(read_text(folder / "one/report.json"));
  CHECK_EQ(after["map"].dump() + after["errors"].dump(), before);
}

TEST_CASE("report makes the page of an experiment from its tables") {
  const TempFolder folder;
  const std::filesystem::path run = folder / "grid";
  std::filesystem::create_directory(run);
  write_file_atomic(
      run / "results.csv",
      std::string_view("target,budget,seed,variant,method,test_last\nbirds,five,0,scratch,scratch,0.5\n"));
  write_file_atomic(run / "results.md", std::string_view("the tables\n"));
  const Finished f = akin_(folder, {"report", run.string()});
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  CHECK_EQ(f.out, "the tables\n");
  CHECK(has(read_text(run / "report.html"), "Budget five: the largest mean over all targets has scratch, 50.0"));
  check_fails(folder, {"report", run.string(), run.string()}, 1, "is an experiment");
  write_file_atomic(run / "results.csv", std::string_view("a,b\n1,2\n"));
  check_fails(folder, {"report", run.string()}, 1, "has no column target");
}
