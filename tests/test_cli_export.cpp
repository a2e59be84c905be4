// akin export as people use it: files, their content, and every way to be told no.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/io/safetensors.hpp"
#include "tests/cli_process.hpp"
#include "tests/onnx_reader.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

/// The logits that akin gives the test images.
std::vector<float> akins_logits(const TempFolder& folder, const fs::path& model) {
  const fs::path table = folder / "table.safetensors";
  const Finished f = akin_(folder, {"features", "--model", model.string(), "--data", (folder / "target").string(),
                                    "--split", "test", "--out", table.string(), "--force", "--quiet"});
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  const Array logits = read_safetensors(table).at("logits");
  return {logits.as<float>().begin(), logits.as<float>().end()};
}

double apart(const std::vector<double>& a, const std::vector<float>& b) {
  REQUIRE_EQ(a.size(), b.size());
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(a[i] - static_cast<double>(b[i]));
    if (!(d <= worst)) worst = d;
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return worst / largest;
}

}  // namespace

TEST_CASE("cli: export") {
  const TempFolder folder;
  make_bank(folder);
  const Finished distill = akin_(folder, distill_arguments(folder, "run"));
  CAPTURE(distill.err);
  REQUIRE_EQ(distill.code, 0);
  const fs::path run = folder / "run", student = run / "student.safetensors";

  const Finished plain = akin_(folder, {"export", student.string()});
  CAPTURE(plain.err);
  REQUIRE_EQ(plain.code, 0);
  CHECK_EQ(plain.err, "");
  CHECK(has(plain.out, "run.onnx"));
  CHECK(names_in(run / "export") == Arguments{"run.md", "run.onnx", "run.safetensors"});
  const std::string card = read_text(run / "export/run.md");
  for (const char* part : {"DistillWeighted (this model's)", "seed 0", "12 labelled images", "| a | 3 |",
                           "low, middle, high", "akin distill --target"})
    CHECK_MESSAGE(has(card, part), std::string(part));

  // 20 images a class, one channel: NHWC is NCHW.
  const ImageSet images = load_images(folder / "target", Split::test);
  OnnxTensor x{{60, 1, 12, 12}, {}};
  for (const std::uint8_t p : images.images.as<std::uint8_t>()) x.v.push_back(p);
  const std::vector<float> wanted = akins_logits(folder, student);
  const std::string bytes = read_text(run / "export/run.onnx");
  const OnnxFile file(bytes);
  // A trained ResNet-8 of width 4: nine layers of sums of at most 144 terms in float, 1.2e-7 / 2 sqrt(9 144), times 20.
  constexpr double kTolerance = 4.3e-5;
  const double error = apart(file.run(x).v, wanted);
  CHECK_FALSE(!(error <= kTolerance));
  CHECK_EQ(file.metadata.at("task"), "target");
  CHECK_EQ(file.metadata.at("classes"), "[\"low\",\"middle\",\"high\"]");
  CHECK(has(file.metadata.at("input"), "\"crop\":1.0,\"filter\":\"bilinear\""));
  // The weights are the student's, and heads for sources are in no file.
  const SafeTensors before = read_safetensors(student), after = read_safetensors(run / "export/run.safetensors");
  REQUIRE_EQ(after.tensors.size(), before.tensors.size());
  for (const auto& [name, array] : before.tensors) {
    const Array& same = after.at(name);
    CHECK(same.shape() == array.shape());
    CHECK_EQ(std::memcmp(same.bytes(), array.bytes(), array.byte_size()), 0);
  }
  CHECK_EQ(file.output_dims.back(), 3);

  const Finished folded = akin_(
      folder, {"export", student.string(), "--fold", "--out", (folder / "f").string(), "--name", "small", "--json"});
  CAPTURE(folded.err);
  REQUIRE_EQ(folded.code, 0);
  CHECK_EQ(json_of(folded)["folded"], true);
  CHECK_EQ(json_of(folded)["files"].size(), 4);
  CHECK(names_in(folder / "f") == Arguments{"small.graph.json", "small.md", "small.onnx", "small.safetensors"});
  CHECK_FALSE(has(read_text(folder / "f/small.onnx"), "BatchNormalization"));
  CHECK(has(bytes, "BatchNormalization"));
  const double folded_error = apart(OnnxFile(read_text(folder / "f/small.onnx")).run(x).v, wanted);
  CHECK_FALSE(!(folded_error <= kTolerance));
  const std::vector<float> graph = akins_logits(folder, folder / "f/small.safetensors");
  const double graph_error = apart({graph.begin(), graph.end()}, wanted);
  CHECK_FALSE(!(graph_error <= kTolerance));
  // An exported model can be exported, by itself and under its own name elsewhere.
  const Finished again = akin_(folder, {"export", (folder / "f/small.safetensors").string(), "--format", "onnx"});
  CAPTURE(again.err);
  CHECK_EQ(again.code, 0);
  CHECK(names_in(folder / "f/export") == Arguments{"small.md", "small.onnx"});
  CHECK(has(read_text(folder / "f/export/small.md"), "Method: not recorded"));

  // Nothing is overwritten without being asked to.
  const std::string old = read_text(run / "export/run.md");
  check_fails(folder, {"export", student.string()}, 1, "--force replaces it");
  check_fails(folder, {"export", student.string(), "--format", "onnx"}, 1, "run.onnx");
  CHECK_EQ(read_text(run / "export/run.md"), old);
  CHECK_EQ(akin_(folder, {"export", student.string(), "--force", "--quiet"}).code, 0);
  check_fails(folder, {"export", student.string(), "--out", run.string(), "--name", "student", "--force"}, 1,
              "is the model to export");
  CHECK(fs::exists(student));

  // A broken report does not keep a model inside.
  fs::copy_file(run / "report.json", folder / "kept.json");
  write_file_atomic(run / "report.json", std::string_view("{"));
  const Finished warned = akin_(folder, {"export", student.string(), "--force"});
  CHECK_EQ(warned.code, 0);
  CHECK(has(warned.err, "warning"));
  CHECK(has(warned.err, "report.json"));
  CHECK(has(read_text(run / "export/run.md"), "Method: not recorded"));
  // Nor does it keep the record of the student from telling: it goes, or is another run's.
  fs::remove(run / "report.json");
  CHECK_EQ(akin_(folder, {"export", student.string(), "--force", "--quiet"}).code, 0);
  std::string told = read_text(run / "export/run.md");
  CHECK_FALSE(has(told, "Method: not recorded"));
  CHECK(has(told, "- Run: not recorded"));
  // What lies in a run folder and is none of its students has nothing of the run.
  fs::copy_file(folder / "kept.json", run / "report.json");
  fs::copy_file(folder / "f/small.safetensors", run / "guest.safetensors");
  fs::copy_file(folder / "f/small.graph.json", run / "guest.graph.json");
  CHECK_EQ(akin_(folder, {"export", (run / "guest.safetensors").string(), "--quiet"}).code, 0);
  told = read_text(run / "export/guest.md");
  for (const char* what : {"Method", "Label budget", "Sources", "Settings"})
    CHECK_MESSAGE(has(told, fmt::format("- {}: not recorded", what)), std::string(what));
}

