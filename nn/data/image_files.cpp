#include "nn/data/image_files.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "kernels/common/parallel.hpp"
#include "nn/data/repeats.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

/// body(i) for each file on all threads; the errors of all files in their order, whatever thread met them.
template <class Body>
std::vector<std::string> errors_of_each(std::size_t n, Body&& body) {
  std::vector<std::string> errors(n);
  parallel_for(static_cast<std::int64_t>(n), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      try {
        body(i);
      } catch (const Error& e) {
        errors[i] = e.what();
      }
    }
  });
  return errors;
}

void add_faults(std::vector<std::string> errors, Faults& faults) {
  std::unordered_set<std::string> known(faults.begin(), faults.end());
  for (std::string& e : errors)
    if (!e.empty() && known.insert(e).second) faults.push_back(std::move(e));
}

}  // namespace

void keep_account(const ImageNotes& n, const std::string& file, Account& account) {
  if (n.turned) account.note("pictures turned upright, as their EXIF data say", file);
  if (n.broken_exif) account.warn("pictures with EXIF data that cannot be read, left as they are", file);
  if (n.animated) account.warn("animated pictures, of which the first was read", file);
  if (n.pages) account.warn("pictures of several pages, of which the first was read", file);
  if (n.transparent) account.note("pictures with transparent parts, read as if they were opaque", file);
  if (n.sixteen_bit && !n.dark) account.note("pictures of 16 bits a sample, of which the upper 8 were read", file);
  if (n.dark)
    account.warn("pictures of 16 bits a sample that use less than a quarter of the range: nearly black in 8 bits",
                 file);
  if (n.cmyk) account.note("pictures of four inks (CMYK), turned to RGB without a colour profile", file);
}

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

ImageFormat settle_format(const std::vector<fs::path>& files, ImageFormat format, Faults& faults) {
  if (format.height > 0 && format.width > 0 && format.channels > 0) return format;
  std::vector<std::optional<ImageInfo>> infos(files.size());
  add_faults(errors_of_each(files.size(),
                            [&](std::size_t i) {
                              infos[i] = image_info(read_file(files[i], format.limits.max_file_bytes),
                                                    files[i].string(), format.limits);
                            }),
             faults);
  const auto first = std::find_if(infos.begin(), infos.end(), [](const auto& i) { return i.has_value(); });
  if (first == infos.end()) return format;
  if (format.height == 0) {
    const auto unlike = [&](const auto& i) {
      return i && (i->height != (*first)->height || i->width != (*first)->width);
    };
    const auto other = std::find_if(infos.begin(), infos.end(), unlike);
    const auto number = std::count_if(infos.begin(), infos.end(), unlike);
    const bool brought = other != infos.end() && format.mixed_height > 0;
    if (other != infos.end() && !brought)
      fail("{}: {}x{} pixels, but {} has {}x{}{}; --size HxW brings all to one",
           files[static_cast<std::size_t>(other - infos.begin())].string(), (*other)->height, (*other)->width,
           files[static_cast<std::size_t>(first - infos.begin())].string(), (*first)->height, (*first)->width,
           number > 1 ? fmt::format(" ({} of {} files are of another size)", number, files.size()) : "");
    format.height = brought ? format.mixed_height : (*first)->height;
    format.width = brought ? format.mixed_width : (*first)->width;
    format.mixed = brought;
  }
  if (format.channels == 0)
    format.channels =
        std::any_of(infos.begin(), infos.end(), [](const auto& i) { return i && i->channels == 3; }) ? 3 : 1;
  return format;
}

Array decode_files(const std::vector<fs::path>& files, const ImageFormat& wanted, const ImageFormat& asked,
                   const fs::path& root, Account& account, Faults& faults, std::vector<std::uint64_t>* hashes) {
  AKIN_CHECK(!files.empty(), "decode_files: no file was given");
  AKIN_CHECK(wanted.height >= 0 && wanted.width >= 0 && (wanted.height > 0) == (wanted.width > 0) &&
                 (wanted.channels == 0 || wanted.channels == 1 || wanted.channels == 3),
             "image format {}x{}x{}: height and width must both be given or both be 0, channels 0, 1 or 3",
             wanted.height, wanted.width, wanted.channels);
  const ImageFormat f = settle_format(files, wanted, faults);
  if (f.height == 0 || f.channels == 0) return {};
  std::vector<std::string> errors;
  Array images = decode_each(files, f, asked, root, account, errors, hashes);
  add_faults(std::move(errors), faults);
  return images;
}

Array decode_each(const std::vector<fs::path>& files, const ImageFormat& f, const ImageFormat& asked,
                  const fs::path& root, Account& account, std::vector<std::string>& errors,
                  std::vector<std::uint64_t>* hashes) {
  const std::size_t one =
      static_cast<std::size_t>(f.height) * static_cast<std::size_t>(f.width) * static_cast<std::size_t>(f.channels);
  AKIN_CHECK(one <= f.max_total_bytes / files.size(),
             "{}: {} images of {}x{}x{} are more than the limit of {} bytes; ask for a "
             "smaller size",
             files[0].parent_path().string(), files.size(), f.height, f.width, f.channels, f.max_total_bytes);
  Array images(DType::u8, {static_cast<std::int64_t>(files.size()), f.height, f.width, f.channels});
  std::vector<ImageNotes> notes(files.size());
  if (hashes != nullptr) hashes->assign(files.size(), 0);
  errors = errors_of_each(files.size(), [&](std::size_t i) {
    const Array whole = read_image(files[i], f.channels, f.limits, &notes[i]);
    if (hashes != nullptr) {  // colour that grey hides is read again; a JPEG's own grey is not that of its colours
      const bool lost = f.channels < notes[i].shown.channels;
      (*hashes)[i] = picture_hash(lost ? read_image(files[i], 0, f.limits) : whole);
    }
    const Array image = resize_and_crop(whole, f.height, f.width, f.fit);
    std::memcpy(images.bytes() + i * one, image.bytes(), one);
  });
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string file = root.empty() ? files[i].string() : files[i].lexically_relative(root).string();
    keep_account(notes[i], file, account);
    const ImageInfo& own = notes[i].shown;
    if ((asked.height == 0 && !f.mixed && own.height > 0 && (own.height != f.height || own.width != f.width)) ||
        (asked.channels == 0 && own.channels == 3 && f.channels == 1))
      account.warn("pictures of another size or colour than the training images, brought to theirs", file);
  }
  return images;
}

Array decode_files(const std::vector<fs::path>& files, const ImageFormat& format) {
  Account account;
  Faults faults;
  Array images = decode_files(files, format, format, {}, account, faults);
  throw_faults(faults, files.front().parent_path().string());
  return images;
}

void check_files(const std::vector<fs::path>& files, const ImageLimits& limits, Faults& faults) {
  add_faults(errors_of_each(files.size(), [&](std::size_t i) { read_image(files[i], 0, limits); }), faults);
}

}  // namespace akin
