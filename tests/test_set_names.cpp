// Of which files the images of a packed data set were made, and what tables say of theirs.
#include <doctest/doctest.h>

#include "distill/similarity/feature_table.hpp"
#include "distill/task/outputs.hpp"
#include "engine/io/npy.hpp"
#include "nn/data/set_writer.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

ImageSet named_set(std::int64_t n, const std::string& split) {
  ImageSet set = toy_set(n, 3, split.size());
  for (std::int64_t i = 0; i < n; ++i) set.names.push_back(fmt::format("{}/class{}/{:03}.png", split, i % 3, i));
  return set;
}

std::string all_of(const std::vector<std::string>& lines) { return fmt::format("{}", fmt::join(lines, "\n")); }

}  // namespace

TEST_CASE("packed sets: the names of the images' files are kept, read again, and replaced with the set") {
  const TempFolder folder;
  const ImageSet train = named_set(30, "train"), test = named_set(12, "test");
  {
    SetWriter writer(folder / "set", false);
    writer.write(test, Split::test);
    writer.write(train, Split::train);
    writer.finish();
  }
  const std::vector<ImageSet> sets = load_splits(folder / "set", {Split::train, Split::test});
  CHECK(sets[0].names == train.names);
  CHECK(sets[1].names == test.names);
  CHECK_EQ(all_of(told(sets[0].account, "set")), "");  // they are a part of the set
  CHECK_EQ(content_hash(sets[0]), content_hash(train));
  {
    SetWriter writer(folder / "set", true);  // without names
    writer.write(toy_set(30, 3, 2), Split::train);
    writer.finish();
  }
  CHECK(load_images(folder / "set", Split::train).names.empty());
  // Of another set; two lines in a name.
  write_file_atomic(folder / "set/train-images-names.txt", std::string_view("a.png\nb.png\n"));
  CHECK(has(error_of([&] { load_images(folder / "set", Split::train); }), "2 names of files for the 30 images"));
  ImageSet odd = train;
  odd.names[3] = "two\nlines.png";
  CHECK_FALSE(keeps_names(odd));
  save_images(odd, Split::train, folder / "odd");
  CHECK(load_images(folder / "odd", Split::train).names.empty());
}

TEST_CASE("packed sets: a table in another order is put right, or told to be trusted") {
  const TempFolder folder;
  Context ctx;
  ImageSet train = named_set(30, "train");
  train.name = train.source = "toy";
  SafeTensors table;
  Array features(DType::f32, {30, 2});
  std::string names;
  for (std::size_t i = 0; i < 30; ++i) {  // backwards
    features.as<float>()[2 * i] = static_cast<float>(29 - i) + 0.25f * static_cast<float>(i % 2);
    features.as<float>()[2 * i + 1] = static_cast<float>(i % 5) * 0.3f;
    names += train.names[29 - i] + '\0';
  }
  table.add("features", features);
  table.add("names", Array::from(std::vector<std::uint8_t>(names.begin(), names.end()),
                                 {static_cast<std::int64_t>(names.size())}));
  write_safetensors(folder / "t.safetensors", table);
  const Source source = open_source(ctx, folder / "t.safetensors");
  std::vector<std::string> notes;
  OutputOptions options;
  options.tell = [&](const std::string& line) { notes.push_back(line); };
  const auto outputs = [&](ImageSet set) {
    notes.clear();
    return source_outputs(ctx, source, whole_pool(target_images(std::move(set), {})), options).features;
  };
  const Array right = outputs(train);
  CHECK_EQ(std::floor(right.as<float>()[0]), 0.0f);
  CHECK(has(all_of(notes), "put right by their names"));
  CHECK_FALSE(has(all_of(notes), "on trust"));
  train.names.clear();
  const Array trusted = outputs(train);
  CHECK_EQ(std::floor(trusted.as<float>()[0]), 29.0f);
  CHECK(has(all_of(notes),
            "does not say of which files its images were made: its rows are taken in their order, on trust"));
}

TEST_CASE("tables: what goes by another name than the parts of a table is told") {
  const TempFolder folder;
  Context ctx;
  SafeTensors table;
  Array features(DType::f32, {12, 2}), logits(DType::f32, {12, 3});
  for (std::size_t i = 0; i < 36; ++i) logits.as<float>()[i] = std::sin(static_cast<float>(i));
  for (std::size_t i = 0; i < 24; ++i) features.as<float>()[i] = std::cos(static_cast<float>(i * i));
  table.add("features", features);
  table.add("Logits", logits);
  table.add("label", Array::from(std::vector<std::int32_t>(12), {12}));
  write_safetensors(folder / "t.safetensors", table);
  make_folder(folder / "t");
  write_npy(folder / "t/features.npy", features);
  write_npy(folder / "t/logit.npy", logits);
  write_file_atomic(folder / "t/filenames.txt", std::string_view("a\n"));
  write_file_atomic(folder / "t/README.txt", std::string_view("about\n"));
  for (const auto& [file, what] :
       {std::pair{"t.safetensors", "passed over \"Logits\", \"label\"; the parts of a table"},
        {"t", "passed over \"filenames.txt\", \"logit.npy\"; the parts of a table"}}) {
    CHECK(has(all_of(open_source(ctx, folder / file).notes), what));
    CHECK(has(all_of(read_feature_table(folder / file).notes), what));
  }
  write_npy(folder / "t/logits.npy", logits);
  for (const char* odd : {"logit.npy", "filenames.txt"}) fs::remove(folder / "t" / odd);
  CHECK_FALSE(has(all_of(open_source(ctx, folder / "t").notes), "passed over"));
}

TEST_CASE("tables: a name of two lines does not take the others away in silence") {
  const TempFolder folder;
  TableRows rows{.file = "t", .images_sha256 = "12", .names = {"a.png", "b\n.png"}};
  CHECK_FALSE(write_rows(folder.path(), rows));
  CHECK_FALSE(fs::exists(folder / "names.txt"));
  rows.names[1] = "b.png";
  CHECK(write_rows(folder.path(), rows));
  CHECK_EQ(read_text(folder / "names.txt"), "a.png\nb.png\n");
}

TEST_CASE("labels of a list: a file that cannot be one is refused by its size") {
  const TempFolder folder;
  for (const char* name : {"y.txt", "y.csv", "y.npy", "y.safetensors"}) {
    write_file_atomic(folder / name, std::string_view("0\n"));
    fs::resize_file(folder / name, std::uintmax_t{3} << 30);  // no block of it is on the disk
    const std::string error = error_of([&] { read_labels(folder / name); });
    CAPTURE(error);
    CHECK(has(error, name));
    CHECK(has(error, "1073741824"));
  }
}
