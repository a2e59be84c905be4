#include "nn/data/image_set.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "engine/io/cifar.hpp"
#include "engine/io/file.hpp"
#include "engine/io/idx.hpp"
#include "engine/io/sha256.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

enum class Layout { idx, cifar10, cifar100, folders };
constexpr const char* kLayouts =
    "a data set is a folder with IDX files (train-images-idx3-ubyte.gz ...), CIFAR binaries (data_batch_1.bin ... or "
    "train.bin), or train/<class>/ and test/<class>/ image folders";

/// The one file that goes by any of MNIST's spellings; nullopt where there is none.
std::optional<fs::path> find_idx(const fs::path& folder, Split split, const std::string& what) {
  std::vector<std::string> stems{name_of(split)};
  if (split == Split::test) stems.insert(stems.begin(), "t10k");
  std::optional<fs::path> found;
  for (const std::string& stem : stems) {
    for (const char* rank :
         {"-idx3-ubyte", ".idx3-ubyte", "-idx4-ubyte", ".idx4-ubyte", "-idx1-ubyte", ".idx1-ubyte"}) {
      if ((what == "labels") != (rank[4] == '1')) continue;
      for (const char* packed : {"", ".gz"}) {
        fs::path path = folder / fmt::format("{}-{}{}{}", stem, what, rank, packed);
        if (!is_there(path)) continue;
        // The same file plain and packed is one file; two different names are a question only the user can answer.
        AKIN_CHECK(!found || found->string() + ".gz" == path.string(), "{} and {}: which one is meant? Remove one",
                   found->string(), path.string());
        if (!found) found = std::move(path);
      }
    }
  }
  return found;
}

/// train/, test/ or val/, unlabeled/.
std::optional<fs::path> find_folder(const fs::path& root, Split split) {
  for (const char* name : {name_of(split), split == Split::test ? "val" : name_of(split)}) {
    if (is_folder(root / name)) return root / name;
  }
  return std::nullopt;
}

Layout layout_of(const fs::path& folder) {
  AKIN_CHECK(is_there(folder), "{}: no such folder (scripts/get_data.sh fetches the data sets of the examples)",
             folder.string());
  AKIN_CHECK(is_folder(folder), "{}: is a file; give the folder of the data set", folder.string());
  for (const Split split : {Split::train, Split::test, Split::unlabeled}) {
    if (find_idx(folder, split, "images")) return Layout::idx;
  }
  if (is_there(folder / "data_batch_1.bin") || is_there(folder / "test_batch.bin")) return Layout::cifar10;
  if (is_there(folder / "train.bin") || is_there(folder / "test.bin")) return Layout::cifar100;
  for (const Split split : {Split::train, Split::test}) {
    if (find_folder(folder, split)) return Layout::folders;
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    AKIN_CHECK(!is_folder(entry.path()),
               "{}: holds folders, but no train/ and test/; put the class folders into train/<class>/ "
               "and some images of each into test/<class>/",
               folder.string());
  }
  AKIN_CHECK(!error, "{}: folder cannot be read: {} (check the permissions)", folder.string(), error.message());
  fail("{}: holds no data set akin knows; {}", folder.string(), kLayouts);
}

std::vector<std::string> numbers(int n) {
  std::vector<std::string> names;
  for (int i = 0; i < n; ++i) names.push_back(std::to_string(i));
  return names;
}

std::vector<int> read_idx_labels(const fs::path& path) {
  const Array raw = read_idx(path);
  AKIN_CHECK(raw.shape().rank() == 1 && (raw.dtype() == DType::u8 || raw.dtype() == DType::i32),
             "{}: labels are u8 or i32 of rank 1, found {} {}", path.string(), name_of(raw.dtype()), raw.shape().str());
  const Array wide = raw.cast(DType::i32);
  return {wide.as<std::int32_t>().begin(), wide.as<std::int32_t>().end()};
}

