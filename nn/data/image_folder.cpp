#include "nn/data/image_folder.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <exception>
#include <system_error>

#include "engine/io/file.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

bool is_hidden(const fs::path& path) { return path.filename().string().rfind('.', 0) == 0; }

/// Whether the name is that of an image that can be read. A picture of another kind is refused: to pass it over in
/// silence would train on a part of the data only.
bool is_image_name(const fs::path& path) {
  std::string ext = path.extension().string();
  std::transform(ext.begin(), ext.end(), ext.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* known : {".png", ".jpg", ".jpeg", ".bmp"}) {
    if (ext == known) return true;
  }
  for (const char* other : {".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".heic", ".avif"}) {
    AKIN_CHECK(ext != other, "{}: pictures of this kind cannot be read; convert it to png, jpg or bmp, or remove it",
               path.string());
  }
  return false;
}

void find_images(const fs::path& folder, std::vector<fs::path>& files) {
  try {
    for (auto it = fs::recursive_directory_iterator(folder); it != fs::recursive_directory_iterator(); ++it) {
      if (is_hidden(it->path())) {
        if (it->is_directory()) it.disable_recursion_pending();
      } else if (is_image_name(it->path()) && it->is_regular_file()) {
        files.push_back(it->path());
      }
    }
  } catch (const fs::filesystem_error& e) {
    fail("{}: folder cannot be read: {} (check the permissions)", folder.string(), e.code().message());
  }
}

/// body(i) for each file on all threads; the error of the first file in order is thrown, whatever thread met it.
template <class Body>
void for_each_file(std::size_t n, Body&& body) {
  std::vector<std::exception_ptr> errors(n);
  parallel_for(static_cast<std::int64_t>(n), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      try {
        body(i);
      } catch (...) {
        errors[i] = std::current_exception();
        return;
      }
    }
  });
  for (const auto& e : errors) {
    if (e) std::rethrow_exception(e);
  }
}

}  // namespace

std::optional<ImageFormat> image_size(std::string_view text) {
  ImageFormat format;
  const char* end = text.data() + text.size();
  const auto [x, error] = std::from_chars(text.data(), end, format.height);
  if (error != std::errc() || x == end || *x != 'x') return {};
  const auto [last, second] = std::from_chars(x + 1, end, format.width);
  const auto good = [](int side) { return side >= 1 && side <= 4096; };
  if (second != std::errc() || last != end || !good(format.height) || !good(format.width)) return {};
  return format;
}

ImageFormat settle_format(const std::vector<fs::path>& files, ImageFormat format) {
  if (format.height > 0 && format.width > 0 && format.channels > 0) return format;
  std::vector<ImageInfo> infos(files.size());
  for_each_file(files.size(), [&](std::size_t i) {
    infos[i] = image_info(read_file(files[i], format.limits.max_file_bytes), files[i].string(), format.limits);
  });
  const bool sized = format.height > 0 && format.width > 0;
  for (std::size_t i = 0; i < files.size() && !sized; ++i) {
    AKIN_CHECK(infos[i].height == infos[0].height && infos[i].width == infos[0].width,
               "{}: {}x{} pixels, but {} has {}x{}; --size HxW brings all to one", files[i].string(), infos[i].height,
               infos[i].width, files[0].string(), infos[0].height, infos[0].width);
  }
  if (!sized) {
    format.height = infos[0].height;
    format.width = infos[0].width;
  }
  if (format.channels == 0) {
    format.channels =
        std::any_of(infos.begin(), infos.end(), [](const ImageInfo& i) { return i.channels == 3; }) ? 3 : 1;
  }
  return format;
}

std::vector<fs::path> list_images(const fs::path& root) {
  AKIN_CHECK(is_folder(root), "{}: no such folder", root.string());
  std::vector<fs::path> files;
  find_images(root, files);
  AKIN_CHECK(!files.empty(), "{}: no image file in it (png, jpg or bmp)", root.string());
  std::sort(files.begin(), files.end());
  return files;
}

ImageFolder list_image_folder(const fs::path& root) {
  AKIN_CHECK(is_folder(root), "{}: no such folder", root.string());
  ImageFolder found;
  try {
    for (const auto& entry : fs::directory_iterator(root)) {
      if (entry.is_directory() && !is_hidden(entry.path())) found.classes.push_back(entry.path().filename().string());
    }
  } catch (const fs::filesystem_error& e) {
    fail("{}: folder cannot be read: {} (check the permissions)", root.string(), e.code().message());
  }
  AKIN_CHECK(!found.classes.empty(), "{}: no class folder in it; images belong into {}/<class>/", root.string(),
             root.string());
  std::sort(found.classes.begin(), found.classes.end());
  for (std::size_t c = 0; c < found.classes.size(); ++c) {
    std::vector<fs::path> files;
    find_images(root / found.classes[c], files);
    AKIN_CHECK(!files.empty(),
               "{}: class \"{}\" has no image file (png, jpg or bmp); add some or remove the "
               "folder",
               (root / found.classes[c]).string(), found.classes[c]);
    std::sort(files.begin(), files.end());
    found.files.insert(found.files.end(), files.begin(), files.end());
    found.labels.resize(found.files.size(), static_cast<int>(c));
  }
  return found;
}

Array decode_files(const std::vector<fs::path>& files, const ImageFormat& wanted) {
  AKIN_CHECK(!files.empty(), "decode_files: no file was given");
  AKIN_CHECK(wanted.height >= 0 && wanted.width >= 0 && (wanted.height > 0) == (wanted.width > 0) &&
                 (wanted.channels == 0 || wanted.channels == 1 || wanted.channels == 3),
             "image format {}x{}x{}: height and width must both be given or both be 0, channels 0, 1 or 3",
             wanted.height, wanted.width, wanted.channels);
  const ImageFormat f = settle_format(files, wanted);
  const std::size_t one =
      static_cast<std::size_t>(f.height) * static_cast<std::size_t>(f.width) * static_cast<std::size_t>(f.channels);
  AKIN_CHECK(one <= f.max_total_bytes / files.size(),
             "{}: {} images of {}x{}x{} are more than the limit of {} bytes; ask for a "
             "smaller size",
             files[0].parent_path().string(), files.size(), f.height, f.width, f.channels, f.max_total_bytes);
  Array images(DType::u8, {static_cast<std::int64_t>(files.size()), f.height, f.width, f.channels});
  for_each_file(files.size(), [&](std::size_t i) {
    const Array image = resize_and_crop(read_image(files[i], f.channels, f.limits), f.height, f.width);
    std::memcpy(images.bytes() + i * one, image.bytes(), one);
  });
  return images;
}

}  // namespace akin
