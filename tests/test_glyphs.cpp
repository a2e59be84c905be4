// Printed characters: deterministic, balanced, centred, not blank; fonts that lie are refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "kernels/common/error.hpp"
#include "kernels/common/parallel.hpp"
#include "nn/data/glyphs/font.hpp"
#include "nn/data/glyphs/glyphs.hpp"
#include "nn/data/glyphs/raster.hpp"
#include "tests/temp_folder.hpp"

namespace fs = std::filesystem;
using namespace akin;
using akin::test::error_of;
using akin::test::has;
using akin::test::TempFolder;

namespace {

/// A few text faces are enough, and keep the test quick however many fonts there are.
std::vector<fs::path> some_fonts() {
  std::vector<fs::path> all, some;
  try {
    all = find_fonts(font_folders());
  } catch (const Error& e) {
    FAIL("this test needs a font: " << e.what());
  }
  for (const fs::path& p : all)
    if (p.filename().string().starts_with("DejaVuS") || p.filename().string().starts_with("LiberationS"))
      some.push_back(p);
  return some.empty() ? std::vector<fs::path>(all.begin(), all.begin() + std::min<std::ptrdiff_t>(12, std::ssize(all)))
                      : some;
}

fs::path smallest_of(const std::vector<fs::path>& fonts) {
  return *std::ranges::min_element(fonts, {}, [](const fs::path& p) { return fs::file_size(p); });
}

std::vector<char> bytes_of_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_bytes(const fs::path& path, const std::vector<char>& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
}

struct Moments {
  double mass = 0, x = 0, y = 0;
  int longest = 0;
};

Moments moments(std::span<const std::uint8_t> image, int side) {
  Moments m;
  int x0 = side, x1 = -1, y0 = side, y1 = -1;
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      const double v = image[static_cast<std::size_t>(y * side + x)];
      m.mass += v;
      m.x += v * x;
      m.y += v * y;
      if (v > 0) {
        x0 = std::min(x0, x);
        x1 = std::max(x1, x);
        y0 = std::min(y0, y);
        y1 = std::max(y1, y);
      }
    }
  m.x /= m.mass;
  m.y /= m.mass;
  m.longest = std::max(x1 - x0, y1 - y0) + 1;
  return m;
}

GlyphImages digits(std::uint64_t seed, std::int64_t count = 503) {
  GlyphOptions o;
  o.count = count;
  o.seed = seed;
  return render_glyphs(glyph_set("digits"), some_fonts(), o);
}

bool equal(const GlyphImages& a, const GlyphImages& b) {
  return std::ranges::equal(a.images.as<std::uint8_t>(), b.images.as<std::uint8_t>()) && a.labels == b.labels;
}

}  // namespace

TEST_CASE("glyphs: the same seed gives the same images on any number of threads, another seed others") {
  const int threads = max_threads();
  set_threads(1);
  const GlyphImages one = digits(7);
  set_threads(3);
  const GlyphImages three = digits(7), other = digits(8);
  set_threads(threads);
  CHECK(equal(one, three));
  CHECK(!equal(one, other));
  // Image i does not depend on how many are drawn.
  const GlyphImages fewer = digits(7, 101);
  CHECK(std::ranges::equal(fewer.images.as<std::uint8_t>(), one.images.as<std::uint8_t>().first(101 * 784)));
}

TEST_CASE("glyphs: classes balanced, every image visible, sized and centred by mass as in MNIST") {
  const GlyphImages g = digits(1);
  REQUIRE(g.images.shape() == Shape{503, 28, 28, 1});
  REQUIRE(g.classes.size() == 10);
  CHECK(g.classes[3] == "3");
  CHECK(g.fonts >= g.families);
  CHECK(g.families >= 1);
  std::vector<int> count(10);
  for (const int label : g.labels) ++count.at(static_cast<std::size_t>(label));
  const auto [least, most] = std::ranges::minmax(count);
  CHECK(most - least <= 1);
  for (std::size_t i = 0; i < 503; ++i) {
    INFO("image " << i);
    const Moments m = moments(g.images.as<std::uint8_t>().subspan(i * 784, 784), 28);
    CHECK(m.mass > 255 * 10);            // a hairline 1 is some 20 pixels
    CHECK(m.mass < 255 * 300);           // three quarters of its box
    CHECK(std::abs(m.x - 13.5) <= 0.6);  // half a pixel by whole-pixel shifts, and the rounding of 784 grey values
    CHECK(std::abs(m.y - 13.5) <= 0.6);
    CHECK(m.longest >= 20);
    CHECK(m.longest <= 21);  // the box may start inside a pixel when counted in grey ones
  }
}

