// Data sets as folders: every layout is recognised, every disagreement between its files is named.
#include <doctest/doctest.h>

#include <cstring>

#include "engine/io/gzip.hpp"
#include "engine/io/idx.hpp"
#include "engine/io/image.hpp"
#include "nn/data/image_set.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using akin::test::error_of;
using akin::test::has;
using akin::test::TempFolder;
namespace fs = std::filesystem;

namespace {

Array pixels(const Shape& shape, int first = 0) {
  Array a(DType::u8, shape);
  for (std::size_t i = 0; i < a.byte_size(); ++i)
    a.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(i + static_cast<std::size_t>(first));
  return a;
}

Array labels(const std::vector<std::uint8_t>& values) {
  return Array::from(values, {static_cast<std::int64_t>(values.size())});
}

void make_mnist(const fs::path& folder) {
  make_folder(folder);
  write_idx(folder / "train-images-idx3-ubyte.gz", pixels({4, 3, 5}));
  write_idx(folder / "train-labels-idx1-ubyte.gz", labels({0, 2, 1, 2}));
  write_idx(folder / "t10k-images-idx3-ubyte.gz", pixels({2, 3, 5}, 100));
  write_idx(folder / "t10k-labels-idx1-ubyte.gz", labels({1, 2}));
}

void make_cifar10(const fs::path& folder, int batches) {
  make_folder(folder);
  for (int b = 0; b <= batches; ++b) {
    Bytes file(2 * 3073);
    file[0] = static_cast<std::uint8_t>(2 * b % 10);
    file[3073] = static_cast<std::uint8_t>((2 * b + 1) % 10);
    file[1] = static_cast<std::uint8_t>(b);
    write_file_atomic(folder / (b == 0 ? "test_batch.bin" : fmt::format("data_batch_{}.bin", b)), file);
  }
}

}  // namespace

TEST_CASE("IDX folder with MNIST's names") {
  const TempFolder t;
  const fs::path m = t / "mnist";
  make_mnist(m);
  const ImageSet train = load_images(m, Split::train), test = load_images(m / "", Split::test);
  CHECK(train.images.shape() == Shape{4, 3, 5, 1});
  CHECK(train.labels == std::vector<int>{0, 2, 1, 2});
  CHECK(train.classes == std::vector<std::string>{"0", "1", "2"});
  CHECK(train.name == "mnist");
  CHECK(test.name == "mnist");
  CHECK(test.images.as<std::uint8_t>()[0] == 100);
  CHECK(test.classes == train.classes);
  CHECK(has_split(m, Split::test));
  CHECK_FALSE(has_split(m, Split::unlabeled));
  CHECK(has(error_of([&] { load_images(m, Split::unlabeled); }), "no unlabeled images"));

  SUBCASE("names, unlabelled images, other spellings, colour") {
    write_file_atomic(m / "classes.txt", std::string_view("zero\r\none, or so\nBalinese/2\n\n"));
    CHECK(load_images(m, Split::train).classes == std::vector<std::string>{"zero", "one, or so", "Balinese/2"});
    write_idx(m / "unlabeled-images-idx4-ubyte.gz", pixels({6, 3, 5, 3}));
    CHECK(load_images(m, Split::unlabeled).images.shape() == Shape{6, 3, 5, 3});
    CHECK(load_images(m, Split::unlabeled).labels.empty());
    CHECK(load_images(m, Split::unlabeled, {.channels = 1}).images.shape() == Shape{6, 3, 5, 1});
    CHECK(load_images(m, Split::train, {.height = 8, .width = 8, .channels = 3}).images.shape() == Shape{4, 8, 8, 3});
    fs::rename(m / "train-images-idx3-ubyte.gz", m / "train-images.idx3-ubyte");  // packed all the same
    CHECK(load_images(m, Split::train).images.shape() == Shape{4, 3, 5, 1});
    write_idx(m / "train-images-idx4-ubyte", pixels({4, 3, 5, 3}));
    CHECK(has(error_of([&] { load_images(m, Split::train); }), "which one is meant"));
  }
  SUBCASE("plain and packed side by side are one file") {
    write_idx(m / "train-images-idx3-ubyte", pixels({4, 3, 5}));
    CHECK(load_images(m, Split::train).images.shape() == Shape{4, 3, 5, 1});
  }
  SUBCASE("counts disagree") {
    write_idx(m / "train-labels-idx1-ubyte.gz", labels({0, 2, 1}));
    const std::string message = error_of([&] { load_images(m, Split::train); });
    CHECK(has(message, "train-labels-idx1-ubyte.gz: 3 labels for the 4 images of"));
  }
  SUBCASE("label out of range") {
    write_file_atomic(m / "classes.txt", std::string_view("a\nb\n"));
    CHECK(has(error_of([&] { load_images(m, Split::train); }), "train image 1 has label 2, the 2 classes"));
    write_idx(m / "train-labels-idx1-ubyte.gz", Array::from<std::int32_t>({0, 1, -1, 0}, {4}));
    CHECK(has(error_of([&] { load_images(m, Split::train); }), "image 2 has label -1"));
  }
  SUBCASE("empty class") {
    write_idx(m / "train-labels-idx1-ubyte.gz", labels({0, 2, 0, 2}));
    CHECK(has(error_of([&] { load_images(m, Split::train); }), "class 1 (\"1\") has no training image"));
    CHECK(load_images(m, Split::test).labels.size() == 2);  // a test split may lack a class
  }
  SUBCASE("files missing or of another kind") {
    write_idx(m / "train-images-idx3-ubyte.gz", pixels({4, 3, 5}).cast(DType::f32));
    CHECK(has(error_of([&] { load_images(m, Split::train); }), "found f32"));
    write_idx(m / "train-images-idx3-ubyte.gz", pixels({4, 3, 5, 2}));
    CHECK(has(error_of([&] { load_images(m, Split::train); }), "channels come last"));
    write_idx(m / "train-images-idx3-ubyte.gz", Array(DType::u8, {0, 3, 5}));
    write_idx(m / "train-labels-idx1-ubyte.gz", labels({}));
    CHECK(has(error_of([&] { load_images(m, Split::train); }), "has no image"));
    fs::remove(m / "train-labels-idx1-ubyte.gz");
    CHECK(has(error_of([&] { load_images(m, Split::train); }), "its labels are missing"));
    write_file_atomic(m / "classes.txt", std::string_view("\n\n"));
    CHECK(has(error_of([&] { load_images(m, Split::test); }), "classes.txt: no class name"));
    write_file_atomic(m / "classes.txt", std::string_view("a\n\nb"));
    CHECK(has(error_of([&] { load_images(m, Split::test); }), "classes.txt: line 2 is empty"));
  }
}