TEST_CASE("cli: export of a folder for the Hub") {
  const TempFolder folder;
  write_bars(folder / "target", 1, false);
  REQUIRE_EQ(akin_(folder, train_arguments(folder / "target", folder / "net")).code, 0);
  const std::string model = (folder / "net/model.safetensors").string();
  const Finished f = akin_(folder, {"export", model, "--format", "hub,onnx", "--weights", "f16", "--data",
                                    (folder / "target").string(), "--json"});
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  const fs::path out = folder / "net/export", hub = out / "net-hub";
  const Arguments all{"net-hub/README.md",
                      "net-hub/config.json",
                      "net-hub/model.safetensors",
                      "net-hub/preprocessor_config.json",
                      "net.md",
                      "net.onnx"};
  CHECK(names_in(out) == all);
  // What f16 keeps is measured, said and written down.
  const nlohmann::json kept = json_of(f)["kept"];
  CHECK_EQ(kept["images"], 60);
  CHECK(kept["same_class"] > 0.9);
  CHECK_EQ(json_of(f)["weights"], "f16");
  const std::string card = read_text(hub / "README.md");
  CHECK(card.starts_with("---\n# license: yours to add"));
  for (const char* part :
       {"library_name: pytorch\n", "pipeline_tag: image-classification\n",
        "    - type: accuracy\n      value: ", "class Network(nn.Module):", "load_file(\"model.safetensors\")",
        "[\"label_names\"]", "Its weights are stored as f16. On the 60 test images of target",
        "akin predict model.safetensors PICTURES", "Files: config.json, model.safetensors"})
    CHECK_MESSAGE(has(card, part), std::string(part));
  CHECK(has(read_text(out / "net.md"), "Its weights are stored as f16."));
  CHECK_FALSE(has(read_text(out / "net.md"), "library_name"));
  const nlohmann::json config = nlohmann::json::parse(read_text(hub / "config.json"));
  CHECK_EQ(config["num_classes"], 3);
  CHECK_EQ(config["pretrained_cfg"]["input_size"], nlohmann::json({1, 12, 12}));
  // It is a model of akin's, and says so beside what others want.
  const SafeTensors weights = read_safetensors(hub / "model.safetensors");
  CHECK_EQ(weights.metadata.at("format"), "pt");
  const std::vector<float> wanted = akins_logits(folder, model),
                           found = akins_logits(folder, hub / "model.safetensors");
  CHECK(apart({found.begin(), found.end()}, wanted) < 0.01);
  CHECK(fs::file_size(hub / "model.safetensors") < 0.75 * static_cast<double>(fs::file_size(model)));
  // Nothing is overwritten without being asked to; with it all is.
  check_fails(folder, {"export", model, "--format", "hub"}, 1, "net-hub/config.json");
  CHECK_EQ(akin_(folder, {"export", model, "--format", "hub", "--force", "--quiet"}).code, 0);
  CHECK_FALSE(has(read_text(hub / "README.md"), "f16"));
  CHECK(names_in(out) == all);
}