TEST_CASE("glyphs: a character keeps its shape: the class means tell upright digits apart") {
  GlyphOptions o;
  o.count = 400;
  o.distortion = {0, 0, 0, 0, 2.0f, 2.2f};
  const GlyphImages g = render_glyphs(glyph_set("digits"), some_fonts(), o);
  std::vector<double> mean(10 * 784);
  const auto pixels = g.images.as<std::uint8_t>();
  const auto at = [&](std::size_t i, std::size_t p) { return pixels[i * 784 + p] / 255.0; };
  for (std::size_t i = 0; i < 200; ++i)
    for (std::size_t p = 0; p < 784; ++p) mean[(i % 10) * 784 + p] += at(i, p) / 20;
  int right = 0;
  for (std::size_t i = 200; i < 400; ++i) {
    std::size_t best = 0;
    double least = 1e300;
    for (std::size_t c = 0; c < 10; ++c) {
      double d = 0;
      for (std::size_t p = 0; p < 784; ++p) d += (at(i, p) - mean[c * 784 + p]) * (at(i, p) - mean[c * 784 + p]);
      if (d < least) {
        least = d;
        best = c;
      }
    }
    right += best == i % 10;
  }
  CHECK(right >= 190);
}

TEST_CASE("glyphs: drawing follows the outline, by areas known beforehand") {
  // A ring: outer square 1, inner square 1/2 the other way round. Non-zero winding leaves 3/4 of the box.
  const Outline ring = {{{0, 0}, {1, 0}, {1, 1}, {0, 1}}, {{.25f, .25f}, {.25f, .75f}, {.75f, .75f}, {.75f, .25f}}};
  std::vector<float> image(28 * 28, std::nanf(""));
  REQUIRE(draw_glyph(ring, 28, nullptr, image));
  double mass = 0;
  for (const float v : image) mass += v;
  CHECK(std::abs(mass - 300) < 0.5);
  CHECK(image[13 * 28 + 13] == 0.0f);
  CHECK(image[4 * 28 + 4] == 1.0f);
  CHECK(image[3 * 28 + 4] == 0.0f);
  // The same with both squares one way round is a full square: a fill by parity would leave the hole.
  const Outline full = {ring[0], {{.25f, .25f}, {.75f, .25f}, {.75f, .75f}, {.25f, .75f}}};
  REQUIRE(draw_glyph(full, 28, nullptr, image));
  CHECK(image[13 * 28 + 13] == 1.0f);
  // A bar 20 x 5 asked for strokes of 2.5 pixels: thinner than drawn, thicker than a hairline.
  const Outline bar = {{{0, 0}, {4, 0}, {4, 16}, {0, 16}}};
  GlyphWarp warp;
  for (const float wanted : {2.5f, 4.5f, 6.0f}) {
    warp.stroke = wanted;
    REQUIRE(draw_glyph(bar, 28, &warp, image));
    mass = 0;
    for (const float v : image) mass += v;
    // Area over half the perimeter of a w x 20 bar is 20 w / (20 + w); the box is rescaled after the ends moved too.
    INFO("wanted " << wanted << " mass " << mass);
    CHECK(mass > 20 * wanted * 0.8);
    CHECK(mass < 20 * wanted * 1.6);
  }
}

