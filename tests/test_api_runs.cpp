// akin_distill and akin_fit: the runs of the program, from settings, with a callback instead of a terminal.
#include <doctest/doctest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "api/akin.h"
#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

using Json = nlohmann::json;

/// What hooks were told.
struct Heard {
  Arguments lines;
  std::string labels;
  int calls = 0, stop_at = -1;  ///< of the calls of steps
  akin_run_hooks hooks() {
    return {[](void* user, const char* line) { static_cast<Heard*>(user)->lines.emplace_back(line); },
            [](void* user, const char* label, std::int64_t done, std::int64_t total, const char* unit) {
              Heard& h = *static_cast<Heard*>(user);
              CHECK_GE(done, 0);
              CHECK_LE(done, total);
              h.labels += std::string(label) + "\n";
              return unit == std::string("steps") && h.calls++ == h.stop_at ? 1 : 0;
            },
            this};
  }
};

struct Outcome {
  int code = -1;
  std::string text, error;
};

Outcome run(decltype(&akin_distill) function, const std::string& settings, unsigned flags = 0, Heard* heard = nullptr) {
  akin_text text = nullptr;
  const akin_run_hooks hooks = heard != nullptr ? heard->hooks() : akin_run_hooks{};
  Outcome out;
  out.code = function(settings.c_str(), flags, heard != nullptr ? &hooks : nullptr, &text);
  if (text != nullptr) out.text = text;
  akin_text_free(text);
  out.error = out.code == AKIN_OK ? "" : akin_last_error();
  return out;
}

std::string settings_for(const TempFolder& folder, const std::string& out) {
  return fmt::format(
      "target = \"{0}/target\"\nlabels-per-class = 4\nunlabelled = 60\nmethods = \"scratch,nearest\"\nsteps = 20\n"
      "batch = 8\nunlabelled-batch = 8\nstudent-width = 4\nreplicates = 20\nthreads = 1\nout = \"{0}/{1}\"\n"
      "sources = [\"{0}/a.safetensors\", \"{0}/b.safetensors\"]\n",
      folder.path().string(), out);
}

}  // namespace

TEST_CASE("api: a run from settings is the program's; it is told of, stops and goes on") {
  const TempFolder folder;
  make_bank(folder);
  const Finished program = akin_(folder, distill_arguments(folder, "cli", {"--json"}, {.methods = "scratch,nearest"}));
  REQUIRE_EQ(program.code, 0);
  Heard heard;
  const Outcome whole = run(akin_distill, settings_for(folder, "api"), 0, &heard);
  CAPTURE(whole.error);
  REQUIRE_EQ(whole.code, AKIN_OK);
  const Json said = Json::parse(whole.text), wanted = json_of(program);
  CHECK_EQ(said["folder"], (folder / "api").string());
  CHECK_EQ(said["delivered"], wanted["delivered"]);
  CHECK_EQ(said["methods"].size(), 2);
  for (std::size_t m = 0; m < 2; ++m)
    CHECK_EQ(said["methods"][m].at("test_accuracy_mean"), wanted["methods"][m].at("test_accuracy_mean"));
  const Bytes student = read_file(folder / "cli/student.safetensors");
  CHECK(read_file(folder / "api/student.safetensors") == student);
  CHECK(fs::exists(folder / "api/report.html"));
  CHECK_GT(heard.calls, 20);
  CHECK(has(heard.labels, "\n"));
  CHECK_FALSE(heard.lines.empty());

  CHECK_EQ(run(akin_distill, settings_for(folder, "api")).code, AKIN_FAILED);  // it is there
  Heard stopper;
  stopper.stop_at = 25;
  const Outcome stopped = run(akin_distill, settings_for(folder, "stopped"), 0, &stopper);
  CHECK_EQ(stopped.code, AKIN_STOPPED);
  CHECK_EQ(stopped.text, "");
  CHECK(has(stopped.error, "stopped on request"));
  CHECK_FALSE(fs::exists(folder / "stopped/report.json"));
  const Outcome resumed = run(akin_distill, settings_for(folder, "stopped"), AKIN_RESUME);
  CAPTURE(resumed.error);
  REQUIRE_EQ(resumed.code, AKIN_OK);
  CHECK(read_file(folder / "stopped/student.safetensors") == student);
  CHECK_EQ(run(akin_distill, settings_for(folder, "stopped"), AKIN_FORCE).code, AKIN_OK);

  // fit, by a program in C: the outcome is all that it prints.
  write_file_atomic(folder / "fit.toml",
                    fmt::format("[fit]\ndata = \"{0}/target\"\nsources = [\"{0}/a.safetensors\"]\nsize = \"12x12\"\n"
                                "steps = 6\nthreads = 1\nout = \"{0}/fit\"\n",
                                folder.path().string()));
  const std::string client = fmt::format("'{0}/bin/api_client' fit '{1}/fit.toml' > '{1}/out' 2> '{1}/err'",
                                         AKIN_BINARY_DIR, folder.path().string());
  CHECK_EQ(std::system(client.c_str()), 0);
  CHECK_EQ(read_text(folder / "err"), "");
  CHECK_EQ(Json::parse(read_text(folder / "out"))["folder"], (folder / "fit").string());
  CHECK(fs::exists(folder / "fit/student.safetensors"));
}

TEST_CASE("api: settings that cannot be are told as of a file of --config") {
  const TempFolder folder;
  const auto refused = [&](const std::string& settings, int code, const std::string& text, unsigned flags = 0) {
    const Outcome o = run(akin_distill, settings, flags);
    CAPTURE(o.error);
    CHECK_EQ(o.code, code);
    CHECK(has(o.error, text));
    CHECK_EQ(o.text, "");
  };
  refused("colour = 3\n", AKIN_USAGE, "--config: settings: unknown or unusable setting 'colour'");
  refused("steps = \n", AKIN_USAGE, "settings");
  refused("steps = -4\ntarget = \"x\"\n", AKIN_USAGE, "steps");
  refused("[fit]\nsteps = 4\n", AKIN_USAGE, "another command than distill");
  refused("steps = 4\n", AKIN_USAGE, "--target");
  refused("resume = true\ntarget = \"x\"\n", AKIN_USAGE, "'resume' cannot stand in a file");
  refused("target = \"nowhere\"\nmethods = \"scratch\"\n", AKIN_FAILED, "nowhere");
  refused("target = \"x\"\n", AKIN_USAGE, "flags 64", 64);
  CHECK_EQ(akin_fit(nullptr, 0, nullptr, nullptr), AKIN_USAGE);
  CHECK(has(akin_last_error(), "settings: is NULL"));
}
