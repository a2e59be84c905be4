// The real program on several ranks under mpirun: the same files as alone, one voice, and failures that name the rank.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "engine/context.hpp"
#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

/// Says why a case is not run; ctest looks for the line.
bool no_mpi() {
  static const bool none = [] {
    const bool there = std::system("mpirun --version 2>/dev/null | grep -q 'Open MPI'") == 0 &&
                       fs::exists(AKIN_BINARY_DIR "/bin/libakin_mpi.so");
    if (std::getenv("AKIN_NEEDS_MPI") != nullptr)
      CHECK_MESSAGE(there, "Open MPI and akin's plug-in for it are needed");
    else if (!there)
      std::cout << "MPI is not there: skipped\n";
    return !there;
  }();
  return none;
}

/// Shared memory alone, and no core of its own for each: several tests run at a time.
Arguments launcher() {
  return {"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "pml", "ob1", "--mca",
          "btl",    "self,vader"};
}

/// One program on n ranks, or several on one each.
Arguments on_ranks(int n, const Arguments& arguments) {
  return with(with(launcher(), {"-n", std::to_string(n)}), Process::with_program(arguments));
}
Arguments side_by_side(const Arguments& a, const Arguments& b) {
  return with(with(on_ranks(1, a), {":", "-n", "1"}), Process::with_program(b));
}

Finished run(const TempFolder& folder, const Arguments& all) { return Process(folder.path(), "", all).wait(); }

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// The arguments with other values of options that are there, and with those that are not.
Arguments changed(Arguments all, const Arguments& more) {
  for (std::size_t i = 0; i < more.size(); ++i) {
    const bool valued = i + 1 < more.size() && !more[i + 1].starts_with("--");
    const auto there = std::find(all.begin(), all.end(), more[i]);
    if (there != all.end() && valued)
      *(there + 1) = more[++i];
    else
      all.push_back(more[i]);
  }
  return all;
}

Arguments train(const TempFolder& folder, const std::string& out, const Arguments& more = {}) {
  return changed({"train", "--data", (folder / "data").string(), "--width", "4", "--epochs", "2", "--batch", "24",
                  "--seed", "3", "--threads", "1", "--out", (folder / out).string()},
                 more);
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::stringstream all(text);
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  return lines;
}

void succeeds(const TempFolder& folder, const Arguments& all) {
  const Finished f = run(folder, all);
  CAPTURE(join(all));
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
}

bool same_files(const fs::path& a, const fs::path& b, const Arguments& names) {
  return std::all_of(names.begin(), names.end(),
                     [&](const std::string& name) { return read_file(a / name) == read_file(b / name); });
}

/// The process that is a rank of the launcher, once it is there and has joined (waits for a file).
pid_t process_of(const Process& launcher, int rank) {
  const std::string tasks = "/proc/" + std::to_string(launcher.pid()) + "/task/";
  for (const auto& task : fs::directory_iterator(tasks)) {
    std::ifstream children(task.path() / "children");
    for (pid_t child = 0; children >> child;) {
      std::ifstream environment("/proc/" + std::to_string(child) + "/environ");
      std::stringstream text;
      text << environment.rdbuf();
      if (has(text.str(), "OMPI_COMM_WORLD_RANK=" + std::to_string(rank) + '\0')) return child;
    }
  }
  return -1;
}

}  // namespace