TEST_CASE("IDX labels: whatever is unusual is called what it is, before it is believed") {
  const TempFolder t;
  const fs::path m = t / "m";
  make_mnist(m);
  const auto with_labels = [&](const Array& values) {
    write_idx(m / "train-labels-idx1-ubyte.gz", values);
    return error_of([&] { load_images(m, Split::train); });
  };
  const auto with_names = [&](std::string_view names) {
    write_file_atomic(m / "classes.txt", names);
    return error_of([&] { load_images(m, Split::train); });
  };
  CHECK(has(with_labels(labels({1, 3, 2, 3})), "labels run from 1 to 3, but classes are numbered from 0; subtract 1"));
  CHECK(has(with_names("a\nb\nc\n"), "subtract 1 from all labels (there are 3 class names)"));
  CHECK(has(with_names("none\na\nb\nc\n"), "class 0 (\"none\") has no training image"));  // four classes: another cause
  CHECK(has(with_names("a\nb\n"), "has label 3, the 2 classes"));
  fs::remove(m / "classes.txt");
  CHECK(has(with_labels(labels({7, 5, 5, 6})), "labels run from 5 to 7"));
  CHECK(has(with_labels(Array::from<std::int32_t>({0, 2147483647, 1, 1}, {4})),
            "image 1 has label 2147483647, the limit is 1000000 classes (is it a file of labels?)"));
  CHECK(has(with_labels(Array::from<std::int32_t>({0, 1, -1, 0}, {4})),
            "image 2 has label -1; classes are numbered from 0, and images without a label belong into unlabeled-"));
  CHECK(has(with_labels(pixels({4, 3})), "found u8 [4, 3] (one number an image is expected, not a row)"));
  CHECK(has(with_labels(labels({0, 2, 1, 2}).cast(DType::f32)), "found f32 [4]"));
  CHECK(with_labels(labels({0, 2, 1, 2})).empty());
  CHECK(with_names("\xEF\xBB\xBFone\rtwo\rthree").empty());
  CHECK(load_images(m, Split::train).classes == std::vector<std::string>{"one", "two", "three"});
  CHECK(has(with_names(std::string_view("o\0n\0e\0", 6)), "no plain text (UTF-16?)"));
  CHECK(has(with_names("one\ntw\xF6\nthree"), "line 2 is no UTF-8 text"));
  CHECK(with_names("crane\nfox\ncrane\n").empty());  // birds and machines, as in ImageNet
  CHECK(has(told(load_images(m, Split::train).account, "m")[0],
            "warning: m: classes.txt: names that two classes share: 1"));
}

