// What lies in a folder besides the images: read, passed over or refused, and always told.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/data/image_folder.hpp"
#include "nn/data/image_set.hpp"
#include "tests/pictures.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;
namespace fs = std::filesystem;

namespace {

/// A data set of 4x4 pictures, all different: train/{cat,dog}/{0,1}.png and test/{cat,dog}/0.png.
void make_set(const fs::path& root) {
  std::uint64_t seed = 0;
  for (const char* folder : {"train/cat", "train/dog", "test/cat", "test/dog"}) {
    make_folder(root / folder);
    write_png(root / folder / "0.png", picture(4, 4, 1, ++seed));
    if (folder[1] == 'r') write_png(root / folder / "1.png", picture(4, 4, 1, ++seed));
  }
}

ImageSet load(const fs::path& root) { return std::move(load_splits(root, splits_there(root))[0]); }

/// The line that begins so, as it is told; "" where there is none.
std::string line_of(const Account& account, const std::string& what) {
  for (const std::string& line : told(account, "set"))
    if (has(line, "set: " + what)) return line;
  return "";
}

void put(const fs::path& path, const Bytes& bytes) {
  make_folder(path.parent_path());
  write_file_atomic(path, bytes);
}

void put(const fs::path& path, std::string_view text) { put(path, Bytes(text.begin(), text.end())); }

}  // namespace

TEST_CASE("a folder with nothing but its images has nothing to tell") {
  const TempFolder t;
  make_set(t.path());
  put(t / "README.md", "where it is from");
  const ImageSet set = load(t.path());
  CHECK(set.images.shape() == Shape{4, 4, 4, 1});
  CHECK(told(set.account, "set").empty());
}

TEST_CASE("thumbnails, recycle bins and hidden files are passed over anywhere, and counted") {
  const TempFolder t;
  make_set(t.path());
  const Bytes png = to_png(picture(4, 4, 1, 99));
  for (const char* name :
       {"train/cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.png", "train/@eaDir/x.png", "train/cat/#recycle/a.png",
        "train/$RECYCLE.BIN/a.png", "test/dog/deep/__MACOSX/a.png", "@eaDir/x.png"})
    put(t / name, png);
  for (const char* name : {"train/cat/.thumbnails/a.png", "train/.git/a.png", "train/dog/._0.png", ".DS_Store"})
    put(t / name, png);
  const ImageSet set = load(t.path());
  CHECK(set.images.shape()[0] == 4);
  CHECK(set.classes == std::vector<std::string>{"cat", "dog"});
  CHECK(line_of(set.account, "folders of file managers") ==
        "set: folders of file managers (thumbnails, recycle bins) passed over: 6 (first: @eaDir)");
  CHECK(line_of(set.account, "hidden") == "set: hidden files and folders passed over: 4 (first: .DS_Store)");
  CHECK(set.account.lines.size() == 2);
}

TEST_CASE("endings: what is a picture is read, by content where the name says nothing") {
  const TempFolder t;
  make_set(t.path());
  const Bytes jpeg = encode(picture(4, 4, 3, 50), "jpg"), png = to_png(picture(4, 4, 1, 51)),
              bmp = encode(picture(4, 4, 3, 52), "bmp");
  for (const char* name : {"a.jfif", "b.JPE", "c.jpg_large", "d.jpeg?width=40", "e.Jpg:large"})
    put(t / "train/cat" / name, jpeg);
  CHECK(load(t.path()).images.shape()[0] == 9);
  CHECK(line_of(load(t.path()).account, "pictures without").empty());
  put(t / "train/dog/n01440764_10026", png);
  put(t / "train/dog/2019.07", bmp);
  put(t / "train/dog/photo.heic", jpeg);  // called HEIC by whoever saved it
  CHECK(load(t.path()).images.shape()[0] == 12);
  CHECK(has(line_of(load(t.path()).account, "pictures without an ending"), ": 3 (first: train/dog/2019.07)"));
  // Copies that programs keep are no pictures of the set; a camera's .thm is a thumbnail of a film.
  for (const char* name : {"a.jpg~", "b.jpg_original", "c.thm", "d.bak"}) put(t / "train/cat" / name, jpeg);
  const ImageSet set = load(t.path());
  CHECK(set.images.shape()[0] == 12);
  CHECK(has(line_of(set.account, "pictures that are called something else"), "warning: set"));
  CHECK(has(line_of(set.account, "pictures that are called something else"), ": 4 (first: train/cat/a.jpg~)"));
}