TEST_CASE("train on ranks: the files of one process with as many slices, and one voice") {
  if (no_mpi()) return;
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  struct Way {
    std::string name;
    Arguments more;
    std::vector<int> ranks;
  };
  Context ctx;
  Arguments bf16{"--precision", "bf16"};
  std::vector<Way> ways{{"f32", {}, {2, 4}},
                        {"uneven", {"--batch", "10", "--optimizer", "adamw", "--epochs", "1"}, {2}},
                        {"sim", {"--device", "sim", "--batch", "60", "--epochs", "1"}, {2}},
                        {"sim_bf16", with({"--device", "sim", "--batch", "60", "--epochs", "1"}, bf16), {2}}};
  if (error_of([&] { use_bf16(ctx); }).empty()) ways.push_back({"bf16", bf16, {2}});
  const Arguments files{"model.safetensors", "log.jsonl"};
  for (const Way& w : ways) {
    CAPTURE(w.name);
    const Arguments four = changed(w.more, {"--slices", "4"});
    REQUIRE_EQ(akin_(folder, train(folder, w.name, four)).code, 0);
    for (const int n : w.ranks) {
      const std::string out = w.name + std::to_string(n);
      const Finished f = run(folder, on_ranks(n, train(folder, out, n == 4 ? w.more : four)));
      CAPTURE(f.err);
      REQUIRE_EQ(f.code, 0);
      CHECK(same_files(folder / w.name, folder / out, files));
      CHECK_EQ(count(f.out, "images right"), 1);
      CHECK_EQ(count(f.err, "device: "), 1);
      CHECK_EQ(count(f.err, "ranks: " + std::to_string(n)), 1);
      CHECK_EQ(names_in(folder / out), names_in(folder / w.name));
    }
  }
  REQUIRE_EQ(akin_(folder, train(folder, "whole")).code, 0);
  CHECK_FALSE(same_files(folder / "whole", folder / "f32", files));
}

TEST_CASE("a run stopped on two ranks goes on on one or four, and on no other number of slices") {
  if (no_mpi()) return;
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const Arguments four{"--slices", "4"};
  succeeds(folder, on_ranks(2, train(folder, "whole", four)));
  for (const int n : {1, 4}) {
    const std::string out = "run" + std::to_string(n);
    const Finished stopped = run(folder, on_ranks(2, train(folder, out, changed(four, {"--stop-after", "3"}))));
    CHECK_EQ(stopped.code, 1);
    CHECK_EQ(count(stopped.err, "stopped at step"), 1);
    REQUIRE(fs::exists(folder / out / "checkpoint.safetensors"));
    if (n == 1) {
      const Finished other = run(folder, on_ranks(2, train(folder, out, {"--resume"})));
      CHECK_EQ(other.code, 1);
      CHECK_EQ(count(other.err, "slices was 4 and is 2"), 1);
    }
    succeeds(folder, on_ranks(n, train(folder, out, changed(four, {"--resume"}))));
    CHECK(same_files(folder / "whole", folder / out, {"model.safetensors", "log.jsonl"}));
  }
  succeeds(folder, on_ranks(2, train(folder, "whole", changed(four, {"--resume"}))));  // nothing to do, on both
}

TEST_CASE("what all ranks do wrong is told once; what one does, with its name") {
  if (no_mpi()) return;
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  write_bars(folder / "other", 2, false);
  const auto fails = [&](const Arguments& all, int code, const std::string& what) {
    const Finished f = run(folder, all);
    CAPTURE(join(all));
    CAPTURE(f.err);
    CHECK_EQ(f.code, code);
    CHECK_EQ(count(f.err, "akin: "), 1);
    CHECK(has(f.err, what));
  };
  fails(on_ranks(2, train(folder, "out", {"--colour", "blue"})), 2, "there is no option '--colour'");
  fails(on_ranks(2, train(folder, "out", {"--slices", "3"})), 2, "--slices 3: cannot be dealt evenly to 2 ranks");
  fails(on_ranks(2, train(folder, "out", {"--batch", "3"})), 2, "--batch 3: too small for 2 slices");
  fails(on_ranks(2, {"train", "--data", (folder / "nowhere").string()}), 1, "nowhere");
  fails(on_ranks(2, {"info"}), 2, "mpirun started 2 processes of a command that is one");
  fails(side_by_side(train(folder, "out"), train(folder, "out", {"--lr", "0.3"})), 1,
        "has another settings or images than rank 0 (");
  fails(side_by_side(train(folder, "out"), train(folder, "out", {"--data", (folder / "other").string()})), 1,
        "akin: rank 1 (");
  // The second one alone has the fault.
  fails(side_by_side(train(folder, "out"), {"train", "--data", (folder / "nowhere").string()}), 1, "akin: rank 1 (");
  CHECK_FALSE(fs::exists(folder / "out/model.safetensors"));
  // Each for itself.
  succeeds(folder, side_by_side(train(folder, "a", {"--ranks", "none"}), train(folder, "b", {"--ranks", "none"})));
  CHECK(same_files(folder / "a", folder / "b", {"model.safetensors"}));
}

