// The real program on pictures as people have them: no splits, a list of labels, all labels, and what it says of them.
#include <doctest/doctest.h>

#include <algorithm>

#include "engine/io/image.hpp"
#include "engine/io/picture_readers.hpp"
#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

/// root/<class>/<n>.png of the bars.
void write_pictures(const fs::path& root, std::int64_t per_class) {
  const ImageSet set = bars(per_class, 5, false);
  Array one(DType::u8, {12, 12, 1});
  for (std::size_t i = 0; i < set.labels.size(); ++i) {
    const fs::path folder = root / set.classes[static_cast<std::size_t>(set.labels[i])];
    make_folder(folder);
    std::copy_n(set.images.bytes() + i * one.byte_size(), one.byte_size(), one.bytes());
    write_png(folder / fmt::format("{}.png", i), one);
  }
}

Arguments quick_distill(const TempFolder& folder, const std::string& target, const std::string& out,
                        const std::string& methods = "scratch,fixmatch") {
  Arguments a{"distill", "--target", (folder / target).string(), "--methods",
              methods,   "--out",    (folder / out).string()};
  for (const char* quick : {"--steps=3", "--batch=8", "--unlabelled-batch=8", "--student-width=4"})
    a.emplace_back(quick);
  return a;
}

}  // namespace

TEST_CASE("cli: class folders without splits are trained on, tested and distilled to with all labels") {
  const TempFolder folder;
  write_pictures(folder / "flat", 10);
  const Finished trained = akin_(folder, {"train", "--data", (folder / "flat").string(), "--width", "4", "--epochs",
                                          "1", "--json", "--out", (folder / "trained").string()});
  CAPTURE(trained.err);
  REQUIRE_EQ(trained.code, 0);
  CHECK(json_of(trained)["test_accuracy"].is_number());
  const std::string held =
      "no test split, so of 30 pictures a fifth of each class, drawn by content, is held out for it: 6";
  CHECK(has(trained.err, held));
  const Finished done = akin_(folder, quick_distill(folder, "flat", "run"));
  CAPTURE(done.err);
  REQUIRE_EQ(done.code, 0);
  CHECK(has(done.err, held));
  CHECK(has(read_text(folder / "run/config.toml"), "labels-per-class=\"all\"\n"));
  const auto labels = nlohmann::json::parse(read_text(folder / "run/labels-seed0.json"));
  CHECK_EQ(labels["held_out"].size(), 6);
  CHECK_EQ(labels["unlabelled"].size(), 0);  // FixMatch guesses at the labelled ones
  std::size_t labelled = 0;
  for (const auto& [name, images] : labels["labelled"].items()) labelled += images.size();
  CHECK_EQ(labelled, 24);
  CHECK(has(done.err, "no unlabelled pictures, so sources and FixMatch speak of the labelled ones"));
  // The manifest brings the split back; config.toml repeats the run.
  const Finished again = akin_(
      folder, {"distill", "--config", (folder / "run/config.toml").string(), "--out", (folder / "again").string()});
  CAPTURE(again.err);
  REQUIRE_EQ(again.code, 0);
  CHECK(read_file(folder / "run/student.safetensors") == read_file(folder / "again/student.safetensors"));
  const Finished listed = akin_(
      folder, with(quick_distill(folder, "flat", "listed"), {"--labels", (folder / "run/labels-seed0.json").string()}));
  CAPTURE(listed.err);
  REQUIRE_EQ(listed.code, 0);
  CHECK(read_file(folder / "run/student.safetensors") == read_file(folder / "listed/student.safetensors"));
  // A run folder among the classes would be one of them.
  check_fails(folder, quick_distill(folder, "flat", "flat/run"), 2, "whose folders are classes");
  const Finished ranked =
      akin_(folder, {"rank", "--target", (folder / "flat").string(), "--sources",
                     (folder / "trained/model.safetensors").string(), "--replicates", "0", "--json"});
  CAPTURE(ranked.err);
  CHECK_EQ(ranked.code, 0);
}

TEST_CASE("cli: validation images in all or as a share of each class, and a word where they are few") {
  const TempFolder folder;
  write_pictures(folder / "flat", 10);
  const auto validation = [&](const std::string& number, const std::string& out) {
    const Finished f = akin_(folder, with(quick_distill(folder, "flat", out, "scratch"), {"--validation", number}));
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
    CHECK(has(f.err, "validation images in 3 classes: chance moves accuracy on them"));
    std::size_t images = 0;
    const auto labels = nlohmann::json::parse(read_text(folder / out / "labels-seed0.json"));
    for (const auto& [name, own] : labels["validation"].items()) images += own.size();
    return images;
  };
  CHECK_EQ(validation("2", "a"), 2);
  CHECK_EQ(validation("0.25", "b"), 6);
  for (const char* odd : {"1.5", "-1", "0.0", "many"})
    check_fails(folder, with(quick_distill(folder, "flat", "c"), {"--validation", odd}), 2, "--validation");
  check_fails(folder, with(quick_distill(folder, "flat", "c"), {"--labels-per-class", "every"}), 2, "nor the word all");
}

