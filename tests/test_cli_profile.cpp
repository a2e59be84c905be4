// What --profile and --trace show: the tables, and the commands that print them.
#include <doctest/doctest.h>

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
  const std::string trace = (folder / "t.json").string();
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
  const Finished eval = akin_(folder, {"eval", "--model", model, "--data", (folder / "data").string(), "--profile"});
  CHECK_EQ(eval.code, 0);
  CHECK(has(eval.err, "Profile of "));
  const Finished failed =
      akin_(folder, {"eval", "--model", model, "--data", (folder / "nothing").string(), "--profile"});
  CHECK_EQ(failed.code, 1);
  CHECK(has(failed.err, "Profile of "));
  check_fails(
      folder,
      {"eval", "--model", model, "--data", (folder / "data").string(), "--trace", (folder / "no/such/t.json").string()},
      1, "no/such");
}
