// What the real program does with model files that say what they are: changed on import, exported twice, taken for
// others.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "engine/io/seal.hpp"
#include "nn/export/graph_writer.hpp"
#include "nn/model_file.hpp"
#include "tests/cli_process.hpp"
#include "tests/small_nets.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

/// A model of three classes that says all that a model file can say.
Model described(Context& ctx, std::int64_t channels = 1, std::uint64_t seed = 1) {
  Model m;
  m.network = make_network(ctx, {.name = "resnet8", .width = 4, .channels = channels, .classes = 3});
  randomise(m.network->parameters(), seed);
  m.info.architecture = m.network->architecture();
  m.info.height = m.info.width = 12;
  m.info.normalization = {{0.4f}, {0.3f}};
  m.info.classes = {"low", "middle", "high"};
  m.info.task = "bars";
  m.info.test_accuracy = 0.75;
  return m;
}

std::string saved(const Model& m, const fs::path& file) {
  save_model(file, *m.network, m.info);
  return file.string();
}

Model imported(Context& ctx, const TempFolder& folder, const Arguments& more) {
  const std::string out = (folder / "out.safetensors").string();
  const Finished f =
      akin_(folder, with({"import", (folder / "m.safetensors").string(), "--out", out, "--force"}, more));
  CAPTURE(join(more));
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  return load_model(ctx, out);
}

}  // namespace

TEST_CASE("cli: import changes what a file says of itself, or refuses") {
  const TempFolder folder;
  Context ctx;
  const std::string file = saved(described(ctx), folder / "m.safetensors");
  const Model head = imported(ctx, folder, {"--new-head", "7"});
  CHECK_EQ(head.info.architecture.classes, 7);
  CHECK(head.info.classes.empty());
  CHECK_EQ(head.info.task, "");
  CHECK_EQ(head.info.test_accuracy, -1.0);
  CHECK_EQ(head.info.normalization.mean, std::vector<float>{0.4f});
  const Model colour = imported(ctx, folder, {"--channels", "3"});
  CHECK_EQ(colour.info.architecture.channels, 3);
  CHECK_EQ(colour.info.test_accuracy, -1.0);
  CHECK_EQ(colour.info.classes.size(), 3);
  CHECK_EQ(colour.info.normalization.mean, std::vector<float>(3, 0.4f));
  CHECK_EQ(imported(ctx, folder, {"--channels", "1"}).info.test_accuracy, 0.75);
  const Model other = imported(ctx, folder, {"--task", "stripes"});
  CHECK_EQ(other.info.task, "stripes");
  CHECK_EQ(other.info.test_accuracy, -1.0);
  CHECK_EQ(imported(ctx, folder, {"--task", "bars"}).info.test_accuracy, 0.75);
  CHECK_EQ(imported(ctx, folder, {"--size", "24x24"}).info.test_accuracy, -1.0);
  CHECK_EQ(imported(ctx, folder, {"--arch", "resnet8", "--mean", ".4"}).info.test_accuracy, 0.75);
  const Model cut = imported(ctx, folder, {"--crop", ".875", "--filter", "bicubic"});
  CHECK(cut.info.fit == Fit{.crop = 0.875, .filter = Filter::bicubic});
  CHECK_EQ(cut.info.test_accuracy, -1.0);
  const std::string words =
      "sees of a picture the middle 0.875 of the largest part in the shape of 12x12 (height x width), "
      "resized to it (bicubic, antialiased), grey";
  CHECK(has(akin_(folder, {"info", (folder / "out.safetensors").string()}).out, words));
  CHECK(imported(ctx, folder, {"--stretch"}).info.fit == Fit{.stretch = true});
  CHECK_EQ(imported(ctx, folder, {"--crop", "1"}).info.test_accuracy, 0.75);
  check_fails(folder, {"import", file, "--out", (folder / "o.safetensors").string(), "--filter", "lanczos"}, 2,
              "lanczos");
  check_fails(folder, {"import", file, "--out", (folder / "o.safetensors").string(), "--crop", "1", "--stretch"}, 2,
              "--crop");
  write_bars(folder / "data", 1, false);
  for (const Arguments& wrong : {Arguments{"--arch", "resnet14"},
                                 {"--arch", "resnet8", "--mean", ".5"},
                                 {"--arch", "resnet8", "--std", ".2"},
                                 {"--arch", "resnet8", "--stem", "small"},
                                 {"--arch", "resnet8", "--norm-eps", "0.01"},
                                 {"--arch", "resnet8", "--width", "8"}}) {
    const std::string data = (folder / "data").string(), out = (folder / "o.safetensors").string();
    for (const Arguments& command : {Arguments{"import", file, "--out", out},
                                     {"eval", "--model", file, "--data", data, "--quiet"},
                                     {"features", "--model", file, "--data", data, "--out", out, "--quiet"}}) {
      const Finished f = akin_(folder, with(command, wrong));
      CAPTURE(f.err);
      CHECK_EQ(f.code, 1);
      CHECK(has(f.err, "says itself that it is a resnet8 of width 4"));
    }
  }
  // Colour to grey, where each channel has a mean of its own.
  Model three = described(ctx, 3);
  three.info.normalization = {{0.4f, 0.5f, 0.6f}, {0.3f, 0.3f, 0.3f}};
  saved(three, folder / "m.safetensors");
  const Finished f = akin_(folder, {"import", file, "--channels", "1", "--out", (folder / "o.safetensors").string()});
  CHECK_EQ(f.code, 1);
  CHECK(has(f.err, "give what grey images are normalised by, --mean"));
  const Model grey = imported(ctx, folder, {"--channels", "1", "--arch", "resnet8", "--mean", ".45"});
  CHECK_EQ(grey.info.normalization.mean, std::vector<float>{0.45f});
  CHECK_EQ(grey.info.normalization.std, std::vector<float>{0.3f});
}