TEST_CASE("IDX: sizes are compared before anything is allocated or unpacked") {
  const TempFolder t;
  const auto refusal = [&](const std::string& name, const Bytes& bytes, std::uint64_t limit = 1 << 20) {
    write_file_atomic(t / name, bytes);
    return error_of([&] { read_idx(t / name, limit); });
  };
  const Bytes huge{0, 0, 8, 3, 255, 255, 255, 255, 0, 0, 1, 0, 0, 0, 1, 0, 7};  // 2^48 bytes
  CHECK(has(refusal("huge", huge), "takes 281474976645120 bytes, the file has 1"));
  CHECK(has(refusal("huge.gz", gzip(huge)), "bytes, the limit is 1048576"));
  CHECK(has(refusal("lie.gz", gzip(Bytes{0, 0, 8, 2, 0, 0, 1, 0, 0, 0, 0xF, 0, 7})), "packed bytes cannot hold"));
  Bytes small = to_idx(pixels({2, 3}));
  CHECK(has(refusal("few.gz", gzip(ByteView(small).first(small.size() - 1))), "takes 6 bytes, the file has 5"));
  small.resize(std::size_t{40} << 20);  // a header of 6 bytes, and then no end of zeros
  CHECK(has(refusal("bomb.gz", gzip(small)), "takes 6 bytes, the file has"));
  CHECK(has(refusal("bomb", small), "takes 6 bytes, the file has"));
  CHECK(has(refusal("large", to_idx(pixels({2, 3})), 5), "takes 6 bytes, the limit is 5"));
  const IdxHeader header = read_idx_header(t / "bomb.gz");
  CHECK(header.shape == Shape{2, 3});
  // Several members, one inside the header, and the zeros of a tape behind them.
  const Bytes whole = to_idx(pixels({2, 3}));
  Bytes members = gzip(ByteView(whole).first(5));
  const Bytes rest = gzip(ByteView(whole).subspan(5));
  members.insert(members.end(), rest.begin(), rest.end());
  members.resize(members.size() + 512);
  CHECK(refusal("members.gz", members).empty());
  CHECK(read_idx(t / "members.gz").as<std::uint8_t>()[5] == 5);
  members.push_back(1);
  CHECK(has(refusal("members.gz", members), "follow the end of the gzip stream"));
}

TEST_CASE("IDX folders: other spellings, and files that are none of the splits") {
  const TempFolder t;
  const fs::path m = t / "m";
  make_mnist(m);
  write_idx(m / "unlabelled-images-idx3-ubyte", pixels({6, 3, 5}, 50));
  CHECK(load_images(m, Split::unlabeled).images.shape() == Shape{6, 3, 5, 1});
  write_idx(m / "Unlabeled-images.idx3-ubyte", pixels({6, 3, 5}));
  CHECK(has(error_of([&] { load_images(m, Split::train); }), "which one is meant"));
  fs::remove(m / "Unlabeled-images.idx3-ubyte");
  write_idx(m / "emnist-letters-train-images-idx3-ubyte", pixels({1, 3, 5}));
  write_idx(m / "train-images-idx3-ubyte", pixels({4, 3, 5}));
  write_file_atomic(m / "notes.txt", std::string_view("x"));
  make_folder(m / "train");
  const std::vector<std::string> lines = told(load_images(m, Split::train).account, "m");
  REQUIRE(lines.size() == 4);
  CHECK(lines[0] == "m: files that are no pictures passed over: 1 (1 .txt; notes.txt)");
  CHECK(lines[1] == "warning: m: folders that are no split of the data passed over: 1 (train)");
  CHECK(lines[2] == "m: packed files passed over, for the same are there unpacked: 1 (train-images-idx3-ubyte.gz)");
  CHECK(lines[3] ==
        "warning: m: IDX files whose names say no split passed over: 1 (emnist-letters-train-images-idx3-ubyte)");
  make_folder(t / "emnist");
  fs::rename(m / "emnist-letters-train-images-idx3-ubyte", t / "emnist/emnist-letters-train-images-idx3-ubyte");
  CHECK(
      has(error_of([&] { load_images(t / "emnist", Split::train); }), "its name says no split; call it train-images"));
  make_folder(t / "python");
  write_file_atomic(t / "python/data_batch_1", std::string_view("pickle"));
  CHECK(has(error_of([&] { load_images(t / "python", Split::train); }), "CIFAR-10 in its version for Python"));
}

