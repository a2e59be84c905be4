#include "nn/data/glyphs/glyphs.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <system_error>

#include "engine/io/nearest_name.hpp"
#include "kernels/common/parallel.hpp"
#include "nn/data/glyphs/font.hpp"
#include "nn/data/glyphs/raster.hpp"

namespace akin {
namespace {

namespace fs = std::filesystem;

/// Decodes UTF-8 into characters, each with its own bytes.
std::vector<std::pair<char32_t, std::string>> decode(const std::string& text) {
  std::vector<std::pair<char32_t, std::string>> out;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t n = lead < 0x80                   ? 1
                          : lead >= 0xC2 && lead < 0xE0 ? 2
                          : lead >= 0xE0 && lead < 0xF0 ? 3
                          : lead >= 0xF0 && lead < 0xF5 ? 4
                                                        : 0;
    AKIN_CHECK(n > 0 && i + n <= text.size(), "characters: byte {} of \"{}\" is not UTF-8", i, text);
    char32_t c = n == 1 ? lead : lead & (0xFFu >> (n + 1));
    for (std::size_t k = 1; k < n; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      AKIN_CHECK((next & 0xC0u) == 0x80u, "characters: byte {} of \"{}\" is not UTF-8", i + k, text);
      c = c << 6 | (next & 0x3Fu);
    }
    out.emplace_back(c, text.substr(i, n));
    i += n;
  }
  return out;
}

std::uint32_t hash_of(const std::string& text) {  // FNV-1a
  std::uint32_t h = 2166136261u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 16777619u;
  return h;
}

constexpr std::size_t kFacesPerFamily = 6;

struct Face {
  std::string file, family;
  std::vector<Outline> outlines;          // one a class
  std::vector<std::vector<float>> plain;  // the undistorted image of each, to compare faces with
};

/// Empty if the face can be used for the set, otherwise why it cannot.
std::string load_face(const Font& font, const std::vector<char32_t>& characters, Face& face) {
  const auto code = [](char32_t c) { return fmt::format("U+{:04X}", static_cast<std::uint32_t>(c)); };
  try {
    face.file = font.path().filename().string();
    face.family = font.family();
    for (const char32_t c : characters) {
      const int glyph = font.glyph_of(c);
      if (glyph == 0) return "no character " + code(c);
      face.outlines.push_back(font.outline(glyph));
      if (face.outlines.back().empty()) return code(c) + " is blank";
      std::vector<float> image(28 * 28);
      if (!draw_glyph(face.outlines.back(), 28, nullptr, image)) return code(c) + " is too small to see";
      for (std::size_t other = 0; other < face.plain.size(); ++other)
        if (face.plain[other] == image) return code(characters[other]) + " and " + code(c) + " are drawn alike";
      face.plain.push_back(std::move(image));
    }
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

/// The faces to draw from: those of the wanted part, at most kFacesPerFamily of a family.
std::vector<Face> load_faces(std::span<const fs::path> paths, const std::vector<char32_t>& characters, FontPart part,
                             std::vector<std::string>& skipped) {
  const auto n = static_cast<std::int64_t>(paths.size());
  std::vector<std::optional<Font>> fonts(paths.size());
  std::vector<std::string> why(paths.size());
  parallel_for(n, 4, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      try {
        fonts[i].emplace(paths[i]);
        const bool held_out = hash_of(fonts[i]->family()) % 5 == 0;
        if (part != FontPart::all && held_out != (part == FontPart::held_out)) {
          why[i] = "its family is in the other part";
        } else if (fonts[i]->glyph_of(characters[0]) == 0) {
          why[i] = "no character of the set";
        }
      } catch (const Error& e) {
        why[i] = e.what();
      }
    }
  });
  // A family of thirty weights gives a few spread over its list.
  std::map<std::string, std::vector<std::size_t>> families;
  for (std::size_t i = 0; i < fonts.size(); ++i)
    if (why[i].empty()) families[fonts[i]->family()].push_back(i);
  for (const auto& [name, members] : families)
    for (std::size_t k = 0; k < members.size() && members.size() > kFacesPerFamily; ++k)
      if (k * kFacesPerFamily % members.size() >= kFacesPerFamily) why[members[k]] = "enough faces of its family";

  std::vector<Face> faces(paths.size()), kept;
  parallel_for(n, 4, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      if (why[i].empty()) why[i] = load_face(*fonts[i], characters, faces[i]);
  });
  std::set<std::vector<std::vector<float>>> seen;  // the same face is often installed as .ttf and .otf
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (why[i].empty() && !seen.insert(faces[i].plain).second) why[i] = "the same face as another file";
    if (why[i].empty()) {
      kept.push_back(std::move(faces[i]));
    } else {
      skipped.push_back(fmt::format("{}: {}", paths[i].filename().string(), why[i]));
    }
  }
  return kept;
}

