#include "nn/data/glyphs/font.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <span>
#include <string_view>

#include "engine/io/file.hpp"
#include "kernels/common/error.hpp"

namespace {
// stb_truetype asserts what it could not cope with; here that must reach the caller as a broken font.
[[noreturn]] void broken_outline() { throw akin::Error("a glyph's outline contradicts itself"); }
}  // namespace

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STBTT_assert(x) ((x) ? void(0) : broken_outline())
// A contour of one off-curve point (capitals of some installed fonts have them) makes stb read the point after the last
// one. Slack filled with zeros makes that read harmless, and the drawing the same in every run.
#define STBTT_malloc(size, context) (static_cast<void>(context), std::calloc(1, (size) + 64))
#define STBTT_free(pointer, context) (static_cast<void>(context), std::free(pointer))
#define STBTT_STATIC
#define STB_TRUETYPE_IMPLEMENTATION
#include <stb/stb_truetype.h>
#pragma GCC diagnostic pop

namespace akin {
namespace {

constexpr std::size_t kMaxFontBytes = std::size_t{64} << 20;
constexpr int kMaxPoints = 20000, kMaxParts = 64, kMaxDepth = 6;

/// Big-endian numbers of one table; a read past its end is an error.
class View {
 public:
  View() = default;
  View(std::span<const std::uint8_t> bytes, std::size_t start) : bytes_(bytes), start_(start) {}
  std::size_t size() const { return bytes_.size(); }
  std::size_t start() const { return start_; }
  bool empty() const { return bytes_.empty(); }
  std::uint32_t u8(std::size_t at) const { return need(at, 1), bytes_[at]; }
  std::uint32_t u16(std::size_t at) const { return need(at, 2), std::uint32_t{bytes_[at]} << 8 | bytes_[at + 1]; }
  int i16(std::size_t at) const { return static_cast<std::int16_t>(u16(at)); }
  std::uint32_t u32(std::size_t at) const { return u16(at) << 16 | u16(at + 2); }
  void need(std::size_t at, std::size_t n) const {
    AKIN_CHECK(at <= size() && n <= size() - at, "a table ends early: {} bytes wanted at {}, it has {}", n, at, size());
  }
  View part(std::size_t at, std::size_t n) const { return need(at, n), View(bytes_.subspan(at, n), start_ + at); }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t start_ = 0;
};

/// Weight, width and slope belong to a face; what is left names the family.
std::string without_style(std::string name) {
  static constexpr std::array<std::string_view, 29> kStyles = {
      "Regular", "Bold",       "Italic",   "Oblique",   "Light",        "Medium",   "Thin",  "Black",
      "Heavy",   "SemiBold",   "Demi",     "DemiBold",  "ExtraBold",    "Hairline", "Book",  "Roman",
      "Upright", "ExtraLight", "Cond",     "Condensed", "Semi",         "Extra",    "Ultra", "Narrow",
      "Wide",    "Slanted",    "Semibold", "Semilight", "SemiCondensed"};
  for (;;) {
    const auto space = name.find_last_of(" -");
    if (space == std::string::npos || space == 0) return name;
    const std::string last = name.substr(space + 1);
    if (std::find(kStyles.begin(), kStyles.end(), last) == kStyles.end() && !last.empty()) return name;
    name.resize(space);
  }
}

std::string family_name(const View& name) {
  std::string family;
  std::uint32_t best = 0;  // 16, the family of all weights, before 1, the family of four
  const std::uint32_t count = name.u16(2), text = name.u16(4);
  for (std::uint32_t i = 0; i < count; ++i) {
    const View r = name.part(6 + std::size_t{12} * i, 12);
    const std::uint32_t platform = r.u16(0), id = r.u16(6);
    if ((id != 1 && id != 16) || id <= best || (platform != 3 && platform != 1)) continue;
    const View s = name.part(std::size_t{text} + r.u16(10), r.u16(8));
    const std::size_t step = platform == 3 ? 2 : 1;
    std::string found;
    for (std::size_t k = step - 1; k < s.size(); k += step) {
      const char c = static_cast<char>(s.u8(k));
      if (c >= ' ' && c <= '~') found.push_back(c);
    }
    if (!found.empty()) family = found, best = id;
  }
  return without_style(family);
}

}  // namespace

struct Font::Tables {
  std::vector<std::uint8_t> bytes;
  View head, maxp, loca, glyf, cff, name, cmap;  // cmap: the one subtable used
  int glyphs = 0, em = 0;
  bool long_loca = false;
  stbtt_fontinfo stb{};

