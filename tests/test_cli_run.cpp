// The real program: what its options make of a run folder, and which are refused before anything is done.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/io/json.hpp"
#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

/// Exit code of a line for the shell, begun in `at`.
int shell_in(const fs::path& at, const std::string& line) {
  const int status = std::system(("cd '" + at.string() + "' && " + line + " >/dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

const std::string kAkin = AKIN_BINARY_DIR "/bin/akin";

}  // namespace

TEST_CASE("cli: folders whose names look like numbers, and a run's settings that name them") {
  const TempFolder folder;
  write_bars(folder / "1.10", 1, false);
  write_bars(folder / "1.1", 7, false);  // another data set, to be mistaken for it
  write_bars(folder / "1e3", 1, false);
  CHECK_EQ(shell_in(folder.path(), kAkin + " train --data 1.10 --width 4 --epochs 1 --batch 12 --out r1"), 0);
  CHECK(has(read_text(folder / "r1/config.toml"), "\ndata=\"1.10\"\n"));
  CHECK_EQ(shell_in(folder.path(), kAkin + " train --config r1/config.toml --out r2"), 0);
  CHECK(read_file(folder / "r1/model.safetensors") == read_file(folder / "r2/model.safetensors"));
  const std::string distill = kAkin + " distill --methods scratch --steps 2 --student-width 4 --labels-per-class 2";
  CHECK_EQ(shell_in(folder.path(), distill + " --target 1e3 --title 1.50 --seeds 9223372036854775807 --out d1"), 0);
  CHECK_EQ(shell_in(folder.path(), kAkin + " distill --config d1/config.toml --out d2"), 0);
  CHECK(read_file(folder / "d1/student.safetensors") == read_file(folder / "d2/student.safetensors"));
  CHECK_EQ(nlohmann::json::parse(read_text(folder / "d2/report.json"))["title"], "1.50");
}

TEST_CASE("cli: the settings of demo birds are read under its own name") {
  const TempFolder folder;
  write_file_atomic(folder / "c.toml", std::string_view("[demo.birds]\nlabels-per-class = 3\nsteps = 4\n"));
  const Arguments birds{"demo", "birds", "--data", "nowhere", "--out", (folder / "out").string(), "--config"};
  check_fails(folder, with(birds, {(folder / "c.toml").string()}), 1, "nowhere: is not at hand");
  write_file_atomic(folder / "c.toml", std::string_view("[demo]\nsteps = 4\n"));
  check_fails(folder, with(birds, {(folder / "c.toml").string()}), 2, "a setting of another command than demo birds");
  write_file_atomic(folder / "c.toml", std::string_view("[demo.birds]\nbank-images = 4\n"));
  check_fails(folder, with(birds, {(folder / "c.toml").string()}), 2, "bank-images");
}

TEST_CASE("cli: commands share a cache, and sources keep their names, however paths are spelt") {
  const TempFolder folder;
  make_bank(folder);
  const std::string options =
      " distill --target ../target --sources ../run_a/model.safetensors --methods nearest "
      "--steps 2 --student-width 4 --labels-per-class 2 --replicates 0";
  const std::string cached = "XDG_CACHE_HOME='" + folder.path().string() + "' AKIN_CACHE= " + kAkin;
  const auto kept = [&] {
    std::size_t n = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder / "akin/outputs")) n += entry.is_regular_file();
    return n;
  };
  for (const char* at : {"one", "two", "three/"}) make_folder(folder / at);
  CHECK_EQ(shell_in(folder / "one", cached + options + " --out ."), 0);
  CHECK_EQ(kept(), 1);
  CHECK_EQ(shell_in(folder / "two", cached + options + " --out ../two/"), 0);
  CHECK_EQ(kept(), 1);
  CHECK(read_file(folder / "one/student.safetensors") == read_file(folder / "two/student.safetensors"));
  // The same source from its own folder: the run goes on.
  CHECK_EQ(
      shell_in(folder / "run_a", kAkin + " distill --target ../target --sources model.safetensors --methods nearest,"
                                         "equal --steps 2 --student-width 4 --labels-per-class 2 --replicates 0 "
                                         "--resume --out ../one"),
      0);
  CHECK(has(read_text(folder / "one/weights.csv"), "\n0,run_a,"));
  write_file_atomic(
      folder / "grid.toml",
      std::string_view("methods = [\"nearest\"]\n[settings]\nsteps = 2\nstudent_width = 4\n[[sources]]\n"
                       "name = \"a\"\npath = \"a.safetensors\"\n[[targets]]\nname = \"t\"\ndata = \"target\"\n"
                       "[[budgets]]\nname = \"two\"\nper_class = 2\n"));
  CHECK_EQ(shell_in(folder / "three", "AKIN_CACHE=../named " + kAkin + " experiment ../grid.toml --out ./"), 0);
  CHECK_EQ(names_in(folder / "named").size(), 1);
  CHECK_EQ(shell_in(folder / "three", cached + " rank --target ../target --sources ../run_a/model.safetensors "
                                      "--labels-per-class 2 --replicates 0 --json"), 0);
  CHECK_EQ(kept(), 1);  // the two runs had looked at all of them
  for (const char* run : {"one", "two", "three"}) CHECK_FALSE(fs::exists(folder / run / "cache"));
}

TEST_CASE("cli: report makes the page and every table of a run again") {
  const TempFolder folder;
  make_bank(folder);
  DistillCase c;
  c.methods = "scratch,weighted,oracle";
  c.steps = 4;
  REQUIRE_EQ(akin_(folder, distill_arguments(folder, "run", {"--seeds", "0,1"}, c)).code, 0);
  const fs::path run = folder / "run";
  std::map<std::string, std::string> before;
  for (const char* name : {"report.html", "results.csv", "similarity.csv", "weights.csv", "oracle.csv", "errors.csv", "log.jsonl"}) {
    before[name] = read_text(run / name);
    CHECK_FALSE(before[name].empty());
    fs::remove(run / name);
  }
  const std::vector<std::string> left = names_in(run);
  const Finished report = akin_(folder, {"report", run.string()});
  CAPTURE(report.err);
  REQUIRE_EQ(report.code, 0);
  for (const auto& [name, text] : before) {
    CAPTURE(name);
    CHECK(has(report.err, name));
    REQUIRE(fs::exists(run / name));
    CHECK(read_text(run / name) == text);
  }
  CHECK_EQ(names_in(run).size(), left.size() + before.size());
  // A table that the run has not is not left from another one; one of an earlier akin's run is left alone, and told.
  REQUIRE_EQ(akin_(folder, distill_arguments(folder, "plain", {}, {.methods = "scratch", .steps = 2})).code, 0);
  write_file_atomic(folder / "plain/oracle.csv", std::string_view("of another\n"));
  REQUIRE_EQ(akin_(folder, {"report", (folder / "plain").string()}).code, 0);
  CHECK_FALSE(fs::exists(folder / "plain/oracle.csv"));
  std::optional<Json> old = read_sealed(run / "report.json");
  REQUIRE(old.has_value());
  old->erase("tables");
  write_sealed(run / "report.json", *old);
  fs::remove(run / "results.csv");
  fs::remove(run / "weights.csv");
  const Finished earlier = akin_(folder, {"report", run.string()});
  CHECK_EQ(earlier.code, 0);
  CHECK(has(earlier.err, "an earlier akin made this run"));
  CHECK(read_text(run / "results.csv") == before["results.csv"]);
  CHECK(read_text(run / "oracle.csv") == before["oracle.csv"]);
  CHECK_FALSE(fs::exists(run / "weights.csv"));
}