TEST_CASE("cli: data check reports all at once, as text and JSON, and ends with 1 where the data cannot be used") {
  const TempFolder folder;
  write_pictures(folder / "flat", 10);
  const std::string data = (folder / "flat").string();
  const Finished sound = akin_(folder, {"data", "check", data});
  CAPTURE(sound.out);
  CHECK_EQ(sound.code, 0);
  CHECK(has(sound.out, "usable: 3 classes, 24 training pictures, 6 test pictures that akin holds out"));
  const auto j = json_of(akin_(folder, {"data", "check", data, "--json"}));
  CHECK_EQ(j["usable"], true);
  CHECK_EQ(j["held_out"].size(), 6);
  CHECK_EQ(j["splits"]["train"]["counts"], std::vector<int>{8, 8, 8});
  CHECK_EQ(j["sizes"]["12x12"], 30);
  for (const char* name : {"low/cut.png", "high/cut.png"})
    write_file_atomic(folder / "flat" / name, std::string_view("\x89PNG\r\n\x1a\n and no more"));
  const Finished damaged = akin_(folder, {"data", "check", data});
  CAPTURE(damaged.out);
  CHECK_EQ(damaged.code, 1);
  CHECK(has(damaged.out, "low/cut.png"));
  CHECK(has(damaged.out, "high/cut.png"));
  CHECK(has(damaged.out, "not usable: 2 files cannot be read"));
  CHECK(has(damaged.err, "cannot be used as it is"));
}

TEST_CASE("cli: pack, check and label hold the same pictures out, whatever size and channels are asked for") {
  const TempFolder folder;
  write_pictures(folder / "set/train", 10);
  const std::string data = (folder / "set").string();
  // Twins that differ in a corner alone, of which a smaller picture shows nothing.
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder / "set/train"))
    if (entry.is_regular_file()) files.push_back(entry.path());
  for (const fs::path& file : files) {
    Array twin = read_image(file);
    twin.as<std::uint8_t>()[0] ^= 1;
    write_png(fs::path(file).replace_extension(".twin.png"), twin);
  }
  const auto held =
      json_of(akin_(folder, {"data", "check", data, "--json"}))["held_out"].get<std::vector<std::string>>();
  CHECK_EQ(held.size(), 12);
  for (const char* size : {"4x4", "6x6", "12x12", "24x24"})
    for (const char* channels : {"1", "3"}) {
      CAPTURE(size);
      CAPTURE(channels);
      const fs::path out = folder / fmt::format("packed-{}-{}", size, channels);
      const Finished packed =
          akin_(folder, {"data", "pack", data, "--out", out.string(), "--size", size, "--channels", channels});
      CAPTURE(packed.err);
      REQUIRE_EQ(packed.code, 0);
      CHECK_EQ(read_text(out / "t10k-images-names.txt"), fmt::format("{}\n", fmt::join(held, "\n")));
    }
  REQUIRE_EQ(
      akin_(folder, {"train", "--data", data, "--width", "4", "--epochs", "1", "--out", (folder / "trained").string()})
          .code,
      0);
  make_folder(folder / "set/unlabelled");
  fs::copy_file(files[0], folder / "set/unlabelled/x.png");
  const Finished labels = akin_(folder, {"label", (folder / "trained/model.safetensors").string(), data, "--out",
                                         (folder / "labels.csv").string(), "--json"});
  CAPTURE(labels.err);
  REQUIRE_EQ(labels.code, 0);
  CHECK_EQ(json_of(labels)["given"], 48);
  const std::string table = read_text(folder / "labels.csv");
  for (const std::string& name : held) CHECK_FALSE(has(table, name));
}

TEST_CASE("cli: info says which kinds of pictures this build reads") {
  const TempFolder folder;
  const auto kinds = json_of(akin_(folder, {"info", "--json"}))["pictures"].get<std::vector<std::string>>();
  CHECK(kinds == readable_kinds());
  const std::string text = akin_(folder, {"info"}).out;
  for (const PictureReader& r : picture_readers())
    CHECK(has(text, r.header != nullptr ? std::string(r.kind) : fmt::format("install {}", r.package)));
}