TEST_CASE("cli: export replaces all of an earlier export, and leaves what is somebody's") {
  const TempFolder folder;
  Context ctx;
  const std::string a = saved(described(ctx, 1, 1), folder / "a.safetensors"),
                    b = saved(described(ctx, 1, 2), folder / "b.safetensors"), out = (folder / "out").string();
  const auto run = [&](const std::string& file, const Arguments& more) {
    return akin_(folder, with({"export", file, "--out", out, "--name", "m"}, more));
  };
  REQUIRE_EQ(run(a, {"--fold"}).code, 0);
  CHECK(names_in(out) == Arguments{"m.graph.json", "m.md", "m.onnx", "m.safetensors"});
  REQUIRE_EQ(run(b, {"--force", "--format", "safetensors"}).code, 0);
  CHECK(names_in(out) == Arguments{"m.md", "m.safetensors"});
  write_file_atomic(folder / "out/m.onnx", std::string_view("somebody's"));
  const Finished f = run(a, {"--force", "--format", "safetensors"});
  CHECK_EQ(f.code, 1);
  CHECK(has(f.err, "m.onnx: lies there, and would pass for a part of this export"));
  CHECK_EQ(read_text(folder / "out/m.onnx"), "somebody's");
  REQUIRE_EQ(run(a, {"--force"}).code, 0);  // which writes that file, as asked
  // The model itself, of the export's name, stays.
  CHECK_EQ(akin_(folder, {"export", a, "--out", folder.path().string(), "--name", "a", "--format", "onnx"}).code, 0);
  CHECK(fs::exists(a));
}

TEST_CASE("cli: a student with two heads is exported with what PyTorch and others need") {
  const TempFolder folder;
  Context ctx;
  Model two = described(ctx);
  two.network->set_taught_head(ctx, 0.8);
  randomise(two.network->parameters(), 3);
  const std::string file = saved(two, folder / "two.safetensors"), out = (folder / "out").string();
  REQUIRE_EQ(akin_(folder, {"export", file, "--out", out, "--name", "plain"}).code, 0);
  const std::string card = read_text(folder / "out/plain.md");
  CHECK(has(card, "        return torch.logaddexp(F.log_softmax(at(\"fc\")("));  // both heads are the network's
  CHECK(has(card, "network.load_state_dict(weights)"));
  REQUIRE_EQ(akin_(folder, {"export", file, "--out", out, "--name", "folded", "--fold"}).code, 0);
  const nlohmann::json nodes = nlohmann::json::parse(read_text(folder / "out/folded.graph.json"))["nodes"];
  CHECK_EQ(nodes.back()["op"], "mix_heads");
  CHECK_EQ(nodes.back()["share"], 0.8);
  CHECK(has(read_text(folder / "out/folded.md"), "torch.logaddexp("));
}

