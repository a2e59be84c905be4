#include "engine/io/gif.hpp"

#include <gif_lib.h>

#include <algorithm>
#include <cstring>

namespace akin {
namespace {

/// A GIF read from memory up to its first picture.
class FirstPicture {
 public:
  FirstPicture(ByteView file, const std::string& name) : file_(file), name_(name) {
    int error = 0;
    gif_ = DGifOpen(this, read, &error);
    if (gif_ == nullptr) refuse(error);
    try {
      find_picture();
    } catch (...) {
      DGifCloseFile(gif_, nullptr);
      throw;
    }
  }
  ~FirstPicture() { DGifCloseFile(gif_, nullptr); }
  FirstPicture(const FirstPicture&) = delete;
  FirstPicture& operator=(const FirstPicture&) = delete;

  const GifImageDesc& place() const { return gif_->Image; }
  /// The canvas, enlarged where the picture reaches beyond it, as Pillow does.
  int width() const { return std::max(gif_->SWidth, place().Left + place().Width); }
  int height() const { return std::max(gif_->SHeight, place().Top + place().Height); }
  const ColorMapObject& colours() const { return *(place().ColorMap != nullptr ? place().ColorMap : gif_->SColorMap); }
  int transparent() const { return transparent_; }  ///< colour; -1: none

  void line(std::uint8_t* to) {
    if (DGifGetLine(gif_, to, place().Width) == GIF_ERROR) refuse(gif_->Error);
  }

  /// Whether another picture follows. Whatever is wrong behind the first one is nobody's concern.
  bool more() {
    int size = 0;
    GifByteType* block = nullptr;
    if (DGifGetCode(gif_, &size, &block) == GIF_ERROR) return false;
    while (block != nullptr)
      if (DGifGetCodeNext(gif_, &block) == GIF_ERROR) return false;
    for (GifRecordType type = UNDEFINED_RECORD_TYPE; DGifGetRecordType(gif_, &type) != GIF_ERROR;) {
      if (type == IMAGE_DESC_RECORD_TYPE) return true;
      if (type != EXTENSION_RECORD_TYPE || !skip_extension()) return false;
    }
    return false;
  }

 private:
  static int read(GifFileType* gif, GifByteType* to, int n) {
    auto& self = *static_cast<FirstPicture*>(gif->UserData);
    const std::size_t give = std::min(static_cast<std::size_t>(std::max(n, 0)), self.file_.size() - self.at_);
    if (give > 0) std::memcpy(to, self.file_.data() + self.at_, give);
    self.at_ += give;
    return static_cast<int>(give);
  }

  [[noreturn]] void refuse(int error) const {
    if (at_ >= file_.size()) fail("{}: image ends too early (truncated; fetch it again)", name_);
    const char* text = GifErrorString(error);
    fail("{}: image is damaged (giflib: {}; fetch it again)", name_, text != nullptr ? text : "unknown fault");
  }

  bool skip_extension() {
    int code = 0;
    GifByteType* block = nullptr;
    if (DGifGetExtension(gif_, &code, &block) == GIF_ERROR) return false;
    while (block != nullptr) {
      GraphicsControlBlock control;
      if (code == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
        transparent_ = control.TransparentColor;
      if (DGifGetExtensionNext(gif_, &block) == GIF_ERROR) return false;
    }
    return true;
  }

  void find_picture() {
    for (GifRecordType type = UNDEFINED_RECORD_TYPE;;) {
      if (DGifGetRecordType(gif_, &type) == GIF_ERROR) refuse(gif_->Error);
      if (type == TERMINATE_RECORD_TYPE) fail("{}: image is damaged (a GIF without a picture)", name_);
      if (type == EXTENSION_RECORD_TYPE && !skip_extension()) refuse(gif_->Error);
      if (type == IMAGE_DESC_RECORD_TYPE) break;
    }
    if (DGifGetImageDesc(gif_) == GIF_ERROR) refuse(gif_->Error);
    AKIN_CHECK(place().Width > 0 && place().Height > 0, "{}: image of {}x{} pixels", name_, place().Height,
               place().Width);
    AKIN_CHECK(place().ColorMap != nullptr || gif_->SColorMap != nullptr,
               "{}: a GIF without a table of colours cannot be read; convert it to PNG", name_);
  }

  ByteView file_;
  const std::string& name_;
  std::size_t at_ = 0;
  GifFileType* gif_ = nullptr;
  int transparent_ = -1;
};

/// The rows of an interlaced picture in the order in which they are stored.
std::vector<int> row_order(int rows, bool interlaced) {
  std::vector<int> order;
  static constexpr int kPasses[][2] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
  if (interlaced) {
    for (const auto& [first, step] : kPasses)
      for (int y = first; y < rows; y += step) order.push_back(y);
  } else {
    for (int y = 0; y < rows; ++y) order.push_back(y);
  }
  return order;
}

bool is_grey(const ColorMapObject& map) {
  return std::all_of(map.Colors, map.Colors + map.ColorCount,
                     [](const GifColorType& c) { return c.Red == c.Green && c.Green == c.Blue; });
}

}  // namespace

StoredPicture read_gif_header(ByteView file, const std::string& name) {
  FirstPicture picture(file, name);
  const GifImageDesc& place = picture.place();
  StoredPicture header;
  header.width = picture.width();
  header.height = picture.height();
  header.channels = is_grey(picture.colours()) ? 1 : 3;  // the only way in which a GIF can say so
  header.alpha = picture.transparent() >= 0 || place.Width < header.width || place.Height < header.height;
  header.frames = picture.more();
  return header;
}

Array read_gif_pixels(ByteView file, const std::string& name, const StoredPicture& header) {
  FirstPicture picture(file, name);
  const GifImageDesc& place = picture.place();
  const ColorMapObject& map = picture.colours();
  const auto samples = static_cast<std::size_t>(header.channels + (header.alpha ? 1 : 0));
  Array out(DType::u8, {header.height, header.width, static_cast<std::int64_t>(samples)});
  const auto put = [&](std::size_t pixel, int colour, bool opaque) {
    std::uint8_t* to = out.as<std::uint8_t>().data() + pixel * samples;
    const GifColorType& c = map.Colors[colour];
    *to++ = c.Red;
    if (header.channels == 3) {
      *to++ = c.Green;
      *to++ = c.Blue;
    }
    if (header.alpha) *to = opaque ? 255 : 0;
  };
  // Beside the picture lies the transparent colour, or the first one.
  const bool known = picture.transparent() >= 0 && picture.transparent() < map.ColorCount;
  const auto width = static_cast<std::size_t>(header.width);
  if (place.Width < header.width || place.Height < header.height)
    for (std::size_t p = 0; p < width * static_cast<std::size_t>(header.height); ++p)
      put(p, known ? picture.transparent() : 0, false);
  std::vector<std::uint8_t> line(static_cast<std::size_t>(place.Width));
  for (const int y : row_order(place.Height, place.Interlace)) {
    picture.line(line.data());
    const std::size_t start = static_cast<std::size_t>(place.Top + y) * width + static_cast<std::size_t>(place.Left);
    for (std::size_t x = 0; x < line.size(); ++x) {
      AKIN_CHECK(line[x] < map.ColorCount,
                 "{}: image is damaged (a pixel of colour {} in a palette of {}; fetch it again)", name, line[x],
                 map.ColorCount);
      put(start + x, line[x], line[x] != picture.transparent());
    }
  }
  return out;
}

}  // namespace akin