TEST_CASE("files that are no pictures are counted by their endings, pictures in the wrong place are warned of") {
  const TempFolder t;
  make_set(t.path());
  for (const char* name : {"train/cat/0.txt", "train/cat/1.TXT", "train/dog/0.json", "train/dog/LOG", "test/Thumbs.db"})
    put(t / name, "BM, but no picture");
  put(t / "train/lost.png", "anything");
  put(t / "root.jpg", "anything");
  make_folder(t / "masks");
  const ImageSet set = load(t.path());
  CHECK(line_of(set.account, "files that are no pictures") ==
        "set: files that are no pictures passed over: 5 (2 .txt, 1 without ending, 1 .db, 1 .json; first: "
        "test/Thumbs.db)");
  CHECK(line_of(set.account, "pictures outside") ==
        "warning: set: pictures outside of any class folder passed over: 2 (first: root.jpg)");
  CHECK(line_of(set.account, "folders that are no split") ==
        "warning: set: folders that are no split of the data passed over: 1 (masks)");
}

TEST_CASE("all that cannot be read is told at once, whatever its reason and split") {
  const TempFolder t;
  make_set(t.path());
  Bytes cut = to_png(picture(4, 4, 1, 77));
  cut.resize(cut.size() - 20);
  const fs::path root = t.path();
  put(root / "train/cat/cut.png", cut);
  put(root / "train/dog/empty.jpg", "");
  put(root / "train/dog/page.jpg", "<!DOCTYPE html><html>");
  put(root / "test/cat/a.avif", "....ftypavif");
  put(root / "test/cat/b.HEIC", "anything");
  put(root / "test/cat/c", Bytes{'8', 'B', 'P', 'S', 0, 1, 0, 0});
  put(root / "unlabeled/d.svg", "<svg/>");
  put(root / "unlabeled/e.png", to_png(picture(4, 4, 1, 78)));
  const std::string message = error_of([&] { load(root); });
  CHECK(has(message, "7 files cannot be used:"));
  for (const char* part :
       {"cut.png: image ends too early", "empty.jpg: not a PNG, JPEG", "image (it is empty", "image, but HTML page",
        "a.avif: pictures of this kind (AVIF) cannot be read", "b.HEIC: pictures of this kind cannot be read",
        "cat/c: pictures of this kind (PSD)", "d.svg: pictures of this kind (SVG)"})
    CHECK_MESSAGE(has(message, part), part, " in ", message);
  for (int i = 0; i < 9; ++i) put(root / "test/dog" / fmt::format("x{}.png", i), cut);
  CHECK(has(error_of([&] { load(root); }), "16 files cannot be used:"));
  CHECK(has(error_of([&] { load(root); }), "and 8 more"));
  // A single one is told as before.
  fs::remove_all(root / "test");
  fs::remove_all(root / "unlabeled");
  fs::remove(root / "train/dog/empty.jpg");
  fs::remove(root / "train/dog/page.jpg");
  CHECK(error_of([&] { load(root); }).starts_with((root / "train/cat/cut.png").string() + ": image ends too early"));
}