TEST_CASE("cli: akin's own files that are no models are called by their true names") {
  const TempFolder folder;
  write_bars(folder / "target", 1, false);
  const auto file = [&](const std::string& name, const std::map<std::string, std::string>& metadata) {
    SafeTensors f;
    f.add("0.weight", Array(DType::f32, {3, 8}));
    f.metadata = metadata;
    seal(f);
    write_safetensors(folder / name, f);
    return (folder / name).string();
  };
  const std::string target = (folder / "target").string();
  const std::vector<std::pair<std::string, std::string>> all{
      {file("probe.safetensors",
            {{"format", "akin-probe-1"}, {"parts", "[{\"source\": \"birds\"}, {\"source\": \"dogs\"}]"}}),
       "is a probe of the features of sources birds, dogs (method probe-cv) and no model"},
      {file("head.safetensors", {{"format", "akin-head-1"}, {"source", "birds"}}),
       "is a linear probe's head on the features of source birds and no model"},
      {file("cache.safetensors", {{"format", "akin-outputs-1"}, {"source", "birds"}, {"task", "pets"}}),
       "is what source birds says of the images of pets, kept in a cache and no model"},
      {file("run.safetensors", {{"format", "akin-checkpoint-4"}}), "is a checkpoint of a training run and no model"},
      {file("new.safetensors", {{"format", "akin-model-9"}}), "is a model of another version of akin (akin-model-9)"}};
  for (const auto& [path, what] : all) {
    for (const Arguments& command :
         {Arguments{"eval", "--model", path, "--data", target, "--quiet"},
          {"export", path, "--out", (folder / "out").string()},
          {"features", "--model", path, "--data", target, "--out", (folder / "t.safetensors").string(), "--quiet"},
          {"import", path, "--arch", "resnet8", "--out", (folder / "o.safetensors").string(), "--quiet"},
          {"rank", "--target", target, "--sources", path, "--quiet"}}) {
      const Finished f = akin_(folder, command);
      CAPTURE(join(command));
      CAPTURE(f.err);
      CHECK_EQ(f.code, 1);
      CHECK(has(f.err, what));
      CHECK_FALSE(has(f.err, "--arch"));
    }
    const Finished info = akin_(folder, {"info", path});
    CHECK_EQ(info.code, 0);
    CHECK(has(what, info.out.substr(info.out.find(": ") + 2, 20)));
  }
}

TEST_CASE("cli: a label manifest may be a pipe, and a start from a model may not") {
  const TempFolder folder;
  write_bars(folder / "target", 1, false);
  const auto feed = [](const fs::path& pipe, const std::string& text) {
    return std::jthread([pipe, text] {
      const int fd = ::open(pipe.c_str(), O_WRONLY);
      CHECK_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
      ::close(fd);
    });
  };
  const Arguments distill{"distill",
                          "--target",
                          (folder / "target").string(),
                          "--methods",
                          "scratch",
                          "--steps",
                          "4",
                          "--batch",
                          "4",
                          "--student-width",
                          "4",
                          "--quiet",
                          "--cache",
                          "none"};
  REQUIRE_EQ(::mkfifo((folder / "labels").c_str(), 0600), 0);
  for (const char* text : {"per_class = 3\n", "\n{\"per_class\": 3}\n"}) {  // JSON is told by its brace
    const auto writer = feed(folder / "labels", text);
    const std::string out = (folder / (*text == 'p' ? "toml" : "json")).string();
    const Finished f = akin_(folder, with(distill, {"--labels", (folder / "labels").string(), "--out", out}));
    CAPTURE(f.err);
    CHECK_EQ(f.code, 0);
  }
  REQUIRE_EQ(::mkfifo((folder / "init.safetensors").c_str(), 0600), 0);
  const Finished f = akin_(
      folder, with(distill, {"--init", (folder / "init.safetensors").string(), "--out", (folder / "r").string()}));
  CAPTURE(f.err);
  CHECK_EQ(f.code, 2);
  CHECK(has(f.err, "init.safetensors: is a pipe or a device, which can be read once"));
}

