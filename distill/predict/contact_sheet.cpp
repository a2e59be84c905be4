#include "distill/predict/contact_sheet.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "engine/io/image.hpp"
#include "engine/io/text.hpp"
#include "kernels/common/parallel.hpp"

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wuseless-cast"
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include <stb/stb_easy_font.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace akin {

namespace {

constexpr std::int64_t kSide = 128, kGap = 10, kLine = 12, kCaption = 3 * kLine + 4, kTitle = 34;

/// What the font has: ASCII. Accents go, other letters become "?".
std::string plain(const std::string& text) {
  const std::string readable = readable_text(text);
  utf8proc_uint8_t* mapped = nullptr;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(readable.data());
  const utf8proc_ssize_t n = utf8proc_map(
      bytes, static_cast<utf8proc_ssize_t>(readable.size()), &mapped,
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_STRIPMARK | UTF8PROC_COMPAT));
  const std::string folded =
      n >= 0 ? std::string(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(n)) : readable;
  std::free(mapped);
  std::string out;
  for (std::size_t i = 0; i < folded.size();) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(std::string_view(folded).substr(i)));
    out += length == 1 && folded[i] >= 32 && folded[i] < 127 ? folded[i] : '?';
    i += length;
  }
  return out;
}

std::int64_t width_of(const std::string& text) { return stb_easy_font_width(const_cast<char*>(text.c_str())); }

/// The text cut to this many pixels; what is left of it stays for the next line.
std::string take_line(std::string& text, std::int64_t width) {
  std::size_t n = text.size();
  while (n > 0 && width_of(text.substr(0, n)) > width) --n;
  const std::string line = text.substr(0, n);
  text.erase(0, n);
  return line;
}

class Sheet {
 public:
  Sheet(std::int64_t height, std::int64_t width) : pixels_(DType::u8, {height, width, 3}) {
    std::fill(pixels_.as<std::uint8_t>().begin(), pixels_.as<std::uint8_t>().end(), std::uint8_t{255});
  }

  void fill(std::int64_t y, std::int64_t x, std::int64_t h, std::int64_t w, std::uint8_t grey) {
    const std::int64_t H = pixels_.shape()[0], W = pixels_.shape()[1];
    for (std::int64_t i = std::max<std::int64_t>(y, 0); i < std::min(y + h, H); ++i)
      for (std::int64_t j = std::max<std::int64_t>(x, 0); j < std::min(x + w, W); ++j) std::memset(at(i, j), grey, 3);
  }

  void draw(std::int64_t y, std::int64_t x, const Array& image) {
    for (std::int64_t i = 0; i < image.shape()[0]; ++i)
      std::memcpy(at(y + i, x), image.as<std::uint8_t>().data() + i * image.shape()[1] * 3,
                  static_cast<std::size_t>(image.shape()[1] * 3));
  }

  void write(std::int64_t y, std::int64_t x, const std::string& text, std::int64_t scale, std::uint8_t grey) {
    struct Corner {
      float x, y, z;
      std::array<std::uint8_t, 4> colour;
    };
    std::vector<Corner> corners(text.size() * 4 * 20 + 4);  // no letter has more than 20 strokes
    const int strokes = stb_easy_font_print(0, 0, const_cast<char*>(text.c_str()), nullptr, corners.data(),
                                            static_cast<int>(corners.size() * sizeof(Corner)));
    for (std::size_t q = 0; q < static_cast<std::size_t>(strokes); ++q) {
      const Corner &a = corners[4 * q], &b = corners[4 * q + 2];
      const auto whole = [&](float v) { return static_cast<std::int64_t>(std::lround(v)) * scale; };
      fill(y + whole(a.y), x + whole(a.x), whole(b.y - a.y), whole(b.x - a.x), grey);
    }
  }

  Array take() { return std::move(pixels_); }

 private:
  std::uint8_t* at(std::int64_t y, std::int64_t x) {
    return pixels_.as<std::uint8_t>().data() + (y * pixels_.shape()[1] + x) * 3;
  }
  Array pixels_;
};

