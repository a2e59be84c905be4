// What students start from: networks of the zoo, folded ones and quantised ones, by name, by file, or as a source.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/io/safetensors.hpp"
#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

/// A folded network as converters of deployed models write it: weights as bytes, the layers beside them.
void write_quantised(const fs::path& folded, const fs::path& out) {
  const SafeTensors from = read_safetensors(folded);
  SafeTensors to;
  to.metadata["input"] = "grey, (x-128)/128";
  for (const auto& [name, array] : from.tensors) {
    if (!name.ends_with(".weight")) {
      to.add(name, array);
      continue;
    }
    const auto w = array.as<float>();
    const auto [low, high] = std::minmax_element(w.begin(), w.end());
    const float scale = (*high - *low) / 255, zero = std::round(-*low / scale);
    Array bytes(DType::u8, array.shape()), scales(DType::f32, {1}), zeros(DType::f32, {1});
    for (std::size_t i = 0; i < w.size(); ++i)
      bytes.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(std::clamp(std::round(w[i] / scale + zero), 0.f, 255.f));
    scales.as<float>()[0] = scale;
    zeros.as<float>()[0] = zero;
    to.add(name, bytes);
    to.add(name + "_scale", scales);
    to.add(name + "_zero_point", zeros);
  }
  write_safetensors(out, to);
}

/// A bank of a plain network, the same folded, and that quantised.
struct Starts {
  TempFolder folder;
  std::string plain, folded, quantised;
  Starts()
      : plain((folder / "a.safetensors").string()),
        folded((folder / "folded/low.safetensors").string()),
        quantised((folder / "bytes.safetensors").string()) {
    make_bank(folder);
    const Finished f = akin_(folder, {"export", plain, "--fold", "--format", "safetensors", "--out",
                                      (folder / "folded").string(), "--name", "low"});
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
    write_quantised(folded, quantised);
    fs::copy_file(folder / "folded/low.graph.json", folder / "bytes.graph.json");
  }
  Arguments distill(const std::string& out, const Arguments& more) const {
    return with({"distill", "--target", (folder / "target").string(), "--labels-per-class", "4", "--steps", "60",
                 "--batch", "8", "--unlabelled-batch", "8", "--lr", "0.01", "--replicates", "0", "--threads", "1",
                 "--out", (folder / out).string()},
                more);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Starts, "starts: a source by its name or file, whatever kind of network it is") {
  int n = 0;
  for (const std::string& file : {plain, folded, quantised}) {
    const std::string name = fs::path(file).stem().string();
    double accuracy[2];
    for (const bool by_name : {true, false}) {
      const std::string out = fmt::format("run{}", ++n);
      Arguments a =
          distill(out, {"--student", by_name ? name : file, "--methods", "scratch,transfer,weighted", "--transfer",
                        name, "--sources", file, (folder / "b.safetensors").string(), "--json"});
      const Finished f = akin_(folder, a);
      CAPTURE(join(a));
      CAPTURE(f.err);
      REQUIRE_EQ(f.code, 0);
      // It knew these bars: what begins with its weights does better than chance after a few steps.
      const auto methods = json_of(f)["methods"];
      REQUIRE_EQ(methods.size(), 3u);
      for (const auto& m : methods) CHECK_GT(m["test_accuracy_mean"].get<double>(), 0.5);
      accuracy[by_name] = methods[0]["test_accuracy_mean"].get<double>();
    }
    CHECK_EQ(accuracy[0], accuracy[1]);
    const Finished init =
        akin_(folder, distill("init" + name, {"--student", "init", "--init", file, "--methods", "scratch", "--json"}));
    CAPTURE(init.err);
    REQUIRE_EQ(init.code, 0);
    CHECK_EQ(json_of(init)["methods"][0]["test_accuracy_mean"].get<double>(), accuracy[0]);
    // The student is a model like any other.
    const Finished eval = akin_(folder, {"eval", "--model", (folder / "init").string() + name + "/student.safetensors",
                                         "--data", (folder / "target").string(), "--json"});
    CAPTURE(eval.err);
    CHECK_EQ(eval.code, 0);
    CHECK_EQ(json_of(eval)["accuracy"].get<double>(), doctest::Approx(accuracy[0]));
  }
}

TEST_CASE_FIXTURE(Starts, "starts: what does not fit is told before any source looks at a picture, with what would") {
  const auto refused = [&](const Arguments& more, int code, const std::string& what) {
    const Finished f = akin_(folder, distill("run", with(more, {"--sources", plain, folded, quantised})));
    CAPTURE(join(more));
    CAPTURE(f.err);
    CHECK_EQ(f.code, code);
    CHECK(has(f.err, what));
    CHECK_FALSE(has(f.err, "outputs of"));
    CHECK_FALSE(has(f.err, "of width 0"));
  };
  refused(
      {"--student", "mobilenet_v1", "--methods", "transfer", "--transfer", "low"}, 1,
      "the student is a mobilenet_v1 of width 32 for 1 channel, and low is a layer graph for 1 channel; --student low "
      "has that network");
  refused(
      {"--student", "mobilenet_v1", "--methods", "scratch,transfer"}, 1,
      "no source has the student's architecture, a mobilenet_v1 of width 32 for 1 channel: a is a resnet8 of width 4");
  refused(
      {"--student", "resnet8", "--init", quantised, "--methods", "scratch"}, 1,
      "is a layer graph for 1 channel; a student that is a resnet8 of width 16, shortcut A for 1 channel cannot start "
      "from it; --student init has that model's own network");
  refused({"--student", "low", "--init", plain, "--methods", "scratch"}, 2, "leave one of the two out");
  refused({"--student", "a", "--student-width", "8", "--methods", "scratch"}, 2, "leave one of the two out");
  refused({"--student", "graph", "--methods", "scratch"}, 2, "is no network, no source and no file");
}