ImageSet load_idx(const fs::path& folder, Split split) {
  ImageSet set;
  const auto images = find_idx(folder, split, "images");
  AKIN_CHECK(images.has_value(), "{}: no {} images in it ({}-images-idx3-ubyte[.gz] was looked for)", folder.string(),
             name_of(split), split == Split::test ? "t10k" : name_of(split));
  set.images = read_idx(*images);
  const Shape& s = set.images.shape();
  AKIN_CHECK(set.images.dtype() == DType::u8 && (s.rank() == 3 || s.rank() == 4),
             "{}: images are u8 [N,H,W] or [N,H,W,C], "
             "found {} {}",
             images->string(), name_of(set.images.dtype()), s.str());
  if (s.rank() == 3) set.images = set.images.reshaped({s[0], s[1], s[2], 1});
  const std::int64_t channels = set.images.shape()[3];
  AKIN_CHECK(channels == 1 || channels == 3,
             "{}: {} has {} channels, 1 or 3 are possible (channels come last: [N,H,W,C])", images->string(),
             set.images.shape().str(), channels);
  // Without classes.txt the number of classes is that of all labelled splits together, so that the splits agree.
  int classes = 0;
  for (const Split other : {Split::train, Split::test}) {
    const auto path = find_idx(folder, other, "labels");
    AKIN_CHECK(path || other != split, "{}: its labels are missing ({}-labels-idx1-ubyte[.gz])", images->string(),
               split == Split::test ? "t10k" : name_of(split));
    if (!path) continue;
    std::vector<int> labels = read_idx_labels(*path);
    for (const int label : labels) classes = std::max(classes, label + 1);
    if (other != split) continue;
    AKIN_CHECK(static_cast<std::int64_t>(labels.size()) == set.images.shape()[0],
               "{}: {} labels for the {} images of {}", path->string(), labels.size(), set.images.shape()[0],
               images->string());
    set.labels = std::move(labels);
  }
  const fs::path names = folder / "classes.txt";
  set.classes = is_there(names) ? read_names(names) : numbers(classes);
  return set;
}

ImageSet load_cifar(const fs::path& folder, Split split, bool hundred) {
  AKIN_CHECK(split != Split::unlabeled, "{}: CIFAR has no unlabelled images; use the training images without labels",
             folder.string());
  std::vector<fs::path> files{folder / (hundred ? "test.bin" : "test_batch.bin")};
  if (split == Split::train) {
    files = {folder / "train.bin"};
    if (!hundred) {
      files.clear();
      for (int i = 1; i <= 5; ++i) files.push_back(folder / fmt::format("data_batch_{}.bin", i));
    }
  }
  ImageSet set;
  std::vector<std::uint8_t> pixels;
  for (const fs::path& file : files) {
    const CifarBatch batch = hundred ? read_cifar100(file) : read_cifar10(file);
    const auto more = batch.images.as<std::uint8_t>();
    pixels.insert(pixels.end(), more.begin(), more.end());
    set.labels.insert(set.labels.end(), batch.labels.begin(), batch.labels.end());
  }
  set.images = Array::from(pixels, {static_cast<std::int64_t>(set.labels.size()), 32, 32, 3});
  const fs::path names = folder / (hundred ? "fine_label_names.txt" : "batches.meta.txt");
  set.classes = is_there(names) ? read_names(names) : numbers(hundred ? 100 : 10);
  return set;
}

std::vector<std::string> names_below(const fs::path& root, const std::vector<fs::path>& files) {
  std::vector<std::string> names;
  for (const fs::path& file : files) names.push_back(file.lexically_relative(root).generic_string());
  return names;
}

