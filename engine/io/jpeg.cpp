#include "engine/io/jpeg.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace akin {
namespace {

enum Marker : std::uint8_t {
  kSof0 = 0xC0,
  kDht = 0xC4,
  kRst0 = 0xD0,
  kSoi = 0xD8,
  kEoi = 0xD9,
  kSos = 0xDA,
  kDqt = 0xDB,
  kDri = 0xDD,
  kApp0 = 0xE0,
  kApp1 = 0xE1,
  kApp14 = 0xEE,
  kLs = 0xF7
};

/// SOF0 to SOF15, which share their numbers with three markers of another kind.
bool is_frame(std::uint8_t marker) {
  return (marker & 0xF0) == kSof0 && marker != kDht && marker != 0xC8 && marker != 0xCC;
}
bool is_restart(std::uint8_t marker) { return marker >= kRst0 && marker < kSoi; }

struct Component {
  int id = 0, h = 1, v = 1, table = 0;
  bool seen = false;  // in a scan with its mean values
};

class Walker {
 public:
  Walker(ByteView file, const std::string& name) : file_(file), name_(name) {}

  JpegHeader run() {
    for (std::size_t at = 2; find_marker(at);) {
      const std::uint8_t marker = file_[at + 1];
      if (marker == kEoi) {
        ended_ = true;
        break;
      }
      if (at + 4 > file_.size()) break;
      const std::size_t length = std::max<std::size_t>(word(at + 2), 2);
      if (at + 2 + length > file_.size()) {
        if (marker == kDht) huffman(at + 4, file_.size());
        break;
      }
      segment(marker, at + 4, at + 2 + length);
      at += 2 + length;
      if (marker == kSos) entropy(at);
    }
    AKIN_CHECK(scans_ > 0, "{}: image ends before its pixels begin (truncated; fetch it again)", name_);
    AKIN_CHECK(ended_, "{}: image ends too early (truncated; fetch it again)", name_);
    const bool whole = std::all_of(components_.begin(), components_.end(), [](const Component& c) { return c.seen; });
    AKIN_CHECK(whole, "{}: image is damaged (the data of one of its components are missing; fetch it again)", name_);
    return header_;
  }

 private:
  [[noreturn]] void cannot(std::string_view what) const {
    fail("{}: a JPEG {} cannot be read; convert it to plain JPEG or to PNG", name_, what);
  }
  [[noreturn]] void damaged(const std::string& what) const {
    fail("{}: image is damaged ({}; fetch it again)", name_, what);
  }

  std::size_t word(std::size_t at) const { return std::size_t{file_[at]} << 8 | file_[at + 1]; }
  bool begins(std::size_t at, std::size_t end, std::string_view text) const {
    return end - at >= text.size() && std::memcmp(file_.data() + at, text.data(), text.size()) == 0;
  }

  /// Moves `at` to the next marker, over padding; false where there is none.
  bool find_marker(std::size_t& at) const {
    for (; at + 1 < file_.size(); ++at)
      if (file_[at] == 0xFF && file_[at + 1] != 0xFF && file_[at + 1] != 0) return true;
    return false;
  }

  void segment(std::uint8_t marker, std::size_t at, std::size_t end) {
    if (is_frame(marker)) return frame(marker, at, end);
    switch (marker) {
      case kLs:
        cannot("of the JPEG-LS kind");
      case kDht:
        return huffman(at, end);
      case kDqt:
        return quantization(at, end);
      case kDri:
        if (end - at >= 2) restart_ = word(at);
        return;
      case kSos:
        return scan(at, end);
      case kApp0:
        jfif_ = jfif_ || begins(at, end, "JFIF");
        return;
      case kApp1:
        if (!exif_ && begins(at, end, std::string_view("Exif\0", 5))) {
          exif_ = true;
          header_.orientation = exif_orientation(file_.subspan(at, end - at));
        }
        return;
      case kApp14:
        if (end - at >= 12 && begins(at, end, "Adobe")) adobe_ = file_[at + 11];
        return;
      default:
        return;
    }
  }

  void frame(std::uint8_t marker, std::size_t at, std::size_t end) {
    const int kind = marker - kSof0;
    if (kind >= 9) cannot("with arithmetic coding");
    if (kind == 3) cannot("without loss (lossless coding)");
    if (kind > 3) cannot("of the hierarchical kind");
    if (end - at < 6 || !components_.empty()) damaged("its frame header is cut off, or there twice");
    if (file_[at] != 8) cannot(fmt::format("of {} bits a sample", file_[at]));
    progressive_ = kind == 2;
    height_ = word(at + 1);
    width_ = word(at + 3);
    if (height_ == 0 || width_ == 0) cannot("that does not say its size at its beginning");
    const std::size_t n = file_[at + 5];
    if (n != 1 && n != 3 && n != 4) cannot(fmt::format("of {} channels", n));
    if (end - at < 6 + 3 * n) damaged("its frame header is cut off");
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint8_t* p = file_.data() + at + 6 + 3 * i;
      components_.push_back({.id = p[0], .h = std::max(1, p[1] >> 4), .v = std::max(1, p[1] & 15), .table = p[2] & 3});
      h_max_ = std::max(h_max_, components_.back().h);
      v_max_ = std::max(v_max_, components_.back().v);
    }
    for (const Component& c : components_)
      if (h_max_ % c.h != 0 || v_max_ % c.v != 0) cannot("whose channels have sizes in no whole ratio");
  }