TEST_CASE("IDX folders: labels of another split than the images, and packed files that hold something else") {
  const TempFolder t;
  const fs::path m = t / "m";
  make_mnist(m);
  fs::rename(m / "t10k-images-idx3-ubyte.gz", m / "val-images-idx3-ubyte.gz");
  const std::string mixed = error_of([&] { load_images(m, Split::test); });
  CHECK_MESSAGE(has(mixed, "images of the validation split and labels of the test split"), mixed);
  CHECK(has(mixed, "val-images-idx3-ubyte.gz and "));
  write_idx(m / "val-labels-idx1-ubyte", labels({2, 0}));
  CHECK(load_images(m, Split::test).labels == std::vector<int>{2, 0});  // those of the images
  CHECK(
      has(told(load_images(m, Split::test).account, "m")[0], "labels of a split without images passed over: 1 (t10k-"));
  fs::rename(m / "val-images-idx3-ubyte.gz", m / "test-images-idx3-ubyte.gz");
  CHECK(load_images(m, Split::test).labels == std::vector<int>{1, 2});
  fs::remove(m / "t10k-labels-idx1-ubyte.gz");
  CHECK(has(error_of([&] { load_images(m, Split::test); }), "images of the test split and labels of the validation"));

  make_mnist(t / "n");
  write_idx(t / "n/t10k-labels-idx1-ubyte", labels({1, 2}));
  CHECK(load_images(t / "n", Split::test).labels == std::vector<int>{1, 2});
  write_idx(t / "n/t10k-labels-idx1-ubyte", labels({2, 1}));
  const std::string two = error_of([&] { load_images(t / "n", Split::train); });
  CHECK_MESSAGE(has(two, "t10k-labels-idx1-ubyte.gz: hold different bytes once unpacked"), two);
}

TEST_CASE("IDX folders: a list of names in any case; a test label that no training image has is told of its file") {
  const TempFolder t;
  const fs::path m = t / "m";
  make_mnist(m);
  write_file_atomic(m / "Classes.TXT", std::string_view("a\nb\nc\n"));
  const ImageSet set = load_images(m, Split::train);
  CHECK(set.classes == std::vector<std::string>{"a", "b", "c"});
  CHECK(set.account.lines.empty());
  write_file_atomic(m / "Classes.TXT", std::string_view("a\nb\nc\nd\n"));
  CHECK(has(error_of([&] { load_images(m, Split::train); }),
            "class 3 (\"d\") has no training image; add some or take "
            "the class out of Classes.TXT"));
  write_file_atomic(m / "classes.txt", std::string_view("a\nb\nc\n"));
  CHECK(has(error_of([&] { load_images(m, Split::train); }), "which one is meant"));
  fs::remove(m / "classes.txt");
  fs::remove(m / "Classes.TXT");
  write_idx(m / "t10k-labels-idx1-ubyte.gz", labels({1, 7}));
  const std::string odd = error_of([&] { load_images(m, Split::train); });
  CHECK_MESSAGE(has(odd, "t10k-labels-idx1-ubyte.gz: image 1 has label 7, but the training labels"), odd);
  CHECK(has(odd, "run from 0 to 2"));
  CHECK(load_images(m, Split::test).classes.size() == 8);  // alone it may be of another model's classes
}

