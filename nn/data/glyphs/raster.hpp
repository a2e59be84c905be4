// From an outline to a small grey image: distortion, filling, stroke width, size and centre. Used by nn/glyphs.
#pragma once

#include <array>
#include <vector>

#include "kernels/common/rng.hpp"
#include "nn/data/glyphs/font.hpp"
#include "nn/data/glyphs/glyphs.hpp"

namespace akin {

/// One draw from the ranges of a GlyphDistortion.
struct GlyphWarp {
  std::array<float, 4> linear = {1, 0, 0, 1};  ///< row-major 2x2
  std::array<Point, 49> field{};               ///< 7x7 cubic B-spline knots over the character, in finished pixels
  float stroke = 0;                            ///< mean stroke width wanted, in finished pixels
};

GlyphWarp draw_warp(const GlyphDistortion& ranges, Rng& rng);

/// Draws the outline into image [side, side], 0 black to 1 white: longest side of the character 20/28 of `side`, centre
/// of mass in the middle to within half a pixel. Without a warp the outline is drawn as it is. False (and the image
/// undefined) if nothing visible came out, as when a hairline is thinned away.
bool draw_glyph(const Outline& outline, int side, const GlyphWarp* warp, std::vector<float>& image);

}  // namespace akin