TEST_CASE("cli: import --unfold says by which images, and refuses those that the network does not take") {
  const TempFolder folder;
  Context ctx;
  const Model plain = described(ctx);
  LayerGraph layers = capture_layers(ctx, *plain.network, 12, 12);
  fold_batchnorm(layers);
  Model folded = described(ctx);
  folded.network = to_graph_network(ctx, layers);
  const std::string file = saved(folded, folder / "m.safetensors"), out = (folder / "o.safetensors").string();
  write_bars(folder / "data", 1, false);
  write_bars(folder / "colour", 1, false, 3);
  const auto run = [&](const std::string& model, const char* data, const Arguments& more = {}) {
    return akin_(folder, with({"import", model, "--unfold", (folder / data).string(), "--out", out, "--force"}, more));
  };
  const Finished told = run(file, "data");
  CAPTURE(told.err);
  REQUIRE_EQ(told.code, 0);
  CHECK(has(told.out, "measured on 120 images of"));
  CHECK_FALSE(has(told.err, "warning"));
  CHECK_EQ(json_of(run(file, "data", {"--json"}))["unfolded_by_images"], 120);
  CHECK(json_of(akin_(folder, {"import", file, "--out", out, "--force", "--json"}))["unfolded_by_images"].is_null());
  const Finished colour = run(file, "colour");
  CHECK_EQ(colour.code, 1);
  CHECK(has(colour.err, "its images have 3 channels, " + file + " takes 1"));
  const Finished twice = run(saved(plain, folder / "plain.safetensors"), "data");
  CHECK_EQ(twice.code, 1);
  CHECK(has(twice.err, "plain.safetensors: a resnet8 has batch norms of its own"));
  ImageSet black = bars(2, 1, false);
  std::fill(black.images.as<std::uint8_t>().begin(), black.images.as<std::uint8_t>().end(), std::uint8_t{0});
  save_images(black, Split::train, folder / "black");
  const Finished dark = run(file, "black");
  CHECK_EQ(dark.code, 0);
  CHECK(has(dark.err, "one picture alone (6 images)"));
}

TEST_CASE("cli: OMP_NUM_THREADS is checked as --threads is") {
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const Arguments show{"data", "show", (folder / "data").string()};
  for (const char* wrong : {"5000", "3000000000", "abc", "0", "-3", "1.5"}) {
    ::setenv("OMP_NUM_THREADS", wrong, 1);
    const Finished f = akin_(folder, show);
    CAPTURE(f.err);
    CHECK_EQ(f.code, 2);
    CHECK(has(f.err, fmt::format("OMP_NUM_THREADS is '{}': expected a whole number from 1 to 4096", wrong)));
    CHECK_EQ(akin_(folder, {"--version"}).code, 0);
  }
  for (const char* right : {"2", " 3", "2,1", ""}) {
    ::setenv("OMP_NUM_THREADS", right, 1);
    CHECK_EQ(akin_(folder, show).code, 0);
  }
  ::setenv("OMP_NUM_THREADS", "1", 1);
}

TEST_CASE("cli: files go into folders that are not there yet, and weights of another family are told in short") {
  const TempFolder folder;
  write_bars(folder / "target", 1, false);
  const std::string model = (folder / "run/model.safetensors").string();
  REQUIRE_EQ(akin_(folder, train_arguments(folder / "target", folder / "run")).code, 0);
  const std::string target = (folder / "target").string();
  for (const Arguments& a :
       {Arguments{"import", model, "--out", (folder / "bank/new/m.safetensors").string()},
        {"features", "--model", model, "--data", target, "--out", (folder / "tables/new/m.safetensors").string()},
        {"rank", "--target", target, "--sources", model, "--replicates", "0", "--out",
         (folder / "lists/new/rank.csv").string()},
        {"data", "show", target, "--png", (folder / "pictures/new/sheet.png").string()},
        {"init", target, "--out", (folder / "settings/new/fit.toml").string()}}) {
    const Finished f = akin_(folder, a);
    CAPTURE(join(a));
    CAPTURE(f.err);
    CHECK_EQ(f.code, 0);
    CHECK(fs::is_regular_file(a.back()));
  }
  SafeTensors bare = read_safetensors(model);
  bare.metadata.clear();
  write_safetensors(folder / "bare.safetensors", bare);
  const Finished wrong = akin_(folder, {"import", (folder / "bare.safetensors").string(), "--arch", "mobilenet_v2",
                                        "--out", (folder / "wrong/m.safetensors").string()});
  CAPTURE(wrong.err);
  CHECK_EQ(wrong.code, 1);
  CHECK_LT(wrong.err.size(), 1000u);
  CHECK(has(wrong.err, "weights do not fit mobilenet_v2"));
  CHECK(has(wrong.err, "missing features.0.0.weight, "));
  CHECK(has(wrong.err, " more; unexpected bn1.bias, "));
  CHECK(has(wrong.err, "Names in the file begin with \"layer"));
  CHECK_FALSE(fs::exists(folder / "wrong"));
}