TEST_CASE("images that the splits of IDX files share are told by their numbers") {
  const TempFolder t;
  make_mnist(t / "m");
  Array train = pixels({4, 3, 5});
  std::memcpy(train.bytes() + 15, pixels({2, 3, 5}, 100).bytes() + 15, 15);  // image 1 is the test's image 1
  write_idx(t / "m/train-images-idx3-ubyte.gz", train);
  const ImageSet set = std::move(load_splits(t / "m", {Split::train, Split::test})[0]);
  CHECK(told(set.account, "m") ==
        std::vector<std::string>{"warning: m: test images that are training images as well: 1 "
                                 "(test image 1 = train image 1)"});
}

TEST_CASE("CIFAR-10 and CIFAR-100 folders") {
  const TempFolder t;
  make_cifar10(t / "c10", 5);
  const ImageSet train = load_images(t / "c10", Split::train);
  CHECK(train.images.shape() == Shape{10, 32, 32, 3});
  CHECK(train.labels == std::vector<int>{2, 3, 4, 5, 6, 7, 8, 9, 0, 1});
  CHECK(train.images.as<std::uint8_t>()[2 * 3072] == 2);  // batches in their order
  CHECK(train.classes.size() == 10);
  CHECK(load_images(t / "c10", Split::test).labels == std::vector<int>{0, 1});
  write_file_atomic(t / "c10" / "batches.meta.txt", std::string_view("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n"));
  CHECK(load_images(t / "c10", Split::test).classes[9] == "j");
  CHECK(has(error_of([&] { load_images(t / "c10", Split::unlabeled); }), "no unlabelled images"));
  write_file_atomic(t / "c10" / "batches.meta.txt", std::string_view("a\nb\nc\nd\na\nf\ng\nh\ni\nj\n"));
  CHECK(has(told(load_images(t / "c10", Split::test).account, "c")[0],
            "warning: c: batches.meta.txt: names that two classes share: 1 (a)"));
  write_file_atomic(t / "c10" / "batches.meta.txt", std::string_view("a\nb\nc\nd\n"));
  CHECK(has(error_of([&] { load_images(t / "c10", Split::train); }), "(is batches.meta.txt complete?)"));
  fs::remove(t / "c10" / "data_batch_4.bin");
  CHECK(has(error_of([&] { load_images(t / "c10", Split::train); }), "data_batch_4.bin: cannot be opened"));

  make_folder(t / "c100");
  Bytes file(100 * 3074);
  for (std::size_t i = 0; i < 100; ++i) file[i * 3074 + 1] = static_cast<std::uint8_t>(i);
  write_file_atomic(t / "c100" / "train.bin", file);
  CHECK(load_images(t / "c100", Split::train).labels[99] == 99);
  CHECK(load_images(t / "c100", Split::train).classes.size() == 100);
  CHECK_FALSE(has_split(t / "c100", Split::test));
}

TEST_CASE("folders of image files") {
  const TempFolder t;
  const fs::path s = t / "set";
  for (const std::string name : {"train/b", "train/a", "test/b", "unlabeled"}) make_folder(s / name);
  write_png(s / "train" / "a" / "1.png", pixels({4, 4, 1}));
  write_png(s / "train" / "b" / "1.png", pixels({4, 4, 3}));
  write_png(s / "test" / "b" / "1.png", pixels({6, 6, 1}));
  write_png(s / "unlabeled" / "1.png", pixels({4, 8, 1}));
  const ImageSet train = load_images(s, Split::train), test = load_images(s, Split::test);
  CHECK(train.images.shape() == Shape{2, 4, 4, 3});
  CHECK(train.labels == std::vector<int>{0, 1});
  CHECK(test.classes == std::vector<std::string>{"a", "b"});
  CHECK(test.labels == std::vector<int>{1});        // numbered as in train, though it is test's only class
  CHECK(test.images.shape() == Shape{1, 4, 4, 3});  // and of train's size and colour
  CHECK(load_images(s, Split::unlabeled).images.shape() == Shape{1, 4, 4, 3});
  CHECK(has_split(s, Split::unlabeled));
  make_folder(s / "test" / "c");
  write_png(s / "test" / "c" / "1.png", pixels({4, 4, 1}));
  CHECK(has(error_of([&] { load_images(s, Split::test); }), "class \"c\" is not among the training classes"));
  fs::remove_all(s / "test");
  CHECK(has(error_of([&] { load_images(s, Split::test); }),
            "too few to hold some out"));  // of one picture nothing can be held out
  make_folder(s / "val" / "a");
  write_png(s / "val" / "a" / "1.png", pixels({4, 4, 1}));
  CHECK(load_images(s, Split::test).labels == std::vector<int>{0});
  // Classes without a split, nothing known, nothing there, a file.
  CHECK(load_images(s / "train", Split::train).classes == std::vector<std::string>{"a", "b"});
  make_folder(t / "empty" / "a");
  CHECK(has(error_of([&] { load_images(t / "empty", Split::train); }), "no train/ and test/"));
  CHECK(has(error_of([&] { load_images(s / "train" / "a", Split::train); }), "no data set akin knows"));
  CHECK(has(error_of([&] { load_images(t / "none", Split::train); }), "none: no such folder"));
  CHECK(has(error_of([&] { load_images(s / "train" / "a" / "1.png", Split::train); }), "is a file"));
}