TEST_CASE("links, loops, pipes and folders without permission") {
  const TempFolder t;
  make_set(t / "set");
  const fs::path root = t / "set", cat = root / "train/cat";
  write_png(t / "elsewhere.png", picture(4, 4, 1, 60));
  fs::create_symlink(t / "elsewhere.png", cat / "linked.png");
  fs::create_directory_symlink(root / "train/dog", cat / "more");
  fs::create_symlink("nowhere.txt", cat / "notes.txt");
  REQUIRE(::mkfifo((cat / "pipe.png").c_str(), 0600) == 0);
  const ImageSet set = load(root);
  CHECK(set.images.shape()[0] == 5);
  CHECK(line_of(set.account, "links to folders").starts_with("warning: set: links to folders not followed"));
  CHECK(has(line_of(set.account, "links that lead nowhere"), "1 (train/cat/notes.txt)"));
  CHECK(has(line_of(set.account, "pipes, sockets"), "1 (train/cat/pipe.png)"));

  fs::create_symlink("gone.png", cat / "dead.png");
  fs::create_symlink("loop2", root / "train/loop");
  fs::create_symlink("loop", root / "train/loop2");
  fs::create_directory_symlink("..", root / "train/around");
  const std::string message = error_of([&] { load(root); });
  CHECK(has(message, "dead.png: a link that leads nowhere, to gone.png"));
  CHECK(has(message, "train/loop: a link that leads nowhere"));
  CHECK(has(message, "train/around: a link to a folder that holds it"));
  for (const char* name : {"train/loop", "train/loop2", "train/around", "train/cat/dead.png"}) fs::remove(root / name);
  // A class folder may be a link.
  fs::rename(root / "train/dog", t / "dogs");
  fs::create_directory_symlink(t / "dogs", root / "train/dog");
  fs::remove(cat / "more");
  CHECK(load(root).images.shape()[0] == 5);
  // A loop, or nothing, as the data set itself.
  fs::create_symlink("self", t / "self");
  CHECK(has(error_of([&] { load_images(t / "self", Split::train); }), "leads nowhere, or in a circle"));
  if (::geteuid() != 0) {  // root may look into everything
    fs::permissions(cat, fs::perms::none);
    CHECK(has(error_of([&] { load(root); }), "folder cannot be read"));
    fs::permissions(cat, fs::perms::owner_all);
    fs::permissions(cat / "0.png", fs::perms::none);
    CHECK(has(error_of([&] { load(root); }), "0.png: cannot be opened"));
    fs::permissions(cat / "0.png", fs::perms::owner_all);
  }
}

TEST_CASE("splits under their usual names; two of one kind are a question") {
  const TempFolder t;
  for (const auto& [train, test, unlabelled] : {std::tuple{"train", "test", "unlabeled"},
                                                {"Training", "Validation", "Unlabelled"},
                                                {"TRAIN", "valid", "unsup"},
                                                {"train_set", "testing", "un-labeled"},
                                                {"train", "val", "unsupervised"}}) {
    const fs::path root = t / train / test;
    for (const char* name : {"a", "b"})
      for (const char* split : {train, test})
        put(root / split / name / "0.png",
            to_png(picture(4, 4, 1, static_cast<std::uint64_t>(7 * name[0] + split[1]))));
    put(root / unlabelled / "x.png", to_png(picture(4, 4, 1, 3)));
    CAPTURE(root.string());
    CHECK(splits_there(root).size() == 3);
    CHECK(told(load(root).account, "set").empty());
    make_folder(root / "Unlabeled_");
    CHECK(has(error_of([&] { load(root); }), "which one is meant? Remove or rename one"));
  }
  const fs::path both = t / "train" / "test";
  fs::remove_all(both / "Unlabeled_");
  make_folder(both / "valid");
  CHECK(line_of(load(both).account, "validation splits") ==
        "set: validation splits not read, for there is a test split: 1 (valid)");
  make_folder(both / "Test");
  CHECK(has(error_of([&] { load(both); }), "which one is meant"));
}

TEST_CASE("class folders: names that reports and models cannot hold, or that differ by case alone") {
  const TempFolder t;
  make_set(t.path());
  put(t / "train/Cat/0.png", to_png(picture(4, 4, 1, 40)));
  CHECK(has(line_of(load(t.path()).account, "class folders whose names differ"), "1 (train/cat)"));
  put(t / "train/Spitzm\xE4use/0.png", to_png(picture(4, 4, 1, 41)));
  CHECK(has(error_of([&] { load(t.path()); }), "the folder's name is no UTF-8 text; rename it"));
  fs::remove_all(t / "train/Spitzm\xE4use");
  put(t / "train/dog/K\xF6ter.png", to_png(picture(4, 4, 1, 42)));  // a file may be called anything
  CHECK(load(t.path()).images.shape()[0] == 6);
  put(t / "test/DOG/0.png", to_png(picture(4, 4, 1, 43)));
  CHECK(has(error_of([&] { load(t.path()); }), "class \"DOG\" is not among the training classes"));
  CHECK(has(error_of([&] { load(t.path()); }), "(there is \"dog\";"));
}

