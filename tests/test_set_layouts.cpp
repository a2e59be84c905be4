// Data as people have them: class folders without splits, a list of labels beside pictures, a list alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "nn/data/held_out.hpp"
#include "nn/data/image_set.hpp"
#include "nn/data/set_check.hpp"
#include "tests/pictures.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;
namespace fs = std::filesystem;

namespace {

void put(const fs::path& path, std::uint64_t seed, int side = 4) {
  make_folder(path.parent_path());
  write_png(path, picture(side, side, 1, seed));
}

void put_text(const fs::path& path, std::string_view text) {
  make_folder(path.parent_path());
  write_file_atomic(path, text);
}

/// cat/ and dog/ with `each` pictures, all different.
void make_flat(const fs::path& root, int each = 10) {
  std::uint64_t seed = 1;
  for (const char* name : {"cat", "dog"})
    for (int i = 0; i < each; ++i) put(root / name / fmt::format("{}.png", i), seed++);
}

std::vector<ImageSet> load(const fs::path& root, const ImageFormat& format = {}) {
  return load_splits(root, splits_there(root), format);
}

std::string told_of(const fs::path& root) {
  std::string text;
  for (const std::string& line : told(load(root)[0].account, "set")) text += line + "\n";
  return text;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("class folders without splits: a fifth of each class is held out by content, in nobody's two splits") {
  const TempFolder t;
  make_flat(t / "a");
  const std::vector<ImageSet> sets = load(t / "a");
  REQUIRE(sets.size() == 2);
  CHECK(sets[0].classes == Names{"cat", "dog"});
  CHECK(sets[0].labels == std::vector<int>{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1});
  CHECK(sets[1].labels == std::vector<int>{0, 0, 1, 1});
  std::set<std::string> names(sets[0].names.begin(), sets[0].names.end());
  names.insert(sets[1].names.begin(), sets[1].names.end());
  CHECK(names.size() == 20);
  CHECK(sets[0].held_out == sets[1].names);
  CHECK(has(told_of(t / "a"), "no test split, so of 20 pictures a fifth of each class, drawn by content, is held out"));
  // One split alone is the same one, whatever the size; names and places of files do not matter, contents do.
  CHECK(content_hash(load_images(t / "a", Split::train)) == content_hash(sets[0]));
  CHECK(load_images(t / "a", Split::test, {.height = 3, .width = 3, .channels = 3}).names == sets[1].names);
  for (int i = 0; i < 10; ++i) {
    make_folder(t / "b/train/cat");
    make_folder(t / "b/train/dog");
    fs::copy_file(t / "a/cat" / fmt::format("{}.png", i), t / "b/train/cat" / fmt::format("z{}.png", 9 - i));
    fs::copy_file(t / "a/dog" / fmt::format("{}.png", i), t / "b/train/dog" / fmt::format("{}.png", i));
  }
  Names renamed;  // train/ without test/ is held out from alike
  for (const std::string& name : load_images(t / "b", Split::test).names) renamed.push_back(name.substr(6));
  Names expected;
  for (const std::string& name : sets[1].names)
    expected.push_back(name[0] == 'c' ? fmt::format("cat/z{}.png", 9 - (name[4] - '0')) : name);
  std::sort(expected.begin(), expected.end());
  CHECK(renamed == expected);
}

TEST_CASE("held out: equal pictures stay on one side, whatever they are called and in which class they lie") {
  const TempFolder t;
  make_flat(t / "a", 5);
  const Names alone = load_images(t / "a", Split::test).names;
  REQUIRE(alone.size() == 2);
  // Copies of a held out picture in the other class, saved in another format: both go on as training pictures, for the
  // class would lose more than its share.
  const fs::path held = t / "a" / alone[0];
  const Bytes bmp = encode(convert_channels(read_image(held), 3), "bmp");
  write_file_atomic(t / "a/dog/copy.bmp", bmp);
  write_file_atomic(t / "a/dog/copy2.bmp", bmp);
  const std::vector<ImageSet> sets = load(t / "a", {.channels = 3});
  std::set<std::string> test(sets[1].names.begin(), sets[1].names.end());
  const bool together = test.contains(alone[0]) == test.contains("dog/copy.bmp") &&
                        test.contains("dog/copy.bmp") == test.contains("dog/copy2.bmp");
  CHECK(together);
  for (const std::string& line : told(sets[0].account, "set")) CHECK_FALSE(has(line, "test images that are training"));
  // By hand: shares, and classes of one.
  std::vector<fs::path> files;
  std::vector<int> labels;
  for (int i = 0; i < 12; ++i) {
    files.push_back(t / fmt::format("x{}.png", i));
    put(files.back(), static_cast<std::uint64_t>(100 + i));
    labels.push_back(i < 8 ? 0 : i < 10 ? 1 : i < 11 ? 2 : 3);
  }
  std::vector<std::uint64_t> pixels{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  HeldOut drawn = hold_out(files, pixels, labels);
  std::vector<int> count(4);
  for (const std::int64_t i : drawn.test) ++count[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])];
  CHECK(count == std::vector<int>{2, 1, 0, 0});
  CHECK(drawn.kept.size() + drawn.test.size() == 12);
  std::fill(pixels.begin(), pixels.end(), 7);  // all the same picture
  CHECK(hold_out(files, pixels, labels).test.empty());
}

TEST_CASE("held out: the same files whatever size and channels are asked for, and by data check") {
  const TempFolder t;
  const auto put_picture = [&](const std::string& name, const Array& a) {
    make_folder((t / name).parent_path());
    write_png(t / name, a);
  };
  const ImageFormat small{.height = 16, .width = 16, .channels = 1};
  const auto grey = [](const Array& a, std::size_t p) { return convert_channels(a, 1).as<std::uint8_t>()[p]; };
  int alike = 0;
  for (std::uint64_t k = 0; k < 12; ++k) {
    const std::string stem = fmt::format("{}/{}", k % 2 ? "cat" : "dog", k);
    const Array own = picture(64, 64, 3, k);
    put_picture(stem + ".png", own);
    // A little more blue in one pixel, which neither grey nor a smaller picture shows.
    Array other = own;
    std::size_t p = 0;
    do {
      other = own;
      ++other.as<std::uint8_t>()[3 * ++p + 2];
    } while (grey(other, p) != grey(own, p));
    put_picture(stem + "-blue.png", other);
    const auto shrunk = [&](const Array& a) {
      return resize_and_crop(convert_channels(a, 1), small.height, small.width);
    };
    alike += max_difference(shrunk(own), shrunk(other)) == 0;
    for (const int side : {16, 32, 64}) {  // one colour, which is the same at any size
      Array plain(DType::u8, {side, side, 3});
      std::fill(plain.as<std::uint8_t>().begin(), plain.as<std::uint8_t>().end(),
                static_cast<std::uint8_t>(20 * k + 9));
      put_picture(fmt::format("{}-plain{}.png", stem, side), k % 3 ? plain : convert_channels(plain, 1));
    }
  }
  CHECK(alike == 12);
  const Names expected = load_images(t.path(), Split::test, {.height = 64, .width = 64, .channels = 3}).names;
  CHECK(expected.size() >= 10);
  for (const int side : {16, 32, 64})
    for (const int channels : {1, 3, 0}) {
      CAPTURE(side);
      CAPTURE(channels);
      CHECK(load_images(t.path(), Split::test, {.height = side, .width = side, .channels = channels}).names ==
            expected);
      CHECK(load(t.path(), {.height = side, .width = side, .channels = channels})[0].held_out == expected);
    }
  CHECK(check_data_set(t.path()).held_out == expected);
}

TEST_CASE("a class that is called like a split is told, not guessed at") {
  const TempFolder t;
  for (const char* name : {"train", "Test", "val"}) {
    CAPTURE(name);
    const fs::path set = t / fmt::format("with-{}", name);
    for (const char* own : {"car", "bus", name})
      for (std::uint64_t i = 0; i < 3; ++i) put(set / own / fmt::format("{}.png", i), i + 100u * own[0]);
    const std::string error = error_of([&] { load(set); });
    CHECK(has(error, (set / name).string() + ": is taken for the"));
    CHECK(has(error, "holds pictures and no class folders, as do bus/, car/ beside it"));
    CHECK(has(error, fmt::format("if it is a class, rename it ({}-class/)", name)));
    const SetCheck check = check_data_set(set);
    REQUIRE(check.problems.size() == 1);
    CHECK(check.problems[0] == error);
    fs::rename(set / name, set / fmt::format("{}-class", name));
    CHECK(load(set)[0].classes.size() == 3);
  }
  // Without pictures beside it, it is a split as before.
  put(t / "lone/train/0.png", 1);
  CHECK(has(error_of([&] { load_images(t / "lone", Split::train); }), "no class folder in it"));
}

TEST_CASE("class folders without splits: what is no class, and what cannot be one") {
  const TempFolder t;
  make_flat(t.path());
  put(t / "Un-labelled/x.png", 50);
  put(t / "unlabelled_images/y.png", 51);
  CHECK(has(error_of([&] { load(t.path()); }), "which one is meant"));
  fs::remove_all(t / "unlabelled_images");
  put_text(t / "notes/read.txt", "no picture");
  put_text(t / "README.md", "where it is from");
  put(t / "stray.png", 52);
  const std::vector<ImageSet> sets = load(t.path());
  REQUIRE(sets.size() == 3);
  CHECK(sets[2].names == Names{"Un-labelled/x.png"});
  CHECK(sets[0].classes == Names{"cat", "dog"});
  const std::string text = told_of(t.path());
  CHECK(has(text, "folders that are no split of the data passed over: 1 (notes)"));
  CHECK(has(text, "pictures outside of any class folder passed over: 1 (stray.png)"));
  // A folder of a split makes the others none.
  put(t / "test/cat/0.png", 60);
  CHECK(has(error_of([&] { load(t.path()); }), "no folder train/"));
  // One folder of pictures is no data set, but may hold one.
  make_flat(t / "one/images");
  CHECK(has(error_of([&] { load(t / "one"); }), "holds one folder of pictures, images/"));
  CHECK(load(t / "one/images").size() == 2);
  // Of one picture a class nothing can be held out.
  put(t / "few/cat/0.png", 1);
  put(t / "few/dog/0.png", 2);
  CHECK(splits_there(t / "few") == std::vector<Split>{Split::train});
  CHECK(load(t / "few")[0].images.shape()[0] == 2);
  CHECK(has(error_of([&] { load_images(t / "few", Split::test); }), "too few to hold some out"));
  const std::vector<std::string> advice = check_data_set(t / "few").advice;
  REQUIRE(advice.size() == 1);
  CHECK(has(advice[0], "no test split, and too few pictures to hold some out"));
  CHECK(has(error_of([&] { load_splits(t / "few", {Split::train, Split::test}); }), "add pictures to the classes"));
  fs::copy_file(t / "few/cat/0.png", t / "few/cat/1.png");
  CHECK(has(error_of([&] { load_images(t / "few", Split::test); }), "too few to hold some out"));
  // A mistyped name.
  CHECK(has(error_of([&] { load(t / "on"); }), "no such folder"));
  CHECK(has(error_of([&] { load(t / "fewer"); }), "/few'?"));
}

TEST_CASE("a list of labels beside pictures: columns, ways to write names, splits, what is not named") {
  const TempFolder t;
  for (int i = 0; i < 8; ++i) put(t / fmt::format("images/a{}.png", i), static_cast<std::uint64_t>(i + 1));
  const auto with = [&](std::string_view text) {
    put_text(t / "labels.csv", text);
    return load(t.path());
  };
  // A split of its own, by stem, by name, by path; a label that is empty; two that are not named.
  const std::vector<ImageSet> sets = with(
      "file,label,split\na0,cat,train\na1.png,dog,\nimages/a2.png,cat,train\na3.png,dog,test\nimages\\a4.png,cat,val\n"
      "a5.png,,\n");
  REQUIRE(sets.size() == 3);
  CHECK(sets[0].names == Names{"images/a0.png", "images/a2.png", "images/a1.png"});
  CHECK(sets[0].classes == Names{"cat", "dog"});
  CHECK(sets[1].names == Names{"images/a4.png", "images/a3.png"});
  CHECK(sets[2].names == Names{"images/a5.png", "images/a6.png", "images/a7.png"});
  CHECK(has(told_of(t.path()), "pictures that labels.csv does not name, taken for unlabelled ones: 2"));
  // No split: one is held out. Labels that are numbers come by their value.
  const std::vector<ImageSet> drawn = with("id;category\na0;10\na1;10\na2;9\na3;9\na4;9\na5;10\na6;9\na7;10\n");
  REQUIRE(drawn.size() == 2);
  CHECK(drawn[0].classes == Names{"9", "10"});
  CHECK(drawn[1].labels == std::vector<int>{0, 1});
  // Without a first line that names the columns, with blanks between them.
  CHECK(with("a0.png cat\na1.png dog\na2.png cat\na3.png dog\n")[0].classes == Names{"cat", "dog"});
  const auto fault = [&](std::string_view text) { return error_of([&] { with(text); }); };
  CHECK(has(fault("file,label\na0,cat\nb9.png,dog\na1,dog\n"), "b9.png: names no picture below the folder"));
  CHECK(has(fault("file,label,split\na0,cat,train\na1,dog,train\na2,cat,later\n"), "split \"later\" is none of"));
  CHECK(has(fault("file,label,split\na0,cat,train\na1,dog,train\na2,cow,test\n"), "class \"cow\" is not among"));
  CHECK(has(fault("file,label\na0,cat\na1,dog\nimages/a1.png,dog\n"), "is named twice"));
  put(t / "more/a0.png", 90);
  CHECK(has(fault("file,label\na0.png,cat\na1,dog\na2,cat\n"), "may be images/a0.png or more/a0.png"));
  CHECK(has(fault("label\ncat\ndog\n"), "names no pictures"));
  put_text(t / "annotations.csv", "file,label\n");
  CHECK(has(error_of([&] { load(t.path()); }), "which one names the pictures' labels?"));
}

TEST_CASE("a list of labels and folders: class folders of train/ come first, loose pictures of train/ are named") {
  const TempFolder t;
  for (int i = 0; i < 6; ++i) put(t / fmt::format("kaggle/train/{}.png", i), static_cast<std::uint64_t>(i + 1));
  put(t / "kaggle/test/9.png", 30);
  put_text(t / "kaggle/train.csv", "image_id,label\n0,cat\n1,dog\n2,cat\n3,dog\n4,cat\n5,dog\n");
  const std::vector<ImageSet> sets = load(t / "kaggle");
  REQUIRE(sets.size() == 3);
  CHECK(sets[0].images.shape()[0] + sets[1].images.shape()[0] == 6);
  CHECK(sets[2].names == Names{"test/9.png"});
  for (const char* split : {"train", "test"})
    for (const char* name : {"cat", "dog"}) put(t / "both" / split / name / "0.png", name[0] + 7u * split[1]);
  put_text(t / "both/labels.csv", "file,label\nx.png,cow\n");
  CHECK(load(t / "both")[0].classes == Names{"cat", "dog"});
}

TEST_CASE("a list given as the data: its files alone, labels from a column or from the folders") {
  const TempFolder t;
  make_flat(t / "all", 6);
  put_text(t / "some.csv", "path,label\nall/cat/0.png,c\nall/cat/1.png,c\nall/dog/0.png,d\nall/dog/1.png,d\n");
  const std::vector<ImageSet> some = load(t / "some.csv");
  REQUIRE(some.size() == 2);
  CHECK(some[0].classes == Names{"c", "d"});
  CHECK(some[0].images.shape()[0] == 2);
  CHECK(some[0].name == "some");
  put_text(t / "plain.txt", "all/cat/0.png\nall/cat/1.png\nall/cat/2.png\nall/dog/3.png\nall/dog/4.png\n");
  const std::vector<ImageSet> plain = load(t / "plain.txt");
  CHECK(plain[0].classes == Names{"cat", "dog"});
  CHECK(plain[0].images.shape()[0] + plain[1].images.shape()[0] == 5);
  // Names with blanks and commas: whole lines are names.
  Names named;
  for (const char* name :
       {"two/house sparrow/a b.png", "two/house sparrow/c d.png", "two/wren/e f.png", "two/wren/g, h 1.png"}) {
    put(t / name, 40 + named.size());
    named.emplace_back(name);
  }
  put_text(t / "blanks.txt", fmt::format("{}\r\n", fmt::join(named, "\r\n")));
  const std::vector<ImageSet> blanks = load(t / "blanks.txt");
  CHECK(blanks[0].classes == Names{"house sparrow", "wren"});
  Names loaded = blanks[0].names;
  loaded.insert(loaded.end(), blanks[1].names.begin(), blanks[1].names.end());
  std::sort(loaded.begin(), loaded.end());
  CHECK(loaded == named);
  put_text(t / "quoted.txt", "\"two/house sparrow/a b.png\"\n\"two/wren/e f.png\"\n");
  CHECK(load_images(t / "quoted.txt", Split::train).classes == Names{"house sparrow", "wren"});
  put_text(t / "mixed.txt", "two/house sparrow/a b.png\ntwo/wren/i j.png\n");
  CHECK(has(error_of([&] { load(t / "mixed.txt"); }), "two/wren/i j.png: no such file in"));
  put_text(t / "none.txt", "two/wren/i j.png\ntwo/wren/k l.png\n");
  CHECK(has(error_of([&] { load(t / "none.txt"); }), "two/wren/k l.png: no such file in"));
  // A label behind a name with blanks is a label still.
  put_text(t / "labelled.txt", "two/house sparrow/a b.png bird\ntwo/wren/e f.png wren\n");
  CHECK(load_images(t / "labelled.txt", Split::train).classes == Names{"bird", "wren"});
  put_text(t / "gone.txt", "all/cat/0.png\nall/cat/77.png\nall/dog/88.png\n");
  const std::string error = error_of([&] { load(t / "gone.txt"); });
  CHECK(has(error, "2 files cannot be used"));
  CHECK(has(error, "all/cat/77.png: no such file in"));
}
