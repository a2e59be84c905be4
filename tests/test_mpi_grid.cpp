// A grid on several ranks under mpirun: its cells are dealt to them, and a rank that is lost is done without.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>

#include "tests/mpi_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

constexpr int kCells = 10;

/// A grid of kCells cells, in a folder with a bank.
struct Grid {
  TempFolder folder;
  std::string file = (folder / "bars.toml").string();

  /// `settings`: more lines of the file's.
  explicit Grid(int steps, const std::string& settings = "") {
    make_bank(folder);
    write(steps, settings);
  }
  void write(int steps, const std::string& settings) const {
    write_file_atomic(file, std::string_view(fmt::format(R"(
title = "bars"
seeds = [0, 1]
methods = ["scratch", "nearest", "probe", "oracle"]
[settings]
student_width = 4
steps = {}
batch = 8
unlabelled_batch = 8
replicates = 5
{}
[[budgets]]
name = "four"
per_class = 4
unlabelled = 60
{})",
                                                         steps, settings, kBankOfBars)));
  }
  Arguments experiment(const std::string& out, const Arguments& more = {}) const {
    return with({"experiment", file, "--threads", "1", "--cache", "none", "--out", (folder / out).string()}, more);
  }
  Arguments watched(const std::string& out, const Arguments& more = {}) const {
    return experiment(out, with({"--rank-timeout", "5"}, more));
  }
  /// results.csv without the times.
  std::vector<std::string> results(const std::string& out) const {
    std::vector<std::string> cells;
    std::size_t seconds = 0;
    for (const std::string& row : split_lines(read_text(folder / out / "results.csv"))) {
      std::vector<std::string> values;
      std::stringstream text(row);
      for (std::string v; std::getline(text, v, ',');) values.push_back(v);
      if (cells.empty())
        seconds = static_cast<std::size_t>(std::find(values.begin(), values.end(), "seconds") - values.begin());
      REQUIRE(seconds < values.size());
      values.erase(values.begin() + static_cast<std::ptrdiff_t>(seconds));
      cells.push_back(join(values));
    }
    return cells;
  }
  /// What lies in a run folder, but for what a writer that was killed left, which the next one removes.
  std::string files_of(const std::string& out) const {
    std::vector<std::string> names = names_in(folder / out);
    std::erase_if(names, [](const std::string& name) { return has(name, ".akin-") && name.ends_with(".tmp"); });
    return join(names);
  }
  /// The tables of two run folders are the same, and neither holds more files.
  void check_same(const std::string& a, const std::string& b) const {
    CHECK_EQ(results(a), results(b));
    CHECK(same_files(folder / a, folder / b, {"sources.csv"}));
    CHECK_EQ(files_of(a), files_of(b));
  }
  /// A run of which a rank gets a signal when all have cells.
  std::unique_ptr<Process> with_victim(const std::string& out, const Arguments& all, int rank, int signal) const {
    auto job = std::make_unique<Process>(folder.path(), "", all);
    REQUIRE(appears(folder / out / "checkpoints"));
    const pid_t victim = process_of(*job, rank);
    REQUIRE(victim > 0);
    ::kill(victim, signal);
    return job;
  }
};

}  // namespace