TEST_CASE("glyphs: families are split into disjoint parts") {
  const std::vector<fs::path> fonts = find_fonts(font_folders());
  const std::vector<fs::path> few(fonts.begin(), fonts.begin() + std::min<std::ptrdiff_t>(60, std::ssize(fonts)));
  GlyphOptions o;
  o.count = 10;
  int usable[3] = {0, 0, 0};
  for (const FontPart part : {FontPart::all, FontPart::train, FontPart::held_out}) {
    o.part = part;
    try {
      usable[static_cast<int>(part)] = render_glyphs(glyph_set("digits"), few, o).families;
    } catch (const Error& e) {
      CHECK(has(e.what(), "part"));  // with a handful of families one part may be empty, and says so
    }
  }
  CHECK(usable[0] >= 1);
  CHECK(usable[1] + usable[2] >= 1);
  // "Resembles no other" is judged within a part, so a stranger may be kept in one and not in the other.
  CHECK(std::abs(usable[1] + usable[2] - usable[0]) <= 3);
}

TEST_CASE("glyphs: sets of one's own, and wrong requests") {
  CHECK(glyph_set_of("mine", "aß☺").characters == std::vector<std::string>{"a", "ß", "☺"});
  CHECK(has(error_of([] { glyph_set_of("mine", "aba"); }), "twice"));
  CHECK(has(error_of([] { glyph_set_of("mine", "a"); }), "at least 2"));
  CHECK(has(error_of([] { glyph_set_of("mine", "a\xC3"); }), "UTF-8"));
  CHECK(has(error_of([] { glyph_set_of("mine", "a\xC3z"); }), "UTF-8"));
  CHECK_THROWS_AS(glyph_set("runes"), UsageError);
  CHECK(has(error_of([] { glyph_set("runes"); }), "greek"));
  for (const GlyphSet& set : glyph_sets()) CHECK(set.characters.size() >= 10);
  const auto fonts = some_fonts();
  GlyphOptions o;
  o.count = 9;
  CHECK(has(error_of([&] { render_glyphs(glyph_set("digits"), fonts, o); }), "9 images for 10 classes"));
  o.count = 100;
  o.distortion.stroke_min = std::nanf("");
  CHECK(has(error_of([&] { render_glyphs(glyph_set("digits"), fonts, o); }), "stroke"));
  o.distortion = {};
  o.distortion.shear = std::nanf("");
  CHECK(has(error_of([&] { render_glyphs(glyph_set("digits"), fonts, o); }), "shear"));
  o.distortion = {};
  const std::string message = error_of([&] { render_glyphs(glyph_set_of("none", "\U00010000\U0010FFFD"), fonts, o); });
  CHECK(has(message, "none of"));
  // What is advised is not there yet.
  const auto advice = [&](const std::vector<fs::path>& there) {
    o.part = FontPart::held_out;
    return error_of([&] { render_glyphs(glyph_set("digits"), there, o); });
  };
  const std::string more = advice({"/nowhere/DejaVuSans.ttf"});
  CHECK(has(more, "that test images are drawn from"));
  CHECK(has(more, "apt-get install fonts-freefont-ttf"));
  CHECK_FALSE(has(more, "fonts-dejavu-core"));
  CHECK(has(advice({"/nowhere/DejaVuSans.ttf", "/nowhere/FreeSans.ttf", "/nowhere/NotoSans-Regular.ttf"}),
            "install fonts of other families"));
}

TEST_CASE("glyphs: no font is an error with a remedy") {
  TempFolder f;
  const std::vector<fs::path> folders = {f.path(), f / "missing"};
  const std::string message = error_of([&] { find_fonts(folders); });
  CHECK(has(message, f.path().string()));
  CHECK(has(message, "apt-get install"));
}