ImageSet load_folders(const fs::path& root, Split split, const ImageFormat& wanted) {
  const auto folder = find_folder(root, split);
  AKIN_CHECK(folder.has_value(), "{}: has no folder {}/; make one{}", root.string(), name_of(split),
             split == Split::unlabeled ? " with the unlabelled images" : " with a folder of images for each class");
  // The training split names the classes; a test split may lack some, but not bring others.
  const auto train = find_folder(root, Split::train);
  AKIN_CHECK(train.has_value(), "{}: has no folder train/, which names the classes", root.string());
  ImageFolder named = list_image_folder(*train);
  const ImageFormat format = settle_format(named.files, wanted);  // the training images settle it for all splits
  ImageSet set;
  set.classes = named.classes;
  if (split == Split::unlabeled) {
    const std::vector<fs::path> files = list_images(*folder);
    set.images = decode_files(files, format);
    set.names = names_below(root, files);
    return set;
  }
  ImageFolder files = split == Split::train ? std::move(named) : list_image_folder(*folder);
  for (int& label : files.labels) {
    const std::string& name = files.classes[static_cast<std::size_t>(label)];
    const auto at = std::lower_bound(set.classes.begin(), set.classes.end(), name);
    AKIN_CHECK(at != set.classes.end() && *at == name, "{}: class \"{}\" is not among the training classes of {}",
               folder->string(), name, train->string());
    label = static_cast<int>(at - set.classes.begin());
  }
  set.labels = std::move(files.labels);
  set.images = decode_files(files.files, format);
  set.names = names_below(root, files.files);
  return set;
}

void check_set(const ImageSet& set, Split split) {
  AKIN_CHECK(set.images.numel() > 0, "{}: the {} split has no image", set.source, name_of(split));
  if (split == Split::unlabeled) return;
  const auto images = static_cast<std::size_t>(set.images.shape()[0]);
  AKIN_CHECK(set.labels.size() == images, "{}: {} labels for {} {} images", set.source, set.labels.size(), images,
             name_of(split));
  std::vector<std::size_t> count(set.classes.size());
  for (std::size_t i = 0; i < images; ++i) {
    AKIN_CHECK(set.labels[i] >= 0 && static_cast<std::size_t>(set.labels[i]) < set.classes.size(),
               "{}: {} image {} has label {}, the {} classes are numbered 0..{} (is classes.txt complete?)", set.source,
               name_of(split), i, set.labels[i], set.classes.size(), set.classes.size() - 1);
    ++count[static_cast<std::size_t>(set.labels[i])];
  }
  for (std::size_t c = 0; c < count.size() && split == Split::train; ++c) {
    AKIN_CHECK(count[c] > 0, "{}: class {} (\"{}\") has no training image; add some or take the class out of the list",
               set.source, c, set.classes[c]);
  }
}

}  // namespace

const char* name_of(Split split) {
  return split == Split::train ? "train" : split == Split::test ? "test" : "unlabeled";
}

ImageSet load_images(const fs::path& folder, Split split, const ImageFormat& format) {
  const Layout layout = layout_of(folder);
  ImageSet set = layout == Layout::idx       ? load_idx(folder, split)
                 : layout == Layout::folders ? load_folders(folder, split, format)
                                             : load_cifar(folder, split, layout == Layout::cifar100);
  const fs::path clean = folder.lexically_normal();
  set.source = folder.string();
  set.name = (clean.has_filename() ? clean : clean.parent_path()).filename().string();
  check_set(set, split);
  if (format.channels > 0) set.images = convert_channels(set.images, format.channels);
  if (format.height > 0 && format.width > 0) set.images = resize_images(set.images, format.height, format.width);
  return set;
}

bool has_split(const fs::path& folder, Split split) {
  switch (layout_of(folder)) {
    case Layout::idx:
      return find_idx(folder, split, "images").has_value();
    case Layout::folders:
      return find_folder(folder, split).has_value();
    case Layout::cifar10:
      return split != Split::unlabeled &&
             is_there(folder / (split == Split::train ? "data_batch_1.bin" : "test_batch.bin"));
    case Layout::cifar100:
      return split != Split::unlabeled && is_there(folder / (split == Split::train ? "train.bin" : "test.bin"));
  }
  return false;
}