TEST_CASE("an experiment's cells are dealt to ranks: the same tables, and each cell is run once") {
  if (no_mpi()) return;
  const Grid grid(12);
  const TempFolder& folder = grid.folder;
  REQUIRE_EQ(akin_(folder, grid.experiment("one")).code, 0);
  const Finished both = run(folder, on_ranks(2, grid.experiment("two")));
  CAPTURE(both.err);
  REQUIRE_EQ(both.code, 0);
  grid.check_same("two", "one");
  for (int i = 1; i <= kCells; ++i) CHECK_EQ(count(both.err, fmt::format("[{}/{}] ", i, kCells)), 1);
  CHECK_EQ(count(both.err, fmt::format("{0} of {0} cells run now", kCells)), 1);
  // Stopped on two, and gone on with on three; then there is nothing left.
  const Finished stopped = run(folder, on_ranks(2, grid.experiment("some", {"--stop-after", "20"})));
  CHECK_EQ(stopped.code, 1);
  CHECK_EQ(count(stopped.err, "stopped on request"), 1);
  const std::size_t done = names_in(folder / "some/cells").size();
  CHECK(done < kCells);
  const Finished on = run(folder, on_ranks(3, grid.experiment("some")));
  CHECK_EQ(on.code, 0);
  CHECK_EQ(count(on.err, fmt::format("{} of {} cells run now", kCells - done, kCells)), 1);
  grid.check_same("some", "one");
  CHECK_EQ(count(run(folder, on_ranks(2, grid.experiment("some"))).err, fmt::format("0 of {} cells run now", kCells)),
           1);
}

