// What the real program takes for an option's value, and what it says of data before it spends time on them.
#include <doctest/doctest.h>

#include <array>

#include "engine/io/npy.hpp"
#include "engine/io/safetensors.hpp"
#include "nn/model_file.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

TEST_CASE("cli: whole numbers are decimal, whatever zeros stand before them and wherever they come from") {
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const std::string data = (folder / "data").string();
  const auto config = [&](const std::string& run) { return read_text(folder / run / "config.toml"); };
  const auto train = [&](const std::string& run, const Arguments& more) {
    const Finished f = akin_(
        folder, with({"train", "--data", data, "--epochs", "1", "--quiet", "--out", (folder / run).string()}, more));
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
  };
  train("a", {"--width", "08", "--batch", "012", "--seed", "010", "--threads", "01"});
  CHECK(has(config("a"), "width=8\n"));
  CHECK(has(config("a"), "batch=12\n"));
  CHECK(has(config("a"), "seed=10\n"));
  write_file_atomic(folder / "my.toml",
                    std::string_view("width = \"08\"\nbatch = \"012\"\nseed = \"010\"\nthreads = 1\n"));
  train("b", {"--config", (folder / "my.toml").string()});
  train("c", {"--width", "8", "--batch", "12", "--seed", "10", "--threads", "1"});
  for (const char* run : {"a", "b"})
    CHECK(read_file(folder / run / "model.safetensors") == read_file(folder / "c/model.safetensors"));
  const Finished distilled =
      akin_(folder, {"distill", "--target", data, "--methods", "scratch", "--labels-per-class", "010", "--steps", "010",
                     "--batch", "4", "--student-width", "4", "--quiet", "--out", (folder / "d").string()});
  CAPTURE(distilled.err);
  REQUIRE_EQ(distilled.code, 0);
  CHECK(has(config("d"), "labels-per-class=\"10\"\n"));
  CHECK(has(config("d"), "steps=10\n"));
  for (const char* odd : {"0x10", "1_000", "+8", " 8", "8 ", "1'0"})
    check_fails(folder, {"train", "--data", data, "--width", odd}, 2, "is no whole number from 0 to 4096");
}

TEST_CASE("cli: an option that is given nothing is no option that was not given") {
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const std::string data = (folder / "data").string();
  for (const Arguments& a : {Arguments{"data", "show", data, "--size", ""},
                             {"data", "show", data, "--size="},
                             {"train", "--data", data, "--out", ""},
                             {"distill", "--target", data, "--methods", "scratch", "--labels", ""},
                             {"distill", "--target", data, "--methods", "scratch", "--init", ""},
                             {"rank", "--tables", "x.npy", "--label-file", ""},
                             {"rank", "--tables", "x.npy", "--layers", ""},
                             {"import", "w.safetensors", "--arch", "resnet8", "--out", "m.safetensors", "--mean", ""},
                             {"import", "w.safetensors", "--arch", "resnet8", "--out", "m.safetensors", "--std", ""},
                             {"import", "w.safetensors", "--out", "m.safetensors", "--class-names", ""},
                             {"import", "", "--out", "m.safetensors"},
                             {"train", "--data", data, "--config", ""},
                             {"train", "--config=", "--data", data}}) {
    const Finished f = akin_(folder, a);
    CAPTURE(join(a));
    CAPTURE(f.err);
    CHECK_EQ(f.code, 2);
    CHECK((has(f.err, "is empty; give a") || has(f.err, "1 required HxW missing")));
  }
  check_fails(folder, {"data", "show", data, "--channels", ""}, 2, "--channels: '' is no whole number");
  check_fails(folder, {"data", "show", data, "--channels", "010"}, 2, "--channels: 10 not in {0,1,3}");
  // Where the help says what empty means, it may be.
  CHECK(has(akin_(folder, {"distill", "--target", "nowhere", "--methods", "scratch", "--student-shortcut", "",
                           "--transfer", ""})
                .err,
            "nowhere: no such folder"));
}

TEST_CASE("cli: --labels and --labels-per-class exclude each other, and a saved run with one of them repeats") {
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const Arguments distill{"distill", "--target", (folder / "data").string(), "--methods", "scratch", "--steps", "2",
                          "--batch", "4",        "--student-width",          "4",         "--quiet"};
  const auto run = [&](const std::string& out, const Arguments& a) {
    const Finished f = akin_(folder, with(a, {"--out", (folder / out).string()}));
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
    return read_text(folder / out / "config.toml");
  };
  for (const char* labels : {"3", "2"})
    check_fails(folder, with(distill, {"--labels", labels, "--labels-per-class", "2"}), 2, "give one of the two");
  check_fails(folder, {"rank", "--target", "d", "--sources", "s", "--labels-per-class", "5", "--labels", "5"}, 2,
              "--labels");
  const std::string saved = run("a", with(distill, {"--labels", "3"}));
  CHECK(has(saved, "labels=\"3\"\n"));
  CHECK_FALSE(has(saved, "labels-per-class"));
  const Arguments again{"distill", "--quiet", "--config", (folder / "a/config.toml").string()};
  CHECK(has(run("b", again), "labels=\"3\"\n"));
  CHECK(read_file(folder / "a/student.safetensors") == read_file(folder / "b/student.safetensors"));
  // The command line wins over the file.
  const std::string other = run("c", with(again, {"--labels-per-class", "4"}));
  CHECK(has(other, "labels-per-class=\"4\"\n"));
  CHECK_FALSE(has(other, "labels=3"));
}