struct Block {
  int class_number;
  std::size_t all;
  std::vector<SheetPicture> shown;
};

/// A block for each class, the surest pictures first; `most` of each.
std::vector<Block> blocks_of(std::vector<SheetPicture> pictures, std::size_t most_in_all) {
  std::stable_sort(pictures.begin(), pictures.end(), [](const SheetPicture& a, const SheetPicture& b) {
    return a.class_number != b.class_number ? a.class_number < b.class_number : a.probability > b.probability;
  });
  std::vector<Block> blocks;
  for (SheetPicture& p : pictures) {
    if (blocks.empty() || blocks.back().class_number != p.class_number) blocks.push_back({p.class_number, 0, {}});
    ++blocks.back().all;
    blocks.back().shown.push_back(std::move(p));
  }
  if (pictures.size() <= most_in_all) return blocks;
  const std::size_t share = std::max<std::size_t>(2, most_in_all / blocks.size());
  for (Block& b : blocks) {
    if (b.all <= share) continue;
    std::vector<SheetPicture> some;
    for (std::size_t k = 0; k < share; ++k) some.push_back(std::move(b.shown[k * (b.all - 1) / (share - 1)]));
    b.shown = std::move(some);
  }
  return blocks;
}

Array thumbnail(const std::filesystem::path& file) {
  const Array image = read_image(file, 3);
  const auto h = static_cast<double>(image.shape()[0]), w = static_cast<double>(image.shape()[1]);
  const double scale = static_cast<double>(kSide) / std::max(h, w);
  const auto side = [&](double v) { return std::max(1, static_cast<int>(std::lround(v * scale))); };
  return resize_and_crop(image, side(h), side(w), {.stretch = true});
}

}  // namespace

Array contact_sheet(std::vector<SheetPicture> pictures, const std::vector<std::string>& classes, int columns) {
  AKIN_CHECK(!pictures.empty() && columns >= 1, "contact sheet: {} pictures in {} columns", pictures.size(), columns);
  const std::vector<Block> blocks = blocks_of(std::move(pictures), kMostOnSheet);
  const std::int64_t cell = kSide + kGap, high = kSide + kCaption + kGap;
  std::int64_t height = kGap;
  for (const Block& b : blocks) height += kTitle + (std::ssize(b.shown) + columns - 1) / columns * high;
  Sheet sheet(height, kGap + columns * cell);
  std::int64_t y = kGap;
  for (const Block& b : blocks) {
    std::string title = fmt::format("{}: {}", plain(classes[static_cast<std::size_t>(b.class_number)]), b.all);
    if (b.shown.size() < b.all) title += fmt::format(", {} shown", b.shown.size());
    sheet.write(y + 4, kGap, take_line(title, columns * cell / 2), 2, 0);
    y += kTitle;
    std::vector<Array> small(b.shown.size());
    parallel_for(std::ssize(b.shown), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) try {
          small[i] = thumbnail(b.shown[i].file);
        } catch (const Error&) {
          small[i] = Array();
        }
    });
    for (std::size_t i = 0; i < b.shown.size(); ++i) {
      const std::int64_t row = static_cast<std::int64_t>(i) / columns, column = static_cast<std::int64_t>(i) % columns;
      const std::int64_t top = y + row * high, left = kGap + column * cell;
      if (small[i].numel() > 0)  // on the line that all of a row stand on
        sheet.draw(top + kSide - small[i].shape()[0], left, small[i]);
      else
        sheet.fill(top, left, kSide, kSide, 225);
      sheet.write(top + kSide + 4, left, fmt::format("{:.1f} %", 100 * b.shown[i].probability), 1, 0);
      std::string name = plain(b.shown[i].file.filename().string());
      for (int line = 1; line <= 2; ++line)
        sheet.write(top + kSide + 4 + line * kLine, left, take_line(name, kSide), 1, 90);
    }
    y += (std::ssize(b.shown) + columns - 1) / columns * high;
  }
  return sheet.take();
}

}  // namespace akin