  void read_directory() {
    const View file(bytes, 0);
    std::size_t base = 0;
    std::uint32_t version = file.u32(0);
    if (version == 0x74746366u) base = file.u32(12), version = file.part(base, 12).u32(0);  // "ttcf": a collection
    AKIN_CHECK(version == 0x00010000u || version == 0x74727565u || version == 0x4F54544Fu,
               "not a TrueType or OpenType font (it starts with {:08x})", version);
    const std::uint32_t count = file.u16(base + 4);
    View whole_cmap;
    for (std::uint32_t i = 0; i < count; ++i) {
      const View r = file.part(base + 12 + std::size_t{16} * i, 16);
      const std::uint32_t tag = r.u32(0);
      View* const table = tag == 0x68656164u   ? &head
                          : tag == 0x6D617870u ? &maxp
                          : tag == 0x6C6F6361u ? &loca
                          : tag == 0x676C7966u ? &glyf
                          : tag == 0x43464620u ? &cff
                          : tag == 0x6E616D65u ? &name
                          : tag == 0x636D6170u ? &whole_cmap
                                               : nullptr;
      const std::size_t offset = r.u32(8), length = r.u32(12);
      AKIN_CHECK(offset <= file.size() && length <= file.size() - offset,
                 "table {} of {} ends at byte {}, the file has {}: it is cut off", i + 1, count, offset + length,
                 file.size());
      if (table != nullptr) *table = file.part(offset, length);
    }
    em = static_cast<int>(head.u16(18));
    AKIN_CHECK(em >= 16 && em <= 16384, "{} units to the em, expected 16 to 16384", em);
    glyphs = static_cast<int>(maxp.u16(4));
    choose_cmap(whole_cmap);
    if (cff.empty()) {
      long_loca = head.u16(50) == 1;
      AKIN_CHECK(head.u16(50) <= 1, "glyph index of format {}, expected 0 or 1", head.u16(50));
      loca.need(0, static_cast<std::size_t>(glyphs + 1) * (long_loca ? 4 : 2));
    }
  }

  void choose_cmap(const View& all) {
    const std::uint32_t count = all.u16(2);
    int best = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const View r = all.part(4 + std::size_t{8} * i, 8);
      const std::uint32_t platform = r.u16(0), encoding = r.u16(2), at = r.u32(4);
      if (platform != 0 && !(platform == 3 && (encoding == 1 || encoding == 10))) continue;  // Unicode maps alone
      const std::uint32_t format = all.u16(at);
      const int rank = format == 12 ? 2 : format == 4 ? 1 : 0;
      if (rank <= best) continue;
      best = rank;
      cmap = all.part(at, all.size() - at);
    }
    AKIN_CHECK(best > 0, "no Unicode character map (a symbol font?)");
  }