TEST_CASE("a rank that is stopped or killed ends the run; nothing is lost but the time since the checkpoint") {
  if (no_mpi()) return;
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const Arguments more{"--slices", "2", "--epochs", "40", "--checkpoint-every", "1"};
  succeeds(folder, on_ranks(2, train(folder, "whole", more)));
  for (const int signal : {SIGSTOP, SIGKILL})
    for (const int rank : {0, 1}) {
      const std::string out = fmt::format("run{}_{}", signal, rank);
      CAPTURE(out);
      Process job(folder.path(), "",
                  on_ranks(2, train(folder, out, changed(more, {"--rank-timeout", "3", "--epochs", "100000"}))));
      REQUIRE(appears(folder / out / "checkpoint.safetensors"));
      const pid_t victim = process_of(job, rank);
      REQUIRE(victim > 0);
      ::kill(victim, signal);
      const Finished f = job.wait();
      CAPTURE(f.err);
      CHECK_NE(f.code, 0);
      if (signal == SIGSTOP) {
        CHECK_EQ(count(f.err, fmt::format("akin: no answer from rank {} (", rank)), 1);
        CHECK(has(f.err, "waiting for the gradients of step"));
      }
    }
  // The checkpoint of such a run is as good as any.
  Process job(folder.path(), "", on_ranks(2, train(folder, "broken", changed(more, {"--rank-timeout", "3"}))));
  REQUIRE(appears(folder / "broken/checkpoint.safetensors"));
  ::kill(process_of(job, 1), SIGKILL);
  job.wait();
  succeeds(folder, on_ranks(1, train(folder, "broken", changed(more, {"--resume"}))));
  CHECK(same_files(folder / "whole", folder / "broken", {"model.safetensors", "log.jsonl"}));
}

TEST_CASE("features and rank on ranks: the same tables") {
  if (no_mpi()) return;
  const TempFolder folder;
  make_bank(folder);
  const auto features = [&](const std::string& out) {
    return Arguments{"features",
                     "--model",
                     (folder / "a.safetensors").string(),
                     "--data",
                     (folder / "target").string(),
                     "--cache",
                     "none",
                     "--out",
                     (folder / out).string()};
  };
  REQUIRE_EQ(akin_(folder, features("one.safetensors")).code, 0);
  succeeds(folder, on_ranks(3, features("three.safetensors")));
  CHECK(read_file(folder / "one.safetensors") == read_file(folder / "three.safetensors"));
  const auto rank = [&](const std::string& cache, const std::string& out) {
    return Arguments{"rank",
                     "--target",
                     (folder / "target").string(),
                     "--labels-per-class",
                     "5",
                     "--metric",
                     "parc,cka",
                     "--replicates",
                     "10",
                     "--cache",
                     cache,
                     "--out",
                     (folder / out).string(),
                     "--sources",
                     (folder / "a.safetensors").string(),
                     (folder / "b.safetensors").string()};
  };
  REQUIRE_EQ(akin_(folder, rank("none", "one.csv")).code, 0);
  const std::string cache = (folder / "cache").string();
  succeeds(folder, on_ranks(2, rank(cache, "cold.csv")));
  succeeds(folder, on_ranks(2, rank(cache, "warm.csv")));
  succeeds(folder, on_ranks(3, rank(cache, "three.csv")));  // more ranks than sources to measure
  for (const char* out : {"cold.csv", "warm.csv", "three.csv"})
    CHECK(read_file(folder / "one.csv") == read_file(folder / out));
  // What is wrong with a source is told once, and by its name, whoever measured it.
  const Finished none = run(folder, on_ranks(2, changed(rank("none", "none.csv"), {"--metric", "rsa"})));
  CHECK_EQ(none.code, 1);
  CHECK_EQ(count(none.err, "akin: no source could be ranked by rsa"), 1);
  CHECK_EQ(count(none.err, "no weights: rsa is undefined for a source"), 1);
}

