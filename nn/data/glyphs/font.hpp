// Outlines of characters out of TrueType and OpenType files: what nn/glyphs draws printed characters from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace akin {

struct Point {
  float x = 0, y = 0;
};

/// Closed polygons, filled by the non-zero winding rule. Units of one em, x to the right, y down (as in images).
using Outline = std::vector<std::vector<Point>>;

/// One face of a .ttf or .otf file (of a collection: its first face).
///
/// The outlines are read by stb_truetype, which trusts its input. So a file is checked first: the table directory, the
/// sizes of all tables used, the character map, every offset of the glyph index, and each TrueType outline (points,
/// parts of composite glyphs and their depth) before it is read; CFF outlines run in stb's own bounds-checked buffer,
/// cut to the true size of the table. Hinting programs are never run. Fonts are still best taken from a source one
/// trusts.
class Font {
 public:
  /// Throws Error naming the file when it cannot be read, is truncated, or contradicts itself.
  explicit Font(const std::filesystem::path& path);
  ~Font();
  Font(Font&&) noexcept;
  Font& operator=(Font&&) noexcept;

  const std::filesystem::path& path() const { return path_; }
  /// The name that all weights and slopes of a design share, e.g. "DejaVu Sans" (from the file's own name table).
  const std::string& family() const { return family_; }
  /// 0 if the font does not have the character.
  int glyph_of(char32_t character) const;
  /// The outline with curves cut into short lines; empty for a blank glyph. Throws Error on a broken outline.
  Outline outline(int glyph) const;

 private:
  struct Tables;
  std::filesystem::path path_;
  std::string family_;
  std::unique_ptr<Tables> tables_;
};

}  // namespace akin