TEST_CASE("a rank that is stopped or killed in a grid: another makes its cell, and the tables are the same") {
  if (no_mpi()) return;
  const Grid grid(500);
  REQUIRE_EQ(akin_(grid.folder, grid.experiment("one")).code, 0);
  struct Way {
    std::string name;
    int ranks, rank, signal;
    Arguments more = {};
    bool wakes = false;
  };
  // A launcher that is not told to go on ends all when a rank dies.
  const std::vector<Way> ways{{"stopped", 2, 1, SIGSTOP},
                              {"wakes", 3, 2, SIGSTOP, {}, true},
                              {"stopped_recovery", 3, 1, SIGSTOP, {"--enable-recovery"}},
                              {"killed", 3, 1, SIGKILL, {"--enable-recovery"}}};
  for (const Way& w : ways) {
    CAPTURE(w.name);
    const Arguments all = on_ranks(w.ranks, grid.watched(w.name), w.more);
    const auto job = grid.with_victim(w.name, all, w.rank, w.signal);
    if (w.wakes) {
      const fs::path told = grid.folder / "stderr";
      for (int i = 0; i < 6000 && !has(read_text(told), "no answer from"); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      ::kill(process_of(*job, w.rank), SIGCONT);
    }
    const Finished f = job->wait();
    CAPTURE(f.err);
    CHECK_EQ(f.code, 0);
    CHECK_EQ(count(f.err, "no answer from"), 1);
    CHECK_EQ(count(f.err, fmt::format("akin: warning: no answer from rank {} (", w.rank)), 1);
    CHECK_EQ(count(f.err, "its cell is dealt anew"), 1);
    CHECK_EQ(count(f.err, fmt::format("{0} of {0} cells run now", kCells)), 1);
    grid.check_same(w.name, "one");
  }
  // The first rank is missed by all.
  const Finished f = grid.with_victim("first", on_ranks(3, grid.watched("first")), 0, SIGSTOP)->wait();
  CAPTURE(f.err);
  CHECK_NE(f.code, 0);
  CHECK_EQ(count(f.err, "akin: no answer from rank 0 ("), 1);
  succeeds(grid.folder, on_ranks(2, grid.watched("first")));
  grid.check_same("first", "one");
}

TEST_CASE("several ranks for a cell: the students of one process with as many slices") {
  if (no_mpi()) return;
  const Grid grid(12);
  const TempFolder& folder = grid.folder;
  const Arguments pairs{"--gpus-per-cell", "2", "--keep-students"};
  REQUIRE_EQ(akin_(folder, grid.experiment("whole", {"--keep-students"})).code, 0);
  // Of a file that says nothing the slices are as many as the ranks; it may say as many itself.
  const Finished four = run(folder, on_ranks(4, grid.experiment("four", pairs)));
  CAPTURE(four.err);
  REQUIRE_EQ(four.code, 0);
  CHECK_EQ(count(four.err, fmt::format("{0} of {0} cells run now", kCells)), 1);
  for (int i = 1; i <= kCells; ++i) CHECK_EQ(count(four.err, fmt::format("[{}/{}] ", i, kCells)), 1);
  // Cells of other slices do not count as finished; a probe has none.
  const Finished mixed = run(folder, on_ranks(2, grid.experiment("whole", pairs)));
  CHECK_EQ(mixed.code, 1);
  CHECK_EQ(count(mixed.err, "were made with other settings or data"), 1);
  CHECK_EQ(count(mixed.err, "slices was 1 and is 2"), 5);
  CHECK_EQ(count(mixed.err, "and 3 more"), 1);
  grid.write(12, "slices = 2");
  REQUIRE_EQ(akin_(folder, grid.experiment("one", {"--keep-students"})).code, 0);
  grid.check_same("four", "one");
  std::size_t students = 0;
  for (const std::string& name : names_in(folder / "one"))
    if (name.ends_with(".safetensors")) {
      CAPTURE(name);
      CHECK(read_file(folder / "one" / name) == read_file(folder / "four" / name));
      ++students;
    }
  CHECK(students >= kCells);
  CHECK_FALSE(grid.results("whole") == grid.results("one"));
  // Now one process has nothing left to do in the folder of four ranks.
  const Finished again = akin_(folder, grid.experiment("four", {"--keep-students"}));
  CHECK_EQ(count(again.err, fmt::format("0 of {} cells run now", kCells)), 1);

  const auto refused = [&](const Arguments& all, int code, const std::string& what) {
    const Finished f = run(folder, all);
    CAPTURE(f.err);
    CHECK_EQ(f.code, code);
    CHECK_EQ(count(f.err, "akin: "), 1);
    CHECK(has(f.err, what));
  };
  refused(on_ranks(3, grid.experiment("odd", pairs)), 2, "--gpus-per-cell 2: 3 ranks cannot be cut into groups of 2");
  refused(Process::with_program(grid.experiment("odd", pairs)), 2, "--gpus-per-cell 2: one process cannot be cut");
  grid.write(12, "slices = 4");
  refused(on_ranks(3, grid.experiment("odd", {"--ranks-per-cell", "3"})), 2,
          "slices 4: cannot be dealt evenly to 3 ranks");
  CHECK_FALSE(fs::exists(folder / "odd"));
}

TEST_CASE("cells that break are told as one process tells them, also where a group makes them") {
  if (no_mpi()) return;
  const Grid grid(12, "slices = 2\nlr = 1000.0\ncheckpoint_every = 1");
  const Finished one = akin_(grid.folder, grid.experiment("one"));
  CHECK_EQ(one.code, 1);
  const Finished two = run(grid.folder, on_ranks(2, grid.watched("two", {"--gpus-per-cell", "2"})));
  CAPTURE(two.err);
  CHECK_EQ(two.code, 1);
  CHECK(count(one.err, "not finite") > 0);
  CHECK_EQ(count(two.err, "not finite"), count(one.err, "not finite"));
  CHECK_EQ(count(two.err, fmt::format("{0} of {0} cells run now", kCells)), 1);
  grid.check_same("two", "one");
}

TEST_CASE("a group that loses a rank: another makes its cell, or the first rank alone") {
  if (no_mpi()) return;
  const Grid grid(400, "slices = 2");
  REQUIRE_EQ(akin_(grid.folder, grid.experiment("one")).code, 0);
  for (const int rank : {3, 1}) {
    const std::string out = fmt::format("without{}", rank);
    CAPTURE(out);
    const Arguments all = on_ranks(4, grid.watched(out, {"--gpus-per-cell", "2"}));
    const Finished f = grid.with_victim(out, all, rank, SIGSTOP)->wait();
    CAPTURE(f.err);
    CHECK_EQ(f.code, 0);
    CHECK_EQ(count(f.err, "no answer from"), 1);
    CHECK_EQ(count(f.err, fmt::format("akin: warning: no answer from rank {} (", rank)), 1);
    CHECK_EQ(count(f.err, fmt::format("{0} of {0} cells run now", kCells)), 1);
    grid.check_same(out, "one");
  }
}