TEST_CASE("class folders whose names people take for one are told, each once") {
  const TempFolder t;
  make_set(t.path());
  std::uint64_t seed = 80;
  for (const char* name :
       {"caf\xC3\xA9", "cafe\xCC\x81", "\xC3\x89t\xC3\xA9", "\xC3\xA9t\xC3\xA9", "cat ", "cat\xC2\xA0", "cafe"})
    put(t / "train" / name / "0.png", to_png(picture(4, 4, 1, ++seed)));
  CHECK(has(line_of(load(t.path()).account, "class folders whose names differ in case, blanks"),
            "warning: set: class folders whose names differ in case, blanks or the spelling of letters alone: 4 "));
  for (const char* name : {"Dog", "DOG"}) put(t / "train" / name / "0.png", to_png(picture(4, 4, 1, ++seed)));
  CHECK(has(line_of(load(t.path()).account, "class folders whose names differ in upper"), ": 2 (first: train/Dog)"));
  put(t / "test/dog\xE3\x80\x80/0.png", to_png(picture(4, 4, 1, 99)));  // an ideographic space
  CHECK(has(error_of([&] { load(t.path()); }), "(there is \"dog\"; names that look alike may be spelled in two ways"));
}

TEST_CASE("names with line breaks, and with what a terminal obeys, are spelled out") {
  const TempFolder t;
  make_set(t.path());
  put(t / "train/cat/two\nlines.txt", "x");
  CHECK(has(line_of(load(t.path()).account, "files that are no pictures"), "; train/cat/two\\u000alines.txt)"));
  put(t / "train/cat/\x1b[31m.png", "x");
  CHECK(has(error_of([&] { load(t.path()); }), "train/cat/\\u001b[31m.png: not a PNG"));
  put(t / "train/cat/a.png", "x");
  const std::string message = error_of([&] { load(t.path()); });
  CHECK(has(message, "2 files cannot be used:\n  "));
  CHECK(has(message, "\\u001b[31m.png: not a PNG"));
}

TEST_CASE("pictures that are there twice are told, by content and whatever the file's format") {
  const TempFolder t;
  make_set(t.path());
  const Array again = read_image(t / "train/dog/1.png");
  put(t / "train/dog/copy.bmp", encode(again, "bmp"));
  put(t / "train/cat/other_class.png", to_png(again));
  put(t / "test/dog/leaked.png", to_png(again));
  put(t / "unlabeled/a.png", to_png(read_image(t / "test/cat/0.png")));
  const std::vector<ImageSet> sets = load_splits(t.path(), splits_there(t.path()), {.channels = 3});
  const Account& account = sets[0].account;
  CHECK(line_of(account, "training images that are there twice").empty());  // the first of the three is the cat
  CHECK(has(line_of(account, "training images that are there under two classes"),
            "warning: set: training images that are there under two classes: 2 (first: train/cat/other_class.png = "
            "train/dog/1.png)"));
  CHECK(line_of(account, "test images that are training") ==
        "warning: set: test images that are training images as well: 1 (test/dog/leaked.png = "
        "train/cat/other_class.png)");
  CHECK(has(line_of(account, "test images that are unlabelled"), "1 (test/cat/0.png = unlabeled/a.png)"));
  CHECK(sets[1].account.lines.empty());
  fs::remove(t / "train/cat/other_class.png");
  CHECK(has(line_of(load(t.path()).account, "training images that are there twice"),
            "1 (train/dog/1.png = train/dog/copy.bmp)"));
}