TEST_CASE("fonts: cut off, empty, foreign and damaged files are refused or read safely") {
  TempFolder f;
  const auto fonts = some_fonts();
  const fs::path smallest = smallest_of(fonts);
  const std::vector<char> good = bytes_of_file(smallest);
  const fs::path bad = f / "bad.ttf";
  const auto refused = [&](const std::string& why) {
    INFO(why);
    const std::string message = error_of([&] { Font font(bad); });
    CHECK(has(message, "bad.ttf"));
    CHECK(has(message, "another copy"));
  };
  CHECK(has(error_of([&] { Font font(f / "gone.ttf"); }), "gone.ttf"));
  write_bytes(bad, {});
  refused("empty");
  write_bytes(bad, std::vector<char>(4096, 'x'));
  refused("foreign");
  for (const double part : {0.001, 0.01, 0.3, 0.7, 0.99}) {
    write_bytes(bad, std::vector<char>(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(
                                                                        part * static_cast<double>(good.size()))));
    refused("cut off");
  }
  // A damaged font beside good ones is passed over and listed.
  std::vector<fs::path> with_bad = fonts;
  with_bad.push_back(bad);
  GlyphOptions o;
  o.count = 20;
  const GlyphImages g = render_glyphs(glyph_set("digits"), with_bad, o);
  CHECK(std::ranges::any_of(g.skipped, [](const std::string& s) { return has(s, "bad.ttf"); }));
}

TEST_CASE("fonts: overwritten bytes give an error or an outline, never a read outside the file") {
  // The sanitizer build is the judge. One TrueType and, where there is one, one CFF font.
  TempFolder f;
  const fs::path bad = f / "bad.ttf";
  std::vector<fs::path> victims = {smallest_of(some_fonts())}, otf = find_fonts(font_folders());
  std::erase_if(otf, [](const fs::path& p) { return p.extension() != ".otf"; });
  if (!otf.empty()) victims.push_back(smallest_of(otf));
  const std::u32string text = U"0123456789ABCabc\u03b1\u03b2\u03b3";
  for (const fs::path& victim : victims) {
    INFO("victim " << victim.string());
    const std::vector<char> good = bytes_of_file(victim);
    int refusals = 0;
    for (std::uint32_t trial = 0; trial < 120; ++trial) {
      std::vector<char> damaged = good;
      Rng rng(3, trial);
      // Half of the trials aim at the directory and the first tables, where offsets live.
      const bool head = trial % 2 == 0;
      const auto range = static_cast<std::uint32_t>(head ? std::min<std::size_t>(good.size(), 600) : good.size());
      for (int k = 0, n = head ? 3 : 2000; k < n; ++k) damaged[rng.below(range)] = static_cast<char>(rng.next_u32());
      write_bytes(bad, damaged);
      try {
        const Font font(bad);
        for (const char32_t c : text) {
          try {
            if (const int glyph = font.glyph_of(c); glyph != 0) font.outline(glyph);
          } catch (const Error&) {
            ++refusals;
          }
        }
      } catch (const Error&) {
        ++refusals;
      }
    }
    CHECK(refusals > 0);
  }
}

TEST_CASE("fonts: an outline does not depend on what the heap held before") {
  // Some faces have contours of one off-curve point, behind which stb_truetype reads on.
  const auto dirty_heap = [](int junk) {
    std::size_t total = 0;
    for (std::size_t size = 64; size <= 8192; size += 64)
      total += std::vector<char>(size, static_cast<char>(junk)).back() != 0;
    return total;
  };
  const auto numbers = [](const Outline& outline) {
    std::vector<float> out;
    for (const auto& polygon : outline) {
      for (const Point& p : polygon) out.insert(out.end(), {p.x, p.y});
      out.push_back(1e9f);
    }
    return out;
  };
  std::size_t compared = 0, dirtied = 0;
  for (const fs::path& path : find_fonts(font_folders())) {
    try {
      const Font font(path);
      std::vector<std::vector<float>> drawn[2];
      for (const int pass : {0, 1}) {
        dirtied += dirty_heap(pass == 0 ? 0 : 0x41);
        for (char32_t c = U'A'; c <= U'Z'; ++c)
          if (const int glyph = font.glyph_of(c); glyph != 0) drawn[pass].push_back(numbers(font.outline(glyph)));
      }
      CAPTURE(path.string());
      const bool same = drawn[0] == drawn[1];
      CHECK(same);
      compared += drawn[0].size();
    } catch (const Error&) {
      // a font that is refused draws nothing
    }
  }
  CHECK(compared > 0);
  CHECK(dirtied > 0);
}
