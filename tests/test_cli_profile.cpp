// What --profile and --trace show: the tables, and the commands that print them.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include "distill/profile_table.hpp"
#include "engine/io/json.hpp"
#include "tests/cli_process.hpp"
#include "tests/toy_run.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("the table names what ran, with shares and the roof") {
  ToyRun run(3);
  Profiler profiler;
  {
    const ProfileScope on(run.ctx, &profiler);
    run.go();
    run.end_feed();
  }
  const Roof machine{.bytes_per_s = 1e10, .flops_per_s = 1e11};
  const std::string text = profile_table(profiler.profile(), &machine);
  for (const char* part : {"Profile of ", "Roof of this machine: 100 GFLOP/s of f32, 10 GB/s", "train", "linear bias",
                           "softmax_ce", "backward", "layer1.0.conv1", "fc", "% of roof"})
    CHECK_MESSAGE(has(text, part), text);
  CHECK_FALSE(has(profile_table(profiler.profile(), nullptr), "Roof"));
  CHECK(has(profile_table(profiler.profile(), nullptr, 1), " layers that took less"));
}

TEST_CASE("cli: --profile and --trace of a command, also of one that fails") {
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const std::string trace = (folder / "t.trace.json").string();
  const Arguments plain = train_arguments(folder / "data", folder / "plain");
  const Finished f =
      akin_(folder, with(train_arguments(folder / "data", folder / "run"), {"--profile", "--trace", trace}));
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  for (const char* part :
       {"Profile of ", "load ", "wait for images", "test ", "conv2d", "conv2d weight", "update", "layer1.0.conv1"})
    CHECK_MESSAGE(has(f.err, part), part);
  CHECK_FALSE(has(f.out, "Profile of"));
  CHECK_GT(Json::parse(read_text(trace))["traceEvents"].size(), 100);
  REQUIRE_EQ(akin_(folder, plain).code, 0);
  CHECK(read_file(folder / "plain/model.safetensors") == read_file(folder / "run/model.safetensors"));

  const std::string model = (folder / "run/model.safetensors").string();
  // No name of a run's own files, and of others nothing but another timeline is replaced.
  const auto bytes = read_file(model);
  const auto eval_with = [&](const std::string& file) {
    return Arguments{"eval", "--model", model, "--data", (folder / "data").string(), "--trace", file};
  };
  check_fails(folder, eval_with(model), 2, "give a name that ends in trace.json");
  check_fails(folder,
              with(train_arguments(folder / "data", folder / "again"),
                   {"--trace", (folder / "again/checkpoint.safetensors").string()}),
              2, "give a name that ends in trace.json");
  CHECK_FALSE(std::filesystem::exists(folder / "again"));
  write_file_atomic(folder / "mine.trace.json", std::string_view("{}"));
  check_fails(folder, eval_with((folder / "mine.trace.json").string()), 1, "is there and no timeline");
  CHECK(read_file(model) == bytes);
  REQUIRE_EQ(::mkfifo((folder / "pipe.trace.json").c_str(), 0600), 0);
  check_fails(folder, eval_with((folder / "pipe.trace.json").string()), 1, "is there and no file");
  write_file_atomic(folder / "empty.trace.json", std::string_view());
  CHECK_EQ(akin_(folder, eval_with((folder / "empty.trace.json").string())).code, 0);
  const Finished eval = akin_(folder, {"eval", "--model", model, "--data", (folder / "data").string(), "--profile"});
  CHECK_EQ(eval.code, 0);
  CHECK(has(eval.err, "Profile of "));
  const Finished failed =
      akin_(folder, {"eval", "--model", model, "--data", (folder / "nothing").string(), "--profile"});
  CHECK_EQ(failed.code, 1);
  CHECK(has(failed.err, "Profile of "));
  check_fails(folder,
              {"eval", "--model", model, "--data", (folder / "data").string(), "--trace",
               (folder / "no/such/trace.json").string()},
              1, "no/such");
  write_file_atomic(folder / "c.toml", std::string_view("profile = true\n"));
  check_fails(folder,
              with(train_arguments(folder / "data", folder / "other"), {"--config", (folder / "c.toml").string()}), 2,
              "'profile' cannot stand in a file");
}