TEST_CASE("cli: export as int8, which akin runs") {
  const TempFolder folder;
  write_bars(folder / "target", 1, false);
  REQUIRE_EQ(akin_(folder, train_arguments(folder / "target", folder / "net")).code, 0);
  const std::string model = (folder / "net/model.safetensors").string(), data = (folder / "target").string();
  const Finished f = akin_(folder, {"export", model, "--weights", "int8", "--data", data});
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  CHECK(has(f.out, "60 test images of target: "));
  CHECK(has(f.out, " % right as int8, "));
  const fs::path stored = folder / "net/export/net.safetensors";
  const std::string card = read_text(folder / "net/export/net.md");
  CHECK(has(card, "those of the head as f16"));
  CHECK(has(card, "stored as int8, with a scale for each output channel"));
  CHECK(has(card, "This model with weights in f32, on the test split"));
  CHECK(has(card, "name + \"_scale\" in weights"));
  // The figure that it printed is what akin eval finds of the file.
  const Finished e = akin_(folder, {"eval", "--model", stored.string(), "--data", data, "--json"});
  CAPTURE(e.err);
  REQUIRE_EQ(e.code, 0);
  CHECK(has(f.out, fmt::format("{:.2f} % right as int8", 100 * json_of(e)["accuracy"].get<double>())));
  // ONNX gives the logits of that file.
  const ImageSet images = load_images(data, Split::test);
  OnnxTensor x{{60, 1, 12, 12}, {}};
  for (const std::uint8_t p : images.images.as<std::uint8_t>()) x.v.push_back(p);
  const std::string bytes = read_text(folder / "net/export/net.onnx");
  CHECK(has(bytes, "DequantizeLinear"));
  CHECK(apart(OnnxFile(bytes).run(x).v, akins_logits(folder, stored)) < 4.3e-5);
  CHECK(apart(OnnxFile(bytes).run(x).v, akins_logits(folder, model)) > 1e-4);
}

TEST_CASE("cli: export says what is wrong") {
  const TempFolder folder;
  write_bars(folder / "target", 1, false);
  const Finished train = akin_(folder, train_arguments(folder / "target", folder / "net"));
  CAPTURE(train.err);
  REQUIRE_EQ(train.code, 0);
  const std::string model = (folder / "net/model.safetensors").string(), table = (folder / "t.safetensors").string();
  REQUIRE_EQ(akin_(folder, {"features", "--model", model, "--data", (folder / "target").string(), "--out", table}).code,
             0);
  const std::vector<std::string> before = names_in(folder.path());

  check_fails(folder, {"export"}, 2, "file is required");
  check_fails(folder, {"export", (folder / "none.safetensors").string()}, 1, "none.safetensors");
  check_fails(folder, {"export", table}, 1, "is a table of features and logits");
  check_fails(folder, {"export", (folder / "net").string()}, 1, "is a folder");
  check_fails(folder, {"export", (folder / "net/config.toml").string()}, 1, "config.toml");
  check_fails(folder, {"export", model, "--format", "onnx,tflite"}, 2, "'tflite': known are safetensors, onnx and hub");
  check_fails(folder, {"export", model, "--weights", "int4"}, 2, "'int4': known are f32, f16 and int8");
  check_fails(folder, {"export", model, "--weights", "int8", "--format", "hub"}, 2, "--format hub takes f32 and f16");
  check_fails(folder, {"export", model, "--data", (folder / "target").string()}, 2, "--weights f16 or int8");
  check_fails(folder, {"export", model, "--weights", "f16", "--data", (folder / "no").string()}, 1, "no");
  ImageSet other = bars(20, 2, false);
  other.classes[2] = "owl";
  save_images(other, Split::test, folder / "task");
  check_fails(folder, {"export", model, "--weights", "f16", "--data", (folder / "task").string()}, 1,
              "an accuracy of another task");
  std::filesystem::remove_all(folder / "task");
  check_fails(folder, {"export", model, "--format", ""}, 2, "--format");
  check_fails(folder, {"export", model, "--name", "a/b"}, 2, "--name");
  check_fails(folder, {"export", model, "--size", "12"}, 2, "--size");
  check_fails(folder, {"export", model, "--out", model}, 1, "model.safetensors");
  check_fails(folder, {"export", model, "--out", "/proc/none"}, 1, "/proc/none");
  SafeTensors file = read_safetensors(model);
  file.metadata.clear();
  write_safetensors(folder / "foreign.safetensors", file);
  check_fails(folder, {"export", (folder / "foreign.safetensors").string()}, 1, "akin import");
  fs::remove(folder / "foreign.safetensors");
  std::vector<std::string> after = names_in(folder.path());
  std::erase_if(after, [](const std::string& n) { return n == "stdout" || n == "stderr"; });
  std::vector<std::string> expected = before;
  std::erase_if(expected, [](const std::string& n) { return n == "stdout" || n == "stderr"; });
  CHECK(after == expected);

  const Finished help = akin_(folder, {"export", "--help"});
  CHECK_EQ(help.code, 0);
  for (const char* part : {"--fold", "--format", "--out", "operator set 13", "Example:"})
    CHECK_MESSAGE(has(help.out, part), std::string(part));
}