  /// A table says how many codes it has of each length; the decoder stores up to 256 and writes on beyond that.
  void huffman(std::size_t at, std::size_t end) {
    while (at < end) {
      std::size_t codes = 0;
      for (std::size_t i = at + 1; i < std::min(at + 17, file_.size()); ++i) codes += file_[i];
      if (codes > 256) damaged(fmt::format("Huffman table of {} codes", codes));
      (file_[at] >> 4 == 0 ? dc_ : ac_)[file_[at] & 3] = true;
      at += 17 + codes;
    }
  }

  void quantization(std::size_t at, std::size_t end) {
    for (; at < end; at += file_[at] >> 4 == 0 ? 65 : 129) steps_[file_[at] & 3] = true;
  }

  /// libjpeg takes the colours by three marks that may contradict each other; the decoder must come to the same end.
  void colours() {
    const std::size_t n = components_.size();
    header_.cmyk = n == 4;
    if (n == 4 && adobe_ < 0) cannot("of four inks (CMYK) without Adobe's mark");
    if (n == 4 && adobe_ == 1) cannot("of four channels that Adobe's mark calls three");
    const bool called_rgb = n == 3 && components_[0].id == 'R' && components_[1].id == 'G' && components_[2].id == 'B';
    if (called_rgb && (jfif_ || adobe_ > 0)) cannot("that calls its channels both RGB and YCbCr");
  }

  /// Notes what the scan is about, and how many restart marks it must have.
  void scan(std::size_t at, std::size_t end) {
    const std::size_t n = end > at ? file_[at] : 0;
    if (components_.empty() || n < 1 || n > 4 || end - at < 4 + 2 * n) damaged("a scan without its header");
    const int first = file_[at + 1 + 2 * n], refined = file_[at + 3 + 2 * n] >> 4;
    const bool means = first == 0, details = progressive_ ? first > 0 : true;
    if (++scans_ == 1) colours();
    std::size_t blocks = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const int id = file_[at + 1 + 2 * i], tables = file_[at + 2 + 2 * i];
      const auto c =
          std::find_if(components_.begin(), components_.end(), [&](const Component& k) { return k.id == id; });
      if (c == components_.end()) damaged(fmt::format("a scan of a component {} that there is not", id));
      if ((means && refined == 0 && !dc_[(tables >> 4) & 3]) || (details && !ac_[tables & 3]))
        damaged("its Huffman tables are missing: one picture out of a Motion-JPEG film?");
      if (!steps_[static_cast<std::size_t>(c->table)]) damaged("its quantisation tables are missing");
      c->seen = c->seen || means;
      const auto along = [](std::size_t size, int own, int most) {
        const std::size_t samples = (size * static_cast<std::size_t>(own) + static_cast<std::size_t>(most) - 1) /
                                    static_cast<std::size_t>(most);
        return (samples + 7) / 8;
      };
      blocks = along(width_, c->h, h_max_) * along(height_, c->v, v_max_);
    }
    const auto units = [](std::size_t size, int most) {
      return (size + 8 * static_cast<std::size_t>(most) - 1) / (8 * static_cast<std::size_t>(most));
    };
    if (n > 1) blocks = units(width_, h_max_) * units(height_, v_max_);
    wanted_ = restart_ > 0 ? (blocks - 1) / restart_ : 0;
    last_too_ = restart_ > 0 && blocks % restart_ == 0;
  }

  /// Moves `at` over compressed data. Without a restart mark the decoder would leave the rest of the scan as it is.
  void entropy(std::size_t& at) {
    std::size_t found = 0;
    while (find_marker(at) && is_restart(file_[at + 1])) {
      if (restart_ == 0 || file_[at + 1] != kRst0 + found % 8) damaged("a restart mark where none belongs");
      ++found;
      at += 2;
    }
    const bool cut = at + 1 >= file_.size();  // said at the end
    if (!cut && found != wanted_ && !(last_too_ && found == wanted_ + 1))
      damaged(fmt::format("{} of {} restart marks", found, wanted_));
  }

  ByteView file_;
  const std::string& name_;
  JpegHeader header_;
  std::vector<Component> components_;
  std::array<bool, 4> dc_{}, ac_{}, steps_{};
  std::size_t height_ = 0, width_ = 0, restart_ = 0, wanted_ = 0;
  int h_max_ = 1, v_max_ = 1, adobe_ = -1, scans_ = 0;
  bool progressive_ = false, jfif_ = false, exif_ = false, ended_ = false, last_too_ = false;
};

}  // namespace

bool is_jpeg(ByteView file) { return file.size() >= 3 && file[0] == 0xFF && file[1] == kSoi && file[2] == 0xFF; }

JpegHeader read_jpeg_header(ByteView file, const std::string& name) { return Walker(file, name).run(); }

}  // namespace akin
