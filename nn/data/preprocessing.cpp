#include "nn/data/preprocessing.hpp"

#include "engine/io/json.hpp"

namespace akin {

ImageFormat format_of(const Preprocessing& p) {
  ImageFormat f;
  f.height = static_cast<int>(p.height);
  f.width = static_cast<int>(p.width);
  f.channels = p.channels == 1 ? 1 : 3;
  f.fit = p.fit;
  return f;
}

std::string fit_in_words(const Preprocessing& p) {
  const std::string filter = fmt::format("{}, antialiased", name_of(p.fit.filter));
  if (p.fit.stretch) return fmt::format("the whole picture, resized to {}x{} ({})", p.height, p.width, filter);
  const std::string part =
      p.fit.crop == 1 ? "the largest centred part" : fmt::format("the middle {:g} of the largest part", p.fit.crop);
  return fmt::format("{} in the shape of {}x{} (height x width), resized to it ({})", part, p.height, p.width, filter);
}

std::string prepare_in_python(const Preprocessing& p) {
  std::string text = fmt::format(
      "from PIL import Image, ImageOps\n"
      "def prepare(path):\n"
      "    picture = ImageOps.exif_transpose(Image.open(path)).convert(\"{}\")\n",
      p.channels == 1 ? "L" : "RGB");
  const char* filter = p.fit.filter == Filter::bicubic ? "BICUBIC" : "BILINEAR";
  if (p.fit.stretch)
    return text + fmt::format("    return picture.resize(({}, {}), Image.{})\n", p.width, p.height, filter);
  text +=
      fmt::format("    w, h = picture.size  # cut the {} part in the shape of {}x{} (width x height), then resize\n",
                  p.fit.crop == 1 ? "largest centred" : "middle", p.width, p.height);
  // Whole numbers as resize_and_crop rounds them.
  const std::string wide = fmt::format("min(w, max(1, (2 * h * {0} + {1}) // (2 * {1})))", p.width, p.height);
  const std::string high = fmt::format("min(h, max(1, (2 * w * {0} + {1}) // (2 * {1})))", p.height, p.width);
  text += fmt::format("    cw, ch = {}, {}\n", wide, high);
  if (p.fit.crop != 1)
    text += fmt::format("    cw, ch = max(1, int(cw * {0} + 0.5)), max(1, int(ch * {0} + 0.5))\n", p.fit.crop);
  text += "    x, y = (w - cw) // 2, (h - ch) // 2\n";
  return text + fmt::format("    return picture.resize(({}, {}), Image.{}, box=(x, y, x + cw, y + ch))\n", p.width,
                            p.height, filter);
}

std::string preprocessing_json(const Preprocessing& p) {
  return json_line({{"height", p.height},
                    {"width", p.width},
                    {"channels", p.channels},
                    {"crop", p.fit.stretch ? Json("none") : Json(p.fit.crop)},
                    {"filter", name_of(p.fit.filter)},
                    {"mean", p.normalization.mean},
                    {"std", p.normalization.std}});
}

const char* name_of(Filter filter) { return filter == Filter::bicubic ? "bicubic" : "bilinear"; }

Filter filter_of(const std::string& name, const std::string& where) {
  for (const Filter filter : {Filter::bilinear, Filter::bicubic})
    if (name == name_of(filter)) return filter;
  fail("{}: its filter is '{}', expected bilinear or bicubic", where, name);
}

}  // namespace akin
