// The real program on the emulated device: the whole pipeline there gives what it gives on the CPU.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/common/gpu/device.hpp"
#include "kernels/common/onednn.hpp"
#include "tests/cli_process.hpp"

using namespace akin;
using namespace akin::test;

namespace {

double accuracy_of(const TempFolder& folder, const std::filesystem::path& model, const std::string& device) {
  const Finished f = akin_(folder, {"eval", "--model", model.string(), "--data", (folder / "target").string(),
                                    "--device", device, "--json", "--quiet"});
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  return json_of(f)["accuracy"].get<double>();
}

const DistillCase kDistil{.methods = "weighted", .unlabelled = 40, .steps = 6};

std::string student(const TempFolder& folder, const std::string& out, const Arguments& more) {
  const Finished f = akin_(folder, distill_arguments(folder, out, more, kDistil));
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  return read_text(folder / out / "student.safetensors");
}

}  // namespace

TEST_CASE("cli: sources, ranking and students on the emulated device") {
  const TempFolder folder;
  make_bank(folder);
  const std::filesystem::path half = folder / "half";
  const Finished trained =
      akin_(folder, {"train", "--data", (folder / "data_a").string(), "--width", "4", "--epochs", "1", "--batch", "12",
                     "--out", half.string(), "--device", "sim", "--precision", "bf16", "--threads", "1", "--quiet"});
  CAPTURE(trained.err);
  REQUIRE_EQ(trained.code, 0);
  const double cpu = accuracy_of(folder, half / "model.safetensors", "cpu"),
               sim = accuracy_of(folder, half / "model.safetensors", "sim");
  CHECK_EQ(cpu, sim);

  const auto ranking = [&](const char* device) {
    const Finished f =
        akin_(folder, {"rank", "--target", (folder / "target").string(), "--labels-per-class", "4", "--sources",
                       (folder / "a.safetensors").string(), (folder / "b.safetensors").string(), "--metric", "parc,cka",
                       "--replicates", "20", "--device", device, "--threads", "1", "--json", "--quiet"});
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
    return json_of(f);
  };
  const auto a = ranking("cpu"), b = ranking("sim");
  for (const std::size_t m : {0u, 1u})
    for (const std::size_t s : {0u, 1u}) {
      CHECK_EQ(a["metrics"][m]["sources"][s]["source"], b["metrics"][m]["sources"][s]["source"]);
      const double x = a["metrics"][m]["sources"][s]["value"], y = b["metrics"][m]["sources"][s]["value"];
      CHECK_FALSE(!(std::abs(x - y) <= 0.01));  // features differ by rounding: pairs of 12 images may swap ranks
    }

  CHECK(student(folder, "graph", {"--device", "sim"}) == student(folder, "eager", {"--device", "sim", "--no-graph"}));
}

TEST_CASE("cli: bf16 on the CPU gives the same student twice, profiled or not, or is refused") {
  const TempFolder folder;
  make_bank(folder);
  const Arguments full{"--device", "cpu"}, half = with(full, {"--precision", "bf16"});
  if (!fast::onednn_has_bf16()) {
    check_fails(folder, distill_arguments(folder, "half", half, kDistil), 2, "--precision bf16");
    return;
  }
  const std::string once = student(folder, "once", half);
  CHECK(once == student(folder, "again", with(half, {"--profile"})));
  CHECK(once != student(folder, "full", full));
}

TEST_CASE("cli: a device that is not there is an error, never a silent fallback") {
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const Arguments train = train_arguments(folder / "data", folder / "run");
  if (!cuda_usable()) check_fails(folder, with(train, {"--device", "cuda"}), 1, "--device cpu");
  // The same build on a processor without AVX512_BF16, as oneDNN sees it.
  ::setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
  check_fails(folder, with(train, {"--device", "cpu", "--precision", "bf16"}), 2,
              fast::onednn_version().empty() ? "libdnnl-dev" : "AVX512_BF16");
  ::unsetenv("ONEDNN_MAX_CPU_ISA");
  check_fails(folder, with(train, {"--device", "tpu"}), 2, "sim");
  CHECK_FALSE(std::filesystem::exists(folder / "run"));
  const Finished info = akin_(folder, {"info"});
  CHECK_EQ(info.code, 0);
  CHECK(has(info.out, cuda_usable() ? "sm_" : "cpu"));
}