TEST_CASE("cli: test images of another form are refused before anything is trained or written") {
  const TempFolder folder;
  for (const char* name : {"size", "colour"}) {
    const bool size = *name == 's';
    const fs::path data = folder / name;
    save_images(bars(10, 1, false), Split::train, data);
    ImageSet test = bars(5, 2, false);
    test.images = size ? resize_images(test.images, 8, 8) : convert_channels(test.images, 3);
    save_images(test, Split::test, data);
    const std::string what = size ? "test images are 8x8x1, training images 12x12x1" : "test images are 12x12x3";
    check_fails(folder, {"train", "--data", data.string(), "--width", "4", "--out", (folder / "run").string()}, 1,
                what);
    check_fails(folder,
                {"distill", "--target", data.string(), "--methods", "scratch", "--out", (folder / "run").string()}, 1,
                what);
    check_fails(folder, {"data", "pack", data.string(), "--out", (folder / "packed").string()}, 1, "images are");
    CHECK_FALSE(fs::exists(folder / "packed"));
    CHECK(names_in(folder / "run").empty());
    CHECK_EQ(akin_(folder, {"data", "show", data.string()}).code, 0);
    const Finished asked = akin_(folder, {"train", "--data", data.string(), "--size", "8x8", "--channels", "1",
                                          "--width", "4", "--epochs", "1", "--out", (folder / "good").string() + name});
    CHECK_EQ(asked.code, 0);
  }
}

TEST_CASE("cli: a channel without any variation is shown as that") {
  const TempFolder folder;
  ImageSet set = bars(4, 1, false, 3);
  const auto pixels = set.images.as<std::uint8_t>();
  for (std::size_t i = 1; i < pixels.size(); i += 3) pixels[i] = 51;
  save_images(set, Split::train, folder / "data");
  const Finished text = akin_(folder, {"data", "show", (folder / "data").string()});
  CHECK_MESSAGE(has(text.out, " 0.200 "), text.out);
  CHECK(has(text.out, " 0.000 "));
  const auto j = json_of(akin_(folder, {"data", "show", (folder / "data").string(), "--json"}));
  CHECK_EQ(j["splits"]["train"]["std"][1], 0.0);
  CHECK(j["splits"]["train"]["std"][0] > 0.1);
}

TEST_CASE("cli: import warns of a class name that is there twice, and refuses statistics of 0..255 with the file") {
  const TempFolder folder;
  Context ctx;
  const auto net = make_network(ctx, {.name = "resnet8", .width = 4, .channels = 3, .classes = 3});
  initialize(net->parameters(), 1);
  SafeTensors file;
  export_weights(*net, file);
  const std::string weights = (folder / "w.safetensors").string(), out = (folder / "m.safetensors").string(),
                    names = (folder / "names.txt").string();
  write_safetensors(weights, file);
  const Arguments import{"import", weights, "--arch", "resnet8", "--out", out, "--force"};
  check_fails(folder, with(import, {"--mean", "123.675,116.28,103.53"}), 1,
              "w.safetensors: mean 123.675: expected 0 to 1, for pixels count as 0 to 1; divide that of 0..255 by 255");
  check_fails(folder, with(import, {"--std", "255"}), 1, "std 255: expected");
  CHECK_FALSE(fs::exists(out));
  write_file_atomic(names, std::string_view("0,crane\n1,fox\n2,crane\n"));
  const Finished twice = akin_(folder, with(import, {"--class-names", names}));
  CAPTURE(twice.err);
  CHECK_EQ(twice.code, 0);
  CHECK(has(twice.err, "akin: warning: " + names + ": two classes are called 'crane'"));
  CHECK(load_model(ctx, out).info.classes == std::vector<std::string>{"crane", "fox", "crane"});
}

TEST_CASE("cli: rank ends with a reason and no signal where features vanish") {
  const TempFolder folder;
  std::vector<double> x;
  std::string labels;
  for (int i = 0; i < 24; ++i) {
    for (int c = 0; c < 4; ++c) x.push_back((i % 3 + c * 0.3 + (i * 7 + c * 5) % 11) * 1e-300);
    labels += std::to_string(i % 3) + "\n";
  }
  write_npy(folder / "small.npy", Array::from(x, {24, 4}));
  for (double& v : x) v *= 1e300;
  write_npy(folder / "sound.npy", Array::from(x, {24, 4}));
  write_file_atomic(folder / "y.txt", std::string_view(labels));
  const Finished f =
      akin_(folder, {"rank", "--tables", (folder / "small.npy").string(), (folder / "sound.npy").string(),
                     "--label-file", (folder / "y.txt").string(), "--replicates", "0", "--json", "--metric",
                     "gbc,gbc:diagonal,knn,nleep,parc,transrate"});
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  const auto found = json_of(f);
  for (const auto& metric : found["metrics"])
    for (const auto& source : metric["sources"])
      if (source["source"] == "small")
        CHECK(has(source["undefined"].get<std::string>(), "too small to be multiplied"));
      else
        CHECK(source["undefined"].is_null());
}