TEST_CASE("an experiment's cells are dealt to ranks: the same tables, and each cell is run once") {
  if (no_mpi()) return;
  const TempFolder folder;
  make_bank(folder);
  const std::string file = (folder / "bars.toml").string();
  write_file_atomic(file, std::string_view(R"(
title = "bars"
seeds = [0, 1]
methods = ["scratch", "nearest", "probe", "oracle"]
[settings]
student_width = 4
steps = 12
batch = 8
unlabelled_batch = 8
replicates = 5
[[budgets]]
name = "four"
per_class = 4
unlabelled = 60
[[sources]]
name = "a"
path = "a.safetensors"
[[sources]]
name = "b"
path = "b.safetensors"
[[targets]]
name = "bars"
data = "target"
)"));
  constexpr int kCells = 10;
  const auto experiment = [&](const std::string& out, const Arguments& more = {}) {
    return with({"experiment", file, "--threads", "1", "--cache", "none", "--out", (folder / out).string()}, more);
  };
  REQUIRE_EQ(akin_(folder, experiment("one")).code, 0);
  const auto results = [&](const std::string& out) {  // without the times
    const auto rows = split_lines(read_text(folder / out / "results.csv"));
    std::vector<std::string> cells;
    std::size_t seconds = 0;
    for (const std::string& row : rows) {
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
  };
  const Finished both = run(folder, on_ranks(2, experiment("two")));
  CAPTURE(both.err);
  REQUIRE_EQ(both.code, 0);
  CHECK_EQ(results("two"), results("one"));
  CHECK(read_file(folder / "two/sources.csv") == read_file(folder / "one/sources.csv"));
  for (int i = 1; i <= kCells; ++i) CHECK_EQ(count(both.err, fmt::format("[{}/{}] ", i, kCells)), 1);
  CHECK_EQ(count(both.err, fmt::format("{0} of {0} cells run now", kCells)), 1);
  // Stopped on two, and gone on with on three; then there is nothing left.
  const Finished stopped = run(folder, on_ranks(2, experiment("some", {"--stop-after", "20"})));
  CHECK_EQ(stopped.code, 1);
  CHECK_EQ(count(stopped.err, "stopped on request"), 1);
  const std::size_t done = names_in(folder / "some/cells").size();
  CHECK(done < kCells);
  const Finished on = run(folder, on_ranks(3, experiment("some")));
  CHECK_EQ(on.code, 0);
  CHECK_EQ(count(on.err, fmt::format("{} of {} cells run now", kCells - done, kCells)), 1);
  CHECK_EQ(results("some"), results("one"));
  CHECK_EQ(count(run(folder, on_ranks(2, experiment("some"))).err, fmt::format("0 of {} cells run now", kCells)), 1);
}

TEST_CASE("distill on ranks: the students of one process with as many slices") {
  if (no_mpi()) return;
  const TempFolder folder;
  make_bank(folder);
  const DistillCase c{.methods = "fixmatch,probe,weighted", .steps = 8};
  const auto distill = [&](const std::string& out, const Arguments& more = {}) {
    return changed(distill_arguments(folder, out, {"--slices", "2", "--cache", "none"}, c), more);
  };
  REQUIRE_EQ(akin_(folder, distill("one")).code, 0);
  succeeds(folder, on_ranks(2, distill("two")));
  const auto same = [&](const std::string& out) {
    CAPTURE(out);
    CHECK_EQ(names_in(folder / out), names_in(folder / "one"));
    for (const std::string& name : names_in(folder / "one"))
      if (name.ends_with(".safetensors") || name.ends_with("weights.csv") || name.ends_with("log.jsonl")) {
        CAPTURE(name);
        CHECK(read_file(folder / out / name) == read_file(folder / "one" / name));
      }
  };
  same("two");
  const Finished stopped = run(folder, on_ranks(2, distill("some", {"--stop-after", "12"})));
  CHECK_EQ(stopped.code, 1);
  CHECK_EQ(count(stopped.err, "stopped on request"), 1);
  succeeds(folder, on_ranks(2, distill("some", {"--resume"})));
  same("some");
  const Finished uneven = run(folder, on_ranks(2, distill("uneven", {"--batch", "9"})));
  CHECK_EQ(uneven.code, 2);
  CHECK_EQ(count(uneven.err, "--batch 9: cannot be cut into 2 equal slices"), 1);
}