void save_images(const ImageSet& set, Split split, const fs::path& folder) {
  const Shape& s = set.images.shape();
  AKIN_CHECK(set.images.dtype() == DType::u8 && s.rank() == 4 && (s[3] == 1 || s[3] == 3),
             "{}: images are u8 [N,H,W,1 or 3], found {} {}", folder.string(), name_of(set.images.dtype()), s.str());
  std::string names;
  for (const std::string& name : set.classes) {
    AKIN_CHECK(!name.empty() && name.find_first_of("\r\n") == std::string::npos,
               "{}: a class has an empty name or one of two lines", folder.string());
    names += name + "\n";
  }
  ImageSet named = set;
  named.source = folder.string();
  check_set(named, split);
  make_folder(folder);
  const fs::path classes = folder / "classes.txt";
  AKIN_CHECK(!is_there(classes) || read_text(classes) == names,
             "{}: is there already with other names; write each data set to a folder of its own", classes.string());
  write_file_atomic(classes, std::string_view(names));
  const std::string stem = split == Split::test ? "t10k" : name_of(split);
  if (split != Split::unlabeled) {
    const std::int64_t n = s[0];
    const Array wide = Array::from(std::vector<std::int32_t>(set.labels.begin(), set.labels.end()), Shape{n});
    write_idx(folder / (stem + "-labels-idx1-ubyte"), set.classes.size() <= 256 ? wide.cast(DType::u8) : wide);
  }
  if (s[3] == 1) {
    write_idx(folder / (stem + "-images-idx3-ubyte"), set.images.reshaped({s[0], s[1], s[2]}));
  } else {
    write_idx(folder / (stem + "-images-idx4-ubyte"), set.images);
  }
}

std::vector<std::string> read_names(const fs::path& path) {
  std::vector<std::string> names;
  std::string line;
  for (const char c : read_text(path, 1 << 20) + "\n") {
    if (c != '\n') {
      if (c != '\r') line += c;
      continue;
    }
    names.push_back(std::move(line));
    line.clear();
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  for (std::size_t i = 0; i < names.size(); ++i) {
    AKIN_CHECK(!names[i].empty(), "{}: line {} is empty, a class name was expected", path.string(), i + 1);
  }
  AKIN_CHECK(!names.empty(), "{}: no class name in it", path.string());
  return names;
}

ImageSet without_classes(const ImageSet& set, const std::vector<std::string>& names) {
  std::vector<int> number(set.classes.size(), 0);  // the new one; -1: gone
  for (const std::string& name : names) {
    std::vector<std::size_t> found;
    for (std::size_t c = 0; c < set.classes.size(); ++c)
      if (set.classes[c] == name || set.classes[c].starts_with(name + " ")) found.push_back(c);
    AKIN_CHECK(found.size() == 1, "{}: '{}' is {}", set.source, name,
               found.empty() ? fmt::format("none of its {} classes", set.classes.size())
                             : fmt::format("the name of {} classes", found.size()));
    number[found[0]] = -1;
  }
  ImageSet out{{}, {}, {}, set.name, set.source};
  for (std::size_t c = 0; c < set.classes.size(); ++c) {
    if (number[c] < 0) continue;
    number[c] = static_cast<int>(out.classes.size());
    out.classes.push_back(set.classes[c]);
  }
  AKIN_CHECK(out.classes.size() >= 2, "{}: {} classes are left, at least 2 are needed", set.source, out.classes.size());
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < set.labels.size(); ++i)
    if (number[static_cast<std::size_t>(set.labels[i])] >= 0) kept.push_back(i);
  const Shape& s = set.images.shape();
  out.images = Array(DType::u8, {static_cast<std::int64_t>(kept.size()), s[1], s[2], s[3]});
  const auto each = static_cast<std::size_t>(s[1] * s[2] * s[3]);
  for (std::size_t k = 0; k < kept.size(); ++k) {
    std::memcpy(out.images.bytes() + k * each, set.images.bytes() + kept[k] * each, each);
    out.labels.push_back(number[static_cast<std::size_t>(set.labels[kept[k]])]);
    if (!set.names.empty()) out.names.push_back(set.names[kept[k]]);
  }
  return out;
}

std::string content_hash(const ImageSet& set) {
  Sha256 sum;
  sum.update(set.images.shape().str());
  sum.update({reinterpret_cast<const std::uint8_t*>(set.images.bytes()), set.images.byte_size()});
  const Array labels = Array::from(std::vector<std::int32_t>(set.labels.begin(), set.labels.end()),
                                   {static_cast<std::int64_t>(set.labels.size())});
  sum.update({reinterpret_cast<const std::uint8_t*>(labels.bytes()), labels.byte_size()});
  return sum.hex();
}

}  // namespace akin
