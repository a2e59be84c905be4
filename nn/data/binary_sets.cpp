#include "nn/data/binary_sets.hpp"

#include <algorithm>

#include "engine/io/cifar.hpp"
#include "engine/io/file.hpp"
#include "engine/io/idx.hpp"
#include "nn/data/alike_names.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

constexpr int kMaxClasses = 1'000'000;
constexpr std::uint64_t kMaxLabelBytes = std::uint64_t{1} << 30;

std::vector<std::string> numbers(int n) {
  std::vector<std::string> names;
  for (int i = 0; i < n; ++i) names.push_back(std::to_string(i));
  return names;
}

/// Labels of `images` images, or of any number where that is negative.
std::vector<int> read_idx_labels(const fs::path& path, std::int64_t images, const fs::path& images_file) {
  const IdxHeader header = read_idx_header(path);
  const std::size_t rank = header.shape.rank();
  AKIN_CHECK(rank == 1 && (header.dtype == DType::u8 || header.dtype == DType::i32),
             "{}: labels are u8 or i32 of rank 1, found {} {}{}", path.string(), name_of(header.dtype),
             header.shape.str(), rank == 2 ? " (one number an image is expected, not a row)" : "");
  AKIN_CHECK(images < 0 || header.shape[0] == images, "{}: {} labels for the {} images of {}", path.string(),
             header.shape[0], images, images_file.string());
  const Array wide = read_idx(path, kMaxLabelBytes).cast(DType::i32);
  const auto labels = wide.as<std::int32_t>();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    AKIN_CHECK(labels[i] >= 0,
               "{}: image {} has label {}; classes are numbered from 0, and images without a label belong into "
               "unlabeled-images-idx3-ubyte",
               path.string(), i, labels[i]);
    AKIN_CHECK(labels[i] < kMaxClasses, "{}: image {} has label {}, the limit is {} classes (is it a file of labels?)",
               path.string(), i, labels[i], kMaxClasses);
  }
  return {labels.begin(), labels.end()};
}

/// Whether all labels lie beyond 0 and fit the classes once the lowest is taken off: of MATLAB, or EMNIST's letters.
void check_first_label(const fs::path& path, const std::vector<int>& labels, const std::vector<std::string>& names) {
  if (labels.empty()) return;
  const auto [low, high] = std::minmax_element(labels.begin(), labels.end());
  const auto classes = static_cast<int>(names.size());
  const bool beyond = names.empty() || *high >= classes;
  AKIN_CHECK(*low == 0 || !beyond || (!names.empty() && *high - *low >= classes),
             "{}: labels run from {} to {}, but classes are numbered from 0; subtract {} from all labels{}",
             path.string(), *low, *high, *low,
             names.empty() ? "" : fmt::format(" (there are {} class names)", names.size()));
}

/// Of which files the images were made: a line each.
std::vector<std::string> read_origins(const fs::path& path, std::int64_t images, const fs::path& images_file) {
  std::vector<std::string> names;
  const std::string text = read_text(path, kMaxFileBytes);
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    names.push_back(text.substr(begin, end - begin));
  }
  AKIN_CHECK(static_cast<std::int64_t>(names.size()) == images,
             "{}: {} names of files for the {} images of {} (a line each); they are of another set: pack it again, or "
             "remove the names",
             path.string(), names.size(), images, images_file.string());
  return names;
}

void check_names(const SetLayout& layout, ImageSet& set) {
  for (const std::string& name : names_twice(set.classes))
    set.account.warn(layout.names.filename().string() + ": names that two classes share", name);
}

}  // namespace

ImageSet load_idx(const SetLayout& layout, Split split, const ImageFormat& format) {
  ImageSet set;
  const std::string folder = layout.folder.string();
  const std::string stem = idx_stem(split);
  AKIN_CHECK(layout.has(split), "{}: no {} images in it ({}-images-idx3-ubyte[.gz] was looked for)", folder,
             name_of(split), stem);
  const fs::path& images = layout.images.at(split).front();
  const IdxHeader header = read_idx_header(images);
  const Shape& s = header.shape;
  AKIN_CHECK(header.dtype == DType::u8 && (s.rank() == 3 || s.rank() == 4),
             "{}: images are u8 [N,H,W] or [N,H,W,C], "
             "found {} {}",
             images.string(), name_of(header.dtype), s.str());
  AKIN_CHECK(s.rank() == 3 || s[3] == 1 || s[3] == 3,
             "{}: {} has {} channels, 1 or 3 are possible (channels come last: [N,H,W,C])", images.string(), s.str(),
             s[3]);
  if (!layout.names.empty()) set.classes = read_names(layout.names);
  // Without classes.txt the number of classes is that of all labelled splits together, so that the splits agree.
  int classes = 0, of_training = 0;
  for (const Split other : {Split::train, Split::test}) {
    const auto path = layout.labels.find(other);
    const bool there = path != layout.labels.end();
    AKIN_CHECK(there || other != split, "{}: its labels are missing ({}-labels-idx1-ubyte[.gz])", images.string(),
               stem);
    if (!there) continue;
    std::vector<int> labels = read_idx_labels(path->second, other == split ? s[0] : -1, images);
    for (const int label : labels) classes = std::max(classes, label + 1);
    if (other == Split::train) of_training = classes;
    if (other == Split::test && split == Split::train && of_training > 0 && layout.names.empty()) {
      const auto odd = std::find_if(labels.begin(), labels.end(), [&](int label) { return label >= of_training; });
      AKIN_CHECK(odd == labels.end(),
                 "{}: image {} has label {}, but the training labels ({}) run from 0 to {}: no image shows that class",
                 path->second.string(), odd - labels.begin(), *odd, layout.labels.at(Split::train).string(),
                 of_training - 1);
    }
    // A test split may lack a class, the first too.
    if (other == Split::train) check_first_label(path->second, labels, set.classes);
    if (other == split) set.labels = std::move(labels);
  }
  if (layout.names.empty()) set.classes = numbers(classes);
  check_names(layout, set);
  if (const auto origins = layout.origins.find(split); origins != layout.origins.end())
    set.names = read_origins(origins->second, s[0], images);
  set.images = read_idx(images, format.max_total_bytes);
  if (s.rank() == 3) set.images = set.images.reshaped({s[0], s[1], s[2], 1});
  return set;
}

ImageSet load_cifar(const SetLayout& layout, Split split) {
  const bool hundred = layout.kind == SetLayout::Kind::cifar100;
  const std::string folder = layout.folder.string();
  AKIN_CHECK(split != Split::unlabeled, "{}: CIFAR has no unlabelled images; use the training images without labels",
             folder);
  AKIN_CHECK(
      layout.has(split), "{}: no {} images in it ({} was looked for)", folder, name_of(split),
      split == Split::test ? (hundred ? "test.bin" : "test_batch.bin") : (hundred ? "train.bin" : "data_batch_1.bin"));
  ImageSet set;
  std::vector<std::uint8_t> pixels;
  for (const fs::path& file : layout.images.at(split)) {
    const CifarBatch batch = hundred ? read_cifar100(file) : read_cifar10(file);
    const auto more = batch.images.as<std::uint8_t>();
    pixels.insert(pixels.end(), more.begin(), more.end());
    set.labels.insert(set.labels.end(), batch.labels.begin(), batch.labels.end());
  }
  set.images = Array::from(pixels, {static_cast<std::int64_t>(set.labels.size()), 32, 32, 3});
  set.classes = layout.names.empty() ? numbers(hundred ? 100 : 10) : read_names(layout.names);
  check_names(layout, set);
  return set;
}

}  // namespace akin