float correlation(const std::vector<float>& a, const std::vector<double>& b) {
  const double n = static_cast<double>(a.size());
  double sa = 0, sb = 0, aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sa += a[i];
    sb += b[i];
    aa += double{a[i]} * a[i];
    bb += b[i] * b[i];
    ab += a[i] * b[i];
  }
  const double d = (aa - sa * sa / n) * (bb - sb * sb / n);
  return d > 0 ? static_cast<float>((ab - sa * sb / n) / std::sqrt(d)) : 0.0f;
}

/// Symbol, cipher and barcode fonts answer to letters too: they are the ones that look like nobody else.
void drop_strangers(std::vector<Face>& faces, std::vector<std::string>& skipped) {
  constexpr float kLeast = 0.28f;  // mean over classes: a keyboard font has 0.1 to 0.27, handwriting 0.3 and more
  if (faces.size() < 8) return;
  const std::size_t classes = faces[0].plain.size(), pixels = faces[0].plain[0].size();
  std::vector<float> mean(faces.size(), 0.0f);
  for (std::size_t c = 0; c < classes; ++c) {
    std::vector<double> sum(pixels, 0.0);
    for (const Face& f : faces)
      for (std::size_t p = 0; p < pixels; ++p) sum[p] += f.plain[c][p];
    for (std::size_t i = 0; i < faces.size(); ++i)
      mean[i] += correlation(faces[i].plain[c], sum) / static_cast<float>(classes);
  }
  std::vector<Face> kept;
  for (std::size_t i = 0; i < faces.size(); ++i) {
    if (mean[i] >= kLeast)
      kept.push_back(std::move(faces[i]));
    else
      skipped.push_back(fmt::format("{}: resembles no other font (correlation {:.2f})", faces[i].file, mean[i]));
  }
  faces = std::move(kept);
}

std::string joined(const std::vector<std::string>& parts, std::size_t most) {
  std::string out;
  for (std::size_t i = 0; i < std::min(parts.size(), most); ++i) out += "\n  " + parts[i];
  if (parts.size() > most) out += fmt::format("\n  and {} more", parts.size() - most);
  return out;
}

/// What may bring the characters: packages whose fonts are not there.
std::string more_fonts(std::span<const fs::path> fonts) {
  constexpr std::pair<const char*, const char*> kPackages[] = {
      {"DejaVu", "fonts-dejavu-core"}, {"Free", "fonts-freefont-ttf"}, {"Noto", "fonts-noto-core"}};
  std::vector<std::string> missing;
  for (const auto& [begin, package] : kPackages)
    if (std::none_of(fonts.begin(), fonts.end(),
                     [&, b = begin](const fs::path& font) { return font.filename().string().starts_with(b); }))
      missing.emplace_back(package);
  return missing.empty()
             ? "fonts of other families that have these characters"
             : fmt::format("a font that has these characters, for example apt-get install {}", fmt::join(missing, " "));
}

}  // namespace

GlyphSet glyph_set_of(const std::string& name, const std::string& text) {
  GlyphSet set{name, {}};
  std::set<char32_t> seen;
  for (auto& [c, bytes] : decode(text)) {
    AKIN_CHECK(seen.insert(c).second, "character set {}: \"{}\" is there twice; every character is a class of its own",
               name, bytes);
    set.characters.push_back(bytes);
  }
  AKIN_CHECK(set.characters.size() >= 2, "character set {}: {} characters, a task needs at least 2", name,
             set.characters.size());
  return set;
}

const std::vector<GlyphSet>& glyph_sets() {
  static const std::vector<GlyphSet> sets = {
      glyph_set_of("digits", "0123456789"),
      glyph_set_of("capitals", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
      glyph_set_of("lower", "abcdefghijklmnopqrstuvwxyz"),
      glyph_set_of("greek", "αβγδεζηθικλμνξοπρστυφχψω"),
      glyph_set_of("greek-capitals", "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"),
      glyph_set_of("cyrillic", "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"),
      glyph_set_of("cyrillic-lower", "абвгдежзийклмнопрстуфхцчшщъыьэюя"),
      glyph_set_of("armenian", "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ"),
      glyph_set_of("georgian", "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ"),
      glyph_set_of("hebrew", "אבגדהוזחטיכלמנסעפצקרשת"),
      glyph_set_of("punctuation", "!#$%&()*+/<=>?@[]{}"),
  };
  return sets;
}

const GlyphSet& glyph_set(const std::string& name) {
  std::vector<std::string> names;
  for (const GlyphSet& set : glyph_sets()) {
    if (set.name == name) return set;
    names.push_back(set.name);
  }
  fail_usage("no character set \"{}\"{}; there are {}", name, did_you_mean(name, names), fmt::join(names, ", "));
}

std::vector<fs::path> font_folders(const fs::path& home) {
  std::vector<fs::path> folders = {"/usr/share/fonts", "/usr/local/share/fonts"};
  if (!home.empty()) folders.push_back(home / ".local/share/fonts"), folders.push_back(home / ".fonts");
  return folders;
}

std::vector<fs::path> find_fonts(std::span<const fs::path> folders) {
  std::vector<fs::path> fonts;
  std::string searched;
  for (const fs::path& folder : folders) {
    searched += (searched.empty() ? "" : ", ") + folder.string();
    std::error_code ec;
    for (fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, ec), end;
         !ec && it != end; it.increment(ec)) {
      std::string extension = it->path().extension().string();
      for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      std::error_code not_a_file;
      if ((extension == ".ttf" || extension == ".otf" || extension == ".ttc") && it->is_regular_file(not_a_file))
        fonts.push_back(it->path());
    }
  }
  AKIN_CHECK(!fonts.empty(),
             "no font (.ttf, .otf, .ttc) below {}: install some, for example apt-get install fonts-dejavu-core",
             searched.empty() ? "no folder at all" : searched);
  std::sort(fonts.begin(), fonts.end(), [](const fs::path& a, const fs::path& b) {
    const auto x = a.filename().string(), y = b.filename().string();
    return x != y ? x < y : a < b;
  });
  return fonts;
}