TEST_CASE("pictures that are there twice in the test split, or labelled and unlabelled, are told") {
  const TempFolder t;
  make_set(t.path());
  put(t / "test/cat/same.png", to_png(read_image(t / "test/cat/0.png")));
  CHECK(line_of(load(t.path()).account, "test images that are there") ==
        "warning: set: test images that are there twice: 1 (test/cat/0.png = test/cat/same.png)");
  put(t / "test/dog/other.png", to_png(read_image(t / "test/cat/0.png")));
  CHECK(line_of(load(t.path()).account, "test images that are there under two") ==
        "warning: set: test images that are there under two classes: 1 (test/cat/0.png = test/dog/other.png)");
  put(t / "unlabeled/a.png", to_png(read_image(t / "train/dog/1.png")));
  put(t / "unlabeled/b.png", to_png(read_image(t / "train/dog/1.png")));
  CHECK(line_of(load(t.path()).account, "unlabelled images that are training") ==
        "set: unlabelled images that are training images as well, whose labels are known: 2 (first: unlabeled/a.png = "
        "train/dog/1.png)");
}

TEST_CASE("what pictures say of themselves is counted") {
  const TempFolder t;
  make_set(t.path());
  const Bytes jpeg = encode(picture(4, 4, 3, 50), "jpg");
  put(t / "train/cat/turned.jpg", with_exif(jpeg, exif_of(6, true)));
  put(t / "test/cat/turned.jpg", with_exif(jpeg, exif_of(3, false)));
  put(t / "train/dog/broken.jpg", with_exif(jpeg, {'?'}));
  const ImageSet set = load(t.path());
  CHECK(line_of(set.account, "pictures turned upright") ==
        "set: pictures turned upright, as their EXIF data say: 2 (first: test/cat/turned.jpg)");
  CHECK(line_of(set.account, "pictures with EXIF data").starts_with("warning: set"));
  // What another split says does not count where it is not read.
  CHECK(has(line_of(load_images(t.path(), Split::test).account, "pictures turned"), ": 1 ("));
}

TEST_CASE("a class may be called thumbs, a folder in a class is then no part of it") {
  const TempFolder t;
  make_set(t.path());
  put(t / "train/thumbs/0.png", to_png(picture(4, 4, 1, 70)));
  put(t / "train/thumbs/thumbs/0.png", to_png(picture(4, 4, 1, 71)));
  put(t / "train/dog/Thumbnails/0.png", to_png(picture(4, 4, 1, 72)));
  const ImageSet set = load(t.path());
  CHECK(set.images.shape()[0] == 5);
  CHECK(has(line_of(set.account, "folders called thumbnails"), "2 (first: train/dog/Thumbnails)"));
}

TEST_CASE("pictures of other splits that are brought to the size and colour of the training images are told") {
  const TempFolder t;
  make_set(t.path());
  put(t / "test/dog/large.png", to_png(picture(8, 9, 1, 70)));
  put(t / "unlabeled/colour.png", to_png(picture(4, 4, 3, 71)));
  const ImageSet set = load(t.path());
  CHECK(has(line_of(set.account, "pictures of another size or colour"), "2 (first: test/dog/large.png)"));
  const ImageSet asked = std::move(load_splits(t.path(), splits_there(t.path()), {.height = 4, .width = 4})[0]);
  CHECK(has(line_of(asked.account, "pictures of another size or colour"), "1 (unlabeled/colour.png)"));
  const ImageFormat all{.height = 4, .width = 4, .channels = 1};
  CHECK(line_of(load_splits(t.path(), splits_there(t.path()), all)[0].account, "pictures of another").empty());
}

TEST_CASE("sizes that differ are counted, and asked for") {
  const TempFolder t;
  make_set(t.path());
  put(t / "train/cat/big.png", to_png(picture(5, 4, 1, 1)));
  put(t / "train/dog/big.png", to_png(picture(6, 4, 1, 1)));
  const std::string message = error_of([&] { load(t.path()); });
  CHECK(has(message, "big.png: 5x4 pixels, but"));
  CHECK(has(message, "(2 of 6 files are of another size); --size HxW"));
}
