#include "nn/data/png_sheets.hpp"

#include <span>
#include <string>

#include "engine/io/image.hpp"
#include "engine/io/json.hpp"
#include "nn/data/set_writer.hpp"

namespace akin {
namespace {

ImageSet read_split(const std::filesystem::path& folder, const std::vector<std::string>& sheets, const char* labels) {
  std::vector<std::uint8_t> pixels;
  std::int64_t count = 0;
  for (const std::string& name : sheets) {
    const Array part = read_sheet(folder / name, 32, 32);
    const std::span<const std::uint8_t> bytes = part.as<std::uint8_t>();
    pixels.insert(pixels.end(), bytes.begin(), bytes.end());
    count += part.shape()[0];
  }
  ImageSet set;
  set.images = Array::from(pixels, Shape{count, 32, 32, 3});
  set.labels = read_sheet_labels(folder / labels, count, 10);
  set.classes = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  return set;
}

}  // namespace

Array read_sheet(const std::filesystem::path& path, int height, int width, int channels) {
  const Array sheet = read_image(path, channels);
  const std::int64_t rows = sheet.shape()[0], columns = sheet.shape()[1];
  AKIN_CHECK(columns == std::int64_t{height} * width,
             "{}: a picture {} wide, expected {} for one {}x{} image a row (a sheet of other images?)", path.string(),
             columns, std::int64_t{height} * width, height, width);
  return sheet.reshaped(Shape{rows, height, width, channels});
}

std::vector<int> read_sheet_labels(const std::filesystem::path& path, std::int64_t count, int classes) {
  AKIN_CHECK(classes >= 1 && classes <= 256, "{}: {} classes, expected 1 to 256", path.string(), classes);
  const Json list = parse_json(read_text(path), path.string());
  AKIN_CHECK(list.is_array(), "{}: expected a JSON list of labels; fetch the file again", path.string());
  AKIN_CHECK(static_cast<std::int64_t>(list.size()) == count,
             "{}: {} labels for {} images; the sheets and labels of one download belong together", path.string(),
             list.size(), count);
  std::vector<int> labels;
  labels.reserve(list.size());
  for (const auto& label : list) {
    labels.push_back(static_cast<int>(
        whole_number(label, fmt::format("{}: the label of image {}", path.string(), labels.size()), 0, classes - 1)));
  }
  return labels;
}

void convert_cifar10_sheets(const std::filesystem::path& from, const std::filesystem::path& to) {
  SetWriter writer(to, false);
  const ImageSet test = read_split(from, {"test_batch.png"}, "test_lables.json");
  const ImageSet train = read_split(
      from, {"data_batch_1.png", "data_batch_2.png", "data_batch_3.png", "data_batch_4.png", "data_batch_5.png"},
      "train_lables.json");
  writer.write(test, Split::test);
  writer.write(train, Split::train);
  writer.finish();
}

}  // namespace akin
