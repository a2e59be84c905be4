// The real program on several ranks under mpirun: the same files as alone, one voice, and failures that name the rank.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/context.hpp"
#include "tests/mpi_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

Arguments train(const TempFolder& folder, const std::string& out, const Arguments& more = {}) {
  return changed({"train", "--data", (folder / "data").string(), "--width", "4", "--epochs", "2", "--batch", "24",
                  "--seed", "3", "--threads", "1", "--out", (folder / out).string()},
                 more);
}

/// Exactly one voice.
void fails(const TempFolder& folder, const Arguments& all, int code, const std::string& what) {
  const Finished f = run(folder, all);
  CAPTURE(join(all));
  CAPTURE(f.err);
  CHECK_EQ(f.code, code);
  CHECK_EQ(count(f.err, "akin: "), 1);
  CHECK(has(f.err, what));
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

TEST_CASE("ranks that are bound to cores, two or four on as few as there are, make the same files") {
  if (no_mpi()) return;
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const Arguments more{"--slices", "4", "--threads", "0"};
  REQUIRE_EQ(akin_(folder, train(folder, "one", more)).code, 0);
  for (const int n : {2, 4}) {
    const std::string out = "bound" + std::to_string(n);
    const Arguments bound = with(launcher("core:overload-allowed"), {"-n", std::to_string(n)});
    succeeds(folder, with(bound, Process::with_program(train(folder, out, more))));
    CHECK(same_files(folder / "one", folder / out, {"model.safetensors", "log.jsonl"}));
  }
}

TEST_CASE("with --sync-batchnorm two ranks train on the whole batch, with the same bits each time") {
  if (no_mpi()) return;
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const auto first_loss = [&](const std::string& out) {
    const std::string log = read_text(folder / out / "log.jsonl");
    const std::size_t at = log.find("\"loss\":");
    REQUIRE(at != std::string::npos);
    return std::stod(log.substr(log.find_first_of("0123456789", at)));
  };
  for (const std::string device : {"cpu", "sim"}) {
    CAPTURE(device);
    const Arguments more{"--device", device, "--epochs", device == "sim" ? "1" : "2", "--batch", "60"};
    const Arguments shared = with(more, {"--sync-batchnorm"});
    REQUIRE_EQ(akin_(folder, train(folder, device, more)).code, 0);
    succeeds(folder, on_ranks(2, train(folder, device + "a", shared)));
    succeeds(folder, on_ranks(2, train(folder, device + "b", shared)));
    succeeds(folder, on_ranks(2, train(folder, device + "local", more)));
    CHECK(same_files(folder / (device + "a"), folder / (device + "b"), {"model.safetensors", "log.jsonl"}));
    const double whole = first_loss(device), together = first_loss(device + "a"), apart = first_loss(device + "local");
    CHECK(std::abs(together - whole) < 1e-3);
    CHECK(std::abs(apart - whole) > 1e-3);
  }
  const Finished f = run(folder, on_ranks(2, train(folder, "out", {"--sync-batchnorm", "--slices", "4"})));
  CHECK_EQ(f.code, 2);
  CHECK_EQ(count(f.err, "found 4 slices and 2 ranks: start 4 ranks"), 1);
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
  const auto fails = [&](const Arguments& all, int code, const std::string& what) { ::fails(folder, all, code, what); };
  fails(on_ranks(2, train(folder, "out", {"--colour", "blue"})), 2, "akin: there is no option '--colour'");
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
  // Before it has joined the others, and in what would have the ranks wait for each other in vain.
  const auto second = [&](const Arguments& more, int code, const std::string& what) {
    fails(side_by_side(train(folder, "out"), train(folder, "out", more)), code, what);
  };
  second({"--colour", "blue"}, 2, "akin: rank 1 (");
  second({"--config", (folder / "none.toml").string()}, 1, "akin: rank 1 (");
  second({"--compare-every", "7"}, 1, "('--compare-every 7 --exchange auto', not '--compare-every 100 --exch");
  second({"--exchange", "mpi"}, 1, "has another choice of options than rank 0 (");
  second({"--device", "sim"}, 1, "has another device than rank 0 (");
  const Arguments cards{"-x", "CUDA_VISIBLE_DEVICES=0,1"};
  fails(on_ranks(3, train(folder, "out", {"--device", "cuda"}), cards), 2, "lists 2 cards for 3 ranks");
  succeeds(folder, on_ranks(3, train(folder, "few", {"--device", "cpu"}), cards));
  // Each for itself.
  succeeds(folder, side_by_side(train(folder, "a", {"--ranks", "none"}), train(folder, "b", {"--ranks", "none"})));
  CHECK(same_files(folder / "a", folder / "b", {"model.safetensors"}));
}

TEST_CASE("ranks of an experiment that do not see one run folder, or were told to make other cells") {
  if (no_mpi()) return;
  const TempFolder folder;
  make_bank(folder);
  const std::string file = (folder / "bars.toml").string();
  write_file_atomic(file, std::string_view(R"(
seeds = [0, 1]
methods = ["probe"]
[[budgets]]
name = "four"
per_class = 4
[[sources]]
name = "a"
path = "a.safetensors"
[[targets]]
name = "bars"
data = "target"
)"));
  const auto experiment = [&](const std::string& out, const Arguments& more = {}) {
    return with({"experiment", file, "--threads", "1", "--cache", "none", "--out", (folder / out).string()}, more);
  };
  fails(folder, side_by_side(experiment("here"), experiment("there")), 1, ": the run folder ");
  CHECK_FALSE(fs::exists(folder / "here"));
  CHECK_FALSE(fs::exists(folder / "there"));
  fails(folder, side_by_side(experiment("here"), experiment("here", {"--only", "seed=0"})), 1, "--only seed=0");
  fails(folder, side_by_side(experiment("here"), experiment("here", {"--device", "sim"})), 1, "has another device");
  succeeds(folder, on_ranks(2, experiment("here", {"--trace", (folder / "trace.json").string()})));
  for (const auto& entry : fs::directory_iterator(folder / "here"))
    CHECK_FALSE(entry.path().filename().string().starts_with('.'));
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
        // With a checkpoint after each step the first rank may be stopped in one.
        CHECK((has(f.err, "waiting for the gradients of step") || has(f.err, "waiting for the checkpoint:")));
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