TEST_CASE("classes can be left out, by name or by its first word") {
  const TempFolder t;
  make_mnist(t / "m");
  write_file_atomic(t / "m" / "classes.txt", std::string_view("n1 red fox\nn2 fox\nn3 owl\n"));
  const ImageSet all = load_images(t / "m", Split::train), two = without_classes(all, {"n3"});
  CHECK(two.classes == std::vector<std::string>{"n1 red fox", "n2 fox"});
  CHECK(two.labels == std::vector<int>{0, 1});  // of 0, 2, 1, 2
  REQUIRE(two.images.shape() == Shape{2, 3, 5, 1});
  CHECK(std::memcmp(two.images.bytes() + 15, all.images.bytes() + 30, 15) == 0);
  CHECK(without_classes(all, {"n1 red fox"}).labels == std::vector<int>{1, 0, 1});
  CHECK(has(error_of([&] { without_classes(all, {"n"}); }), "'n' is none of its 3 classes"));
  CHECK(has(error_of([&] { without_classes(all, {"n1", "n2"}); }), "1 classes are left"));
}

TEST_CASE("content hash: pixels, sizes and labels count, file names do not") {
  const TempFolder t;
  make_mnist(t / "one");
  make_mnist(t / "two");
  ImageSet a = load_images(t / "one", Split::train);
  CHECK(content_hash(a) == content_hash(load_images(t / "two", Split::train)));
  const std::string before = content_hash(a);
  a.labels[0] = 1;
  CHECK(content_hash(a) != before);
  a.labels[0] = 0;
  CHECK(content_hash(a) == before);
  a.images = a.images.reshaped({4, 5, 3, 1});
  CHECK(content_hash(a) != before);
}

TEST_CASE("save_images: what is saved is loaded, a set that could not be loaded is not saved") {
  TempFolder f;
  ImageSet grey;
  grey.images = pixels({3, 4, 5, 1});
  grey.labels = {0, 1, 1};
  grey.classes = {"alpha", "\u03b2"};
  ImageSet colour = grey;
  colour.images = pixels({3, 4, 5, 3}, 9);
  for (const ImageSet* set : {&grey, &colour}) {
    const fs::path folder = f / (set == &grey ? "grey" : "colour");
    save_images(*set, Split::train, folder);
    save_images(*set, Split::test, folder);
    save_images(*set, Split::unlabeled, folder);
    for (const Split split : {Split::train, Split::test}) {
      const ImageSet back = load_images(folder, split);
      CHECK(content_hash(back) == content_hash(*set));
      CHECK(back.classes == set->classes);
    }
    CHECK(load_images(folder, Split::unlabeled).labels.empty());
  }
  ImageSet bad = grey;
  bad.labels = {0, 1, 2};
  CHECK(has(error_of([&] { save_images(bad, Split::train, f / "bad"); }), "bad"));
  bad.labels = {0, 0, 0};
  CHECK(has(error_of([&] { save_images(bad, Split::train, f / "bad"); }), "bad"));
  bad = grey;
  bad.classes[1] = "two\nlines";
  CHECK(has(error_of([&] { save_images(bad, Split::train, f / "bad"); }), "two lines"));
  CHECK(!fs::exists(f / "bad"));
  bad.classes[1] = "other";
  CHECK(has(error_of([&] { save_images(bad, Split::train, f / "grey"); }), "classes.txt"));
  CHECK(load_images(f / "grey", Split::train).classes[1] == "\u03b2");
}