  /// stb's own start-up would take CFF tables for 512 MiB long, so the same state is set from checked tables.
  void start_stb() {
    stb.data = bytes.data();
    stb.numGlyphs = glyphs;
    stb.loca = static_cast<int>(loca.start());
    stb.glyf = static_cast<int>(glyf.start());
    stb.head = static_cast<int>(head.start());
    stb.indexToLocFormat = long_loca ? 1 : 0;
    if (cff.empty()) return;
    stb.cff = stbtt__new_buf(bytes.data() + cff.start(), cff.size());
    stbtt__buf b = stb.cff;
    stbtt__buf_skip(&b, 2);
    stbtt__buf_seek(&b, stbtt__buf_get8(&b));
    stbtt__cff_get_index(&b);
    stbtt__buf tops = stbtt__cff_get_index(&b);
    stbtt__buf top = stbtt__cff_index_get(tops, 0);
    stbtt__cff_get_index(&b);
    stb.gsubrs = stbtt__cff_get_index(&b);
    stbtt_uint32 outlines = 0, kind = 2, fd_array = 0, fd_select = 0;
    stbtt__dict_get_ints(&top, 17, 1, &outlines);
    stbtt__dict_get_ints(&top, 0x100 | 6, 1, &kind);
    stbtt__dict_get_ints(&top, 0x100 | 36, 1, &fd_array);
    stbtt__dict_get_ints(&top, 0x100 | 37, 1, &fd_select);
    AKIN_CHECK(kind == 2 && outlines > 0 && outlines < cff.size(), "CFF outlines of an unknown kind");
    stb.subrs = stbtt__get_subrs(b, top);
    if (fd_array != 0) {
      AKIN_CHECK(fd_array < cff.size() && fd_select < cff.size(), "CFF: a table starts past the end");
      stbtt__buf_seek(&b, static_cast<int>(fd_array));
      stb.fontdicts = stbtt__cff_get_index(&b);
      stb.fdselect = stbtt__buf_range(&b, static_cast<int>(fd_select), b.size - static_cast<int>(fd_select));
    }
    stbtt__buf_seek(&b, static_cast<int>(outlines));
    stb.charstrings = stbtt__cff_get_index(&b);
  }

  View glyph_bytes(int glyph) const {
    AKIN_CHECK(glyph >= 0 && glyph < glyphs, "glyph {} of {}", glyph, glyphs);
    const auto at = [&](int i) {
      const auto k = static_cast<std::size_t>(i);
      return long_loca ? std::size_t{loca.u32(4 * k)} : std::size_t{2} * loca.u16(2 * k);
    };
    AKIN_CHECK(at(glyph) <= at(glyph + 1), "glyph {} ends before it starts", glyph);
    return glyf.part(at(glyph), at(glyph + 1) - at(glyph));
  }

  /// Walks a TrueType outline as stb will, and throws where stb would read outside of it.
  void check_glyph(int glyph, int depth, int& parts) const {
    AKIN_CHECK(depth <= kMaxDepth && ++parts <= kMaxParts, "glyph {} is made of too many parts", glyph);
    const View g = glyph_bytes(glyph);
    if (g.empty()) return;
    const int contours = g.i16(0);
    std::size_t at = 10;
    if (contours < 0) {
      for (std::uint32_t flags = 0x20; flags & 0x20;) {
        flags = g.u16(at);
        AKIN_CHECK(flags & 2, "glyph {}: parts placed by points", glyph);
        check_glyph(static_cast<int>(g.u16(at + 2)), depth + 1, parts);
        at += std::size_t{4} + (flags & 1 ? 4 : 2) + (flags & 8 ? 2 : flags & 0x40 ? 4 : flags & 0x80 ? 8 : 0);
        g.need(0, at);
      }
      return;
    }
    if (contours == 0) return;
    int points = 0;
    for (int c = 0; c < contours; ++c, at += 2) {
      const int end = static_cast<int>(g.u16(at)) + 1;
      AKIN_CHECK(end > points && end <= kMaxPoints, "glyph {}: contour {} ends at point {}", glyph, c, end - 1);
      points = end;
    }
    at += 2 + std::size_t{g.u16(at)};  // hinting
    std::size_t coordinates = 0;
    for (int p = 0; p < points;) {
      const std::uint32_t flag = g.u8(at++);
      const int repeat = 1 + (flag & 8 ? static_cast<int>(g.u8(at++)) : 0);
      const std::size_t each = (flag & 2 ? 1u : flag & 16 ? 0u : 2u) + (flag & 4 ? 1u : flag & 32 ? 0u : 2u);
      p += repeat;
      AKIN_CHECK(p <= points, "glyph {}: more flags than points", glyph);
      coordinates += each * static_cast<std::size_t>(repeat);
    }
    g.need(at, coordinates);
  }
};