GlyphImages render_glyphs(const GlyphSet& set, std::span<const fs::path> fonts, const GlyphOptions& options) {
  const auto classes = static_cast<std::int64_t>(set.characters.size());
  AKIN_CHECK(classes >= 2, "character set {}: {} characters, a task needs at least 2", set.name, classes);
  AKIN_CHECK(options.count >= classes, "character set {}: {} images for {} classes; ask for at least one a class",
             set.name, options.count, classes);
  AKIN_CHECK(options.size >= 8 && options.size <= 256, "image side {}: expected 8 to 256", options.size);
  const GlyphDistortion& d = options.distortion;
  AKIN_CHECK(d.stroke_min > 0 && d.stroke_max >= d.stroke_min && d.stroke_max <= 8,
             "stroke width {} to {} pixels: expected 0 < smallest <= largest <= 8", d.stroke_min, d.stroke_max);
  AKIN_CHECK(
      d.shear >= 0 && d.shear <= 2 && d.rotation >= 0 && d.rotation <= 3.2f && d.stretch >= 0 && d.stretch <= 1.5f &&
          d.elastic >= 0 && d.elastic <= 5,
      "distortion: expected shear 0 to 2, rotation 0 to 3.2, stretch 0 to 1.5, elastic 0 to 5; got {}, {}, {}, {}",
      d.shear, d.rotation, d.stretch, d.elastic);
  std::vector<char32_t> characters;
  for (const std::string& c : set.characters) {
    const auto decoded = decode(c);
    AKIN_CHECK(decoded.size() == 1, "character set {}: \"{}\" is not one character", set.name, c);
    characters.push_back(decoded[0].first);
  }

  GlyphImages out;
  std::vector<Face> faces = load_faces(fonts, characters, options.part, out.skipped);
  drop_strangers(faces, out.skipped);
  AKIN_CHECK(!faces.empty(), "character set {}: none of {} fonts can draw it{}; install {}{}", set.name, fonts.size(),
             options.part == FontPart::all ? ""
             : options.part == FontPart::held_out
                 ? " in the part of the families that test images are drawn from (a fifth, by their names)"
                 : " in the part of the families that training images are drawn from (four fifths, by their names)",
             more_fonts(fonts), joined(out.skipped, 5));

  // Families first, then faces: a design with thirty weights is still one design.
  std::map<std::string, std::vector<const Face*>> by_family;
  for (const Face& f : faces) by_family[f.family].push_back(&f);
  std::vector<const std::vector<const Face*>*> families;
  for (const auto& [name, members] : by_family) families.push_back(&members);
  out.fonts = static_cast<int>(faces.size());
  out.families = static_cast<int>(families.size());
  out.classes = set.characters;
  out.name = set.name;
  out.source = fmt::format("{} of {} fonts", out.fonts, fonts.size());
  out.images = Array(DType::u8, Shape{options.count, options.size, options.size, 1});
  out.labels.resize(static_cast<std::size_t>(options.count));
  const std::span<std::uint8_t> pixels = out.images.as<std::uint8_t>();
  const auto side = static_cast<std::size_t>(options.size);
  parallel_for(options.count, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> image(side * side);
    for (std::int64_t i = begin; i < end; ++i) {
      const auto label = static_cast<std::size_t>(i % classes);
      Rng rng(options.seed, 0, static_cast<std::uint64_t>(i));
      bool drawn = false;
      for (int attempt = 0; !drawn && attempt < 8; ++attempt) {
        const auto& family = *families[rng.below(static_cast<std::uint32_t>(families.size()))];
        const Face& face = *family[rng.below(static_cast<std::uint32_t>(family.size()))];
        GlyphWarp warp = draw_warp(d, rng);
        drawn = draw_glyph(face.outlines[label], options.size, &warp, image);
      }
      if (!drawn) draw_glyph(faces[0].outlines[label], options.size, nullptr, image);
      out.labels[static_cast<std::size_t>(i)] = static_cast<int>(label);
      std::uint8_t* to = pixels.data() + static_cast<std::size_t>(i) * side * side;
      for (std::size_t p = 0; p < side * side; ++p) to[p] = static_cast<std::uint8_t>(std::lround(255.0f * image[p]));
    }
  });
  return out;
}

}  // namespace akin
