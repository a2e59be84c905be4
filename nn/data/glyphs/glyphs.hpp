// Printed characters drawn from fonts and distorted until they resemble pen strokes: source tasks that need no data
// set. The bank of the demo is made of them, and where no handwritten digits can be had, its target too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "nn/data/image_set.hpp"

namespace akin {

/// Characters told apart by one task, as UTF-8, one class each.
struct GlyphSet {
  std::string name;
  std::vector<std::string> characters;
};

/// digits, capitals, lower, greek, greek-capitals, cyrillic, cyrillic-lower, armenian, georgian, hebrew, punctuation.
const std::vector<GlyphSet>& glyph_sets();
/// The set of that name; UsageError listing all names otherwise.
const GlyphSet& glyph_set(const std::string& name);
/// A set of one's own: every character of the UTF-8 text is a class. Error on broken UTF-8, doubles, fewer than two.
GlyphSet glyph_set_of(const std::string& name, const std::string& text);

/// Families are dealt into five parts by a hash of their name, whatever else is installed; one part is held out.
enum class FontPart { all, train, held_out };

/// How far a drawn character may leave its print. Lengths are in pixels of the finished image.
struct GlyphDistortion {
  float shear = 0.45f;      ///< x += s * y, s uniform in +-shear
  float rotation = 0.25f;   ///< radians, uniform in +-rotation
  float stretch = 0.4f;     ///< width over height times exp(uniform in +-stretch)
  float elastic = 1.9f;     ///< standard deviation of a smooth displacement field, drawn between 0 and this
  float stroke_min = 1.3f;  ///< mean stroke width wanted after thickening or thinning, uniform between the two
  float stroke_max = 3.2f;
};

struct GlyphOptions {
  std::int64_t count = 15000;  ///< images in all; classes differ by one at most
  int size = 28;               ///< side of the image; the character fits a box of size * 20 / 28, as in MNIST
  std::uint64_t seed = 0;      ///< image i depends on (seed, i) and the fonts alone, not on threads
  FontPart part = FontPart::all;
  GlyphDistortion distortion;
};

/// White characters on black, u8 [count, size, size, 1]; label of image i: i modulo the number of classes.
struct GlyphImages : ImageSet {
  int fonts = 0, families = 0;       ///< faces and families that were usable and drawn from
  std::vector<std::string> skipped;  ///< "file: why" for every font left out
};

/// Folders where systems keep fonts: /usr/share/fonts, /usr/local/share/fonts and, given one, below the home folder.
std::vector<std::filesystem::path> font_folders(const std::filesystem::path& home = {});

/// All .ttf, .otf and .ttc files below the folders, sorted by name so that the result does not depend on the file
/// system. Folders that do not exist are passed over. Error with the package to install when there is no font at all.
std::vector<std::filesystem::path> find_fonts(std::span<const std::filesystem::path> folders);

/// Draws options.count characters of the set.
///
/// For each image: a family, one of its faces (six at most are used) and the class's outline; shear, rotation, stretch
/// and an elastic field act on the outline (Simard, Steinkraus, Platt, "Best practices for convolutional neural
/// networks", ICDAR 2003); strokes are thickened or thinned to a drawn width by a Euclidean distance map; the result is
/// fitted into a box of 20/28 of the side and placed by its centre of mass, as MNIST's makers did (LeCun et al.,
/// "Gradient-based learning applied to document recognition", 1998). Left out, and listed in `skipped`: fonts that
/// cannot be read, lack one of the characters, draw two of them alike or one blank, or whose drawings resemble no other
/// font's (symbol fonts). Error when no font is left. The result is bitwise the same for the same seed and fonts on any
/// number of threads.
GlyphImages render_glyphs(const GlyphSet& set, std::span<const std::filesystem::path> fonts,
                          const GlyphOptions& options = {});

}  // namespace akin