Font::Font(const std::filesystem::path& path) : path_(path), tables_(std::make_unique<Tables>()) {
  tables_->bytes = read_file(path, kMaxFontBytes);
  try {
    tables_->read_directory();
    tables_->start_stb();
    if (!tables_->name.empty()) family_ = family_name(tables_->name);
    if (family_.empty()) family_ = path.stem().string();
  } catch (const Error& e) {
    fail("font {}: {}; take another copy of the file, or leave it out", path.string(), e.what());
  }
}
Font::~Font() = default;
Font::Font(Font&&) noexcept = default;
Font& Font::operator=(Font&&) noexcept = default;

int Font::glyph_of(char32_t character) const {
  const View& m = tables_->cmap;
  const std::uint32_t c = character;
  const auto valid = [&](std::uint32_t glyph) { return glyph < std::uint32_t(tables_->glyphs) ? int(glyph) : 0; };
  try {
    if (m.u16(0) == 12) {
      const std::uint32_t groups = m.u32(12);
      for (std::uint32_t i = 0; i < groups; ++i) {
        const View g = m.part(16 + std::size_t{12} * i, 12);
        if (c >= g.u32(0) && c <= g.u32(4)) return valid(g.u32(8) + (c - g.u32(0)));
      }
      return 0;
    }
    const std::size_t segments = m.u16(6) / 2;
    for (std::size_t i = 0; i < segments && c <= 0xFFFF; ++i) {
      const std::uint32_t end = m.u16(14 + 2 * i), start = m.u16(16 + 2 * (segments + i));
      if (c > end) continue;
      if (c < start) return 0;
      const std::size_t at = 16 + 2 * (3 * segments + i);
      const std::uint32_t delta = m.u16(16 + 2 * (2 * segments + i)), offset = m.u16(at);
      if (offset == 0) return valid((c + delta) & 0xFFFF);
      const std::uint32_t glyph = m.u16(at + offset + std::size_t{2} * (c - start));
      return glyph == 0 ? 0 : valid((glyph + delta) & 0xFFFF);
    }
    return 0;
  } catch (const Error& e) {
    fail("font {}: character map: {}; take another copy of the file, or leave it out", path_.string(), e.what());
  }
}

Outline Font::outline(int glyph) const {
  constexpr int kPieces = 8;  // straight pieces a curve: below a tenth of a pixel at the sizes drawn here
  stbtt_vertex* vertices = nullptr;
  int n = 0;
  try {
    int parts = 0;
    if (tables_->cff.empty()) tables_->check_glyph(glyph, 0, parts);
    n = stbtt_GetGlyphShape(&tables_->stb, glyph, &vertices);
  } catch (const Error& e) {
    fail("font {}: {}; take another copy of the file, or leave it out", path_.string(), e.what());
  }
  const std::unique_ptr<stbtt_vertex, void (*)(stbtt_vertex*)> owner(vertices,
                                                                     [](stbtt_vertex* v) { STBTT_free(v, nullptr); });
  Outline outline;
  const float scale = 1.0f / static_cast<float>(tables_->em);
  const auto point = [&](int x, int y) { return Point{static_cast<float>(x) * scale, -static_cast<float>(y) * scale}; };
  const auto mix = [](Point a, Point b, float t) { return Point{a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t}; };
  Point last;
  for (int i = 0; i < n; ++i) {
    const stbtt_vertex& v = vertices[i];
    const Point end = point(v.x, v.y), c1 = point(v.cx, v.cy), c2 = point(v.cx1, v.cy1);
    if (v.type == STBTT_vmove || outline.empty()) {
      outline.emplace_back().push_back(end);
    } else {
      const int pieces = v.type == STBTT_vline ? 1 : kPieces;
      for (int k = 1; k <= pieces; ++k) {
        const float t = static_cast<float>(k) / static_cast<float>(pieces);
        Point p = end;
        if (v.type == STBTT_vcurve) p = mix(mix(last, c1, t), mix(c1, end, t), t);
        if (v.type == STBTT_vcubic)
          p = mix(mix(mix(last, c1, t), mix(c1, c2, t), t), mix(mix(c1, c2, t), mix(c2, end, t), t), t);
        outline.back().push_back(p);
      }
    }
    last = end;
  }
  std::erase_if(outline, [](const auto& contour) { return contour.size() < 3; });
  return outline;
}

}  // namespace akin
