// Data set folders of every layout, and folders of tables (nn/data/image_set.hpp, nn/data/image_folder.hpp): a set that
// is loaded is whole, and saved as IDX it is loaded equal. An input is some files (fuzz.hpp: pack).
#include <algorithm>

#include "engine/io/idx.hpp"
#include "nn/data/image_set.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

namespace {

constexpr std::uint64_t kMostBytes = 1 << 20;

ImageFormat limited(int height, int width, int channels) {
  return {.height = height,
          .width = width,
          .channels = channels,
          .limits = {1 << 16, 1 << 14},
          .max_total_bytes = kMostBytes};
}

void check(const ImageSet& set, Split split) {
  const Shape& s = set.images.shape();
  require(s.rank() == 4 && s[0] > 0 && (s[3] == 1 || s[3] == 3), "images of no shape of images");
  if (split == Split::unlabeled) return;
  require(set.labels.size() == static_cast<std::size_t>(s[0]), "another number of labels than of images");
  for (const int label : set.labels)
    require(label >= 0 && static_cast<std::size_t>(label) < set.classes.size(), "a label out of the classes");
  if (set.classes.size() > 1000 || set.images.byte_size() > 1 << 16) return;
  // Names of folders may hold what a list of names cannot.
  if (!std::all_of(set.classes.begin(), set.classes.end(),
                   [](const std::string& name) { return name.find_first_of("\r\n") == std::string::npos; }))
    return;
  const std::filesystem::path copy = empty_folder() / "copy";
  must("saving what was loaded", [&] { save_images(set, split, copy); });
  const ImageSet again = must("loading what was saved", [&] { return load_images(copy, split); });
  require(content_hash(again) == content_hash(set) && again.classes == set.classes, "loaded again it is another set");
}

void run(ByteView input) {
  if (input.empty()) return;
  const ImageFormat format = (input[0] & 1) != 0 ? limited(4, 5, (input[0] & 2) != 0 ? 1 : 3) : limited(0, 0, 0);
  const std::vector<Part> parts = unpack(input.subspan(1));
  for (const Split split : {Split::train, Split::test, Split::unlabeled}) {
    const std::filesystem::path& folder = folder_with(parts);
    const auto there = accepted([&] { return has_split(folder, split); });
    const auto set = accepted([&] { return load_images(folder, split, format); });
    if (set) {
      require(there && *there, "a split that is not there was loaded");
      check(*set, split);
    }
  }
}

Seed seed(const std::string& name, const std::vector<Part>& parts, std::uint8_t format = 0) {
  Bytes bytes{format};
  const Bytes files = pack(parts);
  bytes.insert(bytes.end(), files.begin(), files.end());
  return {name, bytes};
}

Bytes idx_of(std::vector<std::uint8_t> values, Shape shape) { return to_idx(Array::from(values, std::move(shape))); }

Seeds seeds() {
  Array grey(DType::u8, {2, 2}), colour(DType::u8, {4, 3, 3});
  grey.as<std::uint8_t>()[1] = 200;
  colour.as<std::uint8_t>()[5] = 90;
  const Bytes g = to_png(grey), c = to_png(colour), text = bytes_of_text("cat\ndog\n");
  const Bytes images = idx_of({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2}), labels = idx_of({0, 1}, {2});
  const std::vector<Part> idx{{"train-images-idx3-ubyte", images},
                              {"train-labels-idx1-ubyte", labels},
                              {"t10k-images-idx3-ubyte", images},
                              {"t10k-labels-idx1-ubyte", labels},
                              {"unlabeled-images-idx3-ubyte", images}};
  std::vector<Part> named = idx;
  named.push_back({"classes.txt", text});
  const Bytes large = to_idx(Array::from(std::vector<std::int32_t>{2147483647, 0}, {2}));
  const std::vector<Part> folders{
      {"train/cat/a.png", g}, {"train/dog/b.png", g}, {"test/cat/c.png", g}, {"unlabeled/d.png", g}};
  const Bytes list = bytes_of_text("file,label,split\na.png,cat,train\nb,dog,\nc.png,,test\n");
  std::vector<Part> odd = folders;
  for (const char* name :
       {"train/cat/.hidden.png", "train/cat/notes.txt", "train/Thumbs.db", "train/cat/deep/er/x.PNG",
        "train/dog/x.jpeg", "train/@eaDir/a.png", "val/dog/e.png", "train/cat/a.gif", ".DS_Store", "train/cat/x.jfif"})
    odd.push_back({name, g});
  return {seed("idx", idx),
          seed("idx_named", named),
          seed("idx_colour", {{"train.idx4-ubyte", {}},
                              {"train-images-idx4-ubyte", idx_of(std::vector<std::uint8_t>(12), {1, 2, 2, 3})},
                              {"train-labels-idx1-ubyte", idx_of({0}, {1})}}),
          seed("idx_large_label", {{"train-images-idx3-ubyte", images}, {"train-labels-idx1-ubyte", large}}),
          seed("idx_resized", idx, 1),
          seed("folders", folders),
          seed("folders_resized", {{"train/cat/a.png", g}, {"train/dog/b.png", c}, {"val/dog/c.png", c}}, 3),
          seed("folders_sizes", {{"train/cat/a.png", g}, {"train/dog/b.png", c}}),
          seed("folders_odd", odd),
          seed("flat", {{"cat/a.png", g}, {"dog/b.png", g}}),
          seed("flat_drawn", {{"cat/a.png", g}, {"cat/b.png", c}, {"dog/b.png", g}, {"unlabelled/c.png", g}}, 3),
          seed("train_alone", {{"train/cat/a.png", g}, {"train/cat/b.png", c}, {"train/dog/b.png", g}}, 3),
          seed("list", {{"a.png", g}, {"x/b.png", c}, {"c.png", g}, {"labels.csv", list}}, 3),
          seed("cifar10", {{"data_batch_1.bin", {0}}, {"test_batch.bin", {}}}),
          seed("cifar100", {{"train.bin", {0}}, {"test.bin", {1}}})};
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = {"train/",
                              "test/",
                              "val/",
                              "unlabeled/",
                              "train-images-idx3-ubyte",
                              "train-labels-idx1-ubyte",
                              "t10k-images-idx3-ubyte",
                              ".gz",
                              "classes.txt",
                              ".png",
                              ".jpg",
                              ".jpeg",
                              ".bmp",
                              ".gif",
                              "Thumbs.db",
                              "@eaDir",
                              "labels.csv",
                              "metadata.csv",
                              "file,label,split\n",
                              "unlabelled/"}};

}  // namespace akin::fuzz
