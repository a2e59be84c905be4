// Lists of labels by the names of files: what is found in a pool, and what is refused.
#include "distill/task/label_list.hpp"

#include <doctest/doctest.h>

#include "engine/io/file.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

ImageSet pool_of(const std::vector<std::string>& names) {
  ImageSet pool;
  pool.images = Array(DType::u8, {static_cast<std::int64_t>(names.size()), 2, 2, 1});
  pool.classes = {"cat", "dog"};
  pool.source = "pets";
  pool.names = names;
  return pool;
}

LabelManifest read(const std::string& text) {
  const TempFolder folder;
  write_file_atomic(folder / "l.csv", std::string_view(text));
  return read_manifest(folder / "l.csv", {});
}

/// "cat: 0 2, dog: 1"
std::string found(const std::string& text, const ImageSet& pool) {
  std::vector<std::string> parts;
  for (const ListedImages& l : with_positions(read(text), pool).labelled)
    parts.push_back(fmt::format("{}: {}", l.class_name, fmt::join(l.images, " ")));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

TEST_CASE("label list: files are found by the ends of their paths") {
  const ImageSet pool = pool_of({"train/cat/1.jpg", "train/dog/1.jpg", "unlabeled/2.jpg", "unlabeled/a/3.jpg"});
  CHECK_EQ(found("file,label\n/data/pets/train/cat/1.jpg,cat\ndog/1.jpg,dog\n", pool), "cat: 0, dog: 1");
  CHECK_EQ(found("label,path\ncat,pets/unlabeled/2.jpg\ndog,./a/3.jpg\n", pool), "cat: 2, dog: 3");
  CHECK_EQ(found("file,label\nelsewhere/2.jpg,dog\n", pool), "dog: 2");  // the only one called so
  CHECK_EQ(found("file;label;probability;keep\r\n2.jpg;cat;0,9;Yes\r\na/3.jpg;dog;0,2;No\r\n", pool), "cat: 2");
  CHECK_EQ(found("file,label\n2,dog\na\\3,cat\n", pool), "dog: 2, cat: 3");  // without endings, and as Windows has it
  const auto refused = [&](const std::string& text, const ImageSet& images) {
    return error_of([&] { found(text, images); });
  };
  CHECK(has(refused("file,label\n1.jpg,cat\n", pool), "line 2: 1.jpg: 2 images of pets are called so"));
  CHECK(has(refused("file,label\nbird/1.jpg,cat\n", pool), "may be "));
  CHECK(has(refused("file,label\n9.jpg,cat\n", pool), "no training or unlabelled image of this name"));
  CHECK(has(refused("file,label\n2.jpg,cat\nunlabeled/2.jpg,dog\n", pool), "lines 2 and 3 are of one image"));
  CHECK(has(refused("file,label\n2.jpg,cow\n", pool), "line 2: label 'cow' is not one of"));
  ImageSet nameless = pool;
  nameless.names.clear();
  CHECK(has(refused("file,label\n2.jpg,cat\n", nameless), "the images of pets have no names"));
}

TEST_CASE("label list: what is written is read, whatever is in the names") {
  const std::vector<LabelLine> lines{{"a,b \"c\".jpg", "cat", 0.5, true}, {"2.jpg", "dog", 0.25, false}};
  const LabelManifest m = read(label_list(lines));
  REQUIRE_EQ(m.named.size(), 1);
  CHECK_EQ(m.named[0].file, "a,b \"c\".jpg");
  CHECK_EQ(m.named[0].class_name, "cat");
  CHECK_FALSE(m.fixed());
  CHECK(m.lists_labelled());
}
