#include "distill/demo/bank.hpp"

#include <algorithm>
#include <cstring>

#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

constexpr const char* kRecipe = "bank-1";  // raise when what a recipe makes changes

/// At most `limit` images of a set, drawn at random.
ImageSet sample(ImageSet set, std::int64_t limit, std::uint64_t seed) {
  constexpr std::uint32_t kStream = 0x62616e6b;  // "bank"
  const Shape s = set.images.shape();
  if (s[0] <= limit) return set;
  Array images(DType::u8, {limit, s[1], s[2], s[3]});
  std::vector<int> labels;
  const Indices order = permutation(s[0], seed, kStream);
  const auto row = static_cast<std::size_t>(s[1] * s[2] * s[3]);
  for (std::size_t i = 0; i < static_cast<std::size_t>(limit); ++i) {
    std::memcpy(images.bytes() + i * row, set.images.bytes() + static_cast<std::size_t>(order[i]) * row, row);
    labels.push_back(set.labels[static_cast<std::size_t>(order[i])]);
  }
  set.images = std::move(images);
  set.labels = std::move(labels);
  return set;
}

/// Digest of the names and contents of all files of a folder.
std::string content_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::string text;
  for (const auto& file : files)
    text += fmt::format("{} {}\n", file.lexically_relative(folder).generic_string(), sha256_file(file));
  return sha256_hex(text);
}

/// `images`: what tells the source's images apart, beside the options.
std::string fingerprint(const BankOptions& o, const std::string& name, const std::string& images) {
  const ClassifierOptions& c = o.classifier;
  const Schedule& s = c.train.schedule;
  const OptimizerOptions& p = c.train.optimizer;
  std::string text = fmt::format("{}|{}|{}|{}|{}|{}|{}|", kRecipe, name, static_cast<int>(o.fonts), images, o.images,
                                 o.test_images, o.side);
  text += fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|", c.architecture.name, c.architecture.width, c.architecture.shortcut,
                      c.epochs, c.batch, c.seed, c.augment, c.flip);
  text += fmt::format("{}|{}|{}|{}|{}|", s.kind, s.base, s.warmup, s.gamma, fmt::join(s.milestones, ","));
  text += fmt::format("{}|{}|{}|{}|{}|{}", p.kind, p.momentum, p.nesterov, p.weight_decay, p.decay_all, p.clip_norm);
  return sha256_hex(text);
}

bool is_made(const std::filesystem::path& model, const std::filesystem::path& mark, const std::string& fp) {
  return std::filesystem::exists(model) && std::filesystem::exists(mark) && read_text(mark) == fp + "\n";
}

}  // namespace

std::pair<ImageSet, ImageSet> glyph_task(const std::string& set, FontPart part, std::int64_t train, std::int64_t test,
                                         int side, std::uint64_t seed) {
  const std::vector<std::filesystem::path> fonts = find_fonts(font_folders());
  GlyphOptions options;
  options.count = train;
  options.size = side;
  options.seed = 2 * seed;
  options.part = part;
  ImageSet a = render_glyphs(glyph_set(set), fonts, options);
  options.count = test;
  options.seed = 2 * seed + 1;
  ImageSet b = render_glyphs(glyph_set(set), fonts, options);
  a.name = b.name = set;
  return {std::move(a), std::move(b)};
}

std::vector<std::filesystem::path> make_bank(Context& ctx, const BankOptions& options, const Events& events,
                                             std::vector<std::string>& missing) {
  make_folder(options.folder);
  struct Recipe {
    std::string name;
    std::string content;  // digest of the data set, or the number of fonts
    std::function<std::pair<ImageSet, ImageSet>()> images;
  };
  std::vector<Recipe> recipes;
  const std::string fonts = options.glyphs.empty() ? "" : std::to_string(find_fonts(font_folders()).size());
  for (const std::string& set : options.glyphs)
    recipes.push_back({set, fonts, [&options, set] {
                         return glyph_task(set, options.fonts, options.images, options.test_images, options.side,
                                           options.classifier.seed);
                       }});
  for (const char* name : {"fashion", "cifar10"}) {
    const std::filesystem::path data = options.data / name;
    if (!std::filesystem::exists(data)) {
      missing.emplace_back(name);
      continue;
    }
    recipes.push_back(
        {name, content_of(data), [&options, data] {
           const ImageFormat format{.height = options.side, .width = options.side, .channels = 1};
           return std::pair{
               sample(load_images(data, Split::train, format), options.images, options.classifier.seed),
               sample(load_images(data, Split::test, format), options.test_images, options.classifier.seed)};
         }});
  }
  AKIN_CHECK(!recipes.empty(), "{}: neither fashion/ nor cifar10/ is there, and no characters are asked for: no source",
             options.data.string());
  std::vector<std::filesystem::path> out;
  for (const Recipe& recipe : recipes) {
    const std::filesystem::path model = options.folder / (recipe.name + ".safetensors"),
                                mark = options.folder / (recipe.name + ".recipe");
    const std::string fp = fingerprint(options, recipe.name, recipe.content);
    out.push_back(model);
    if (is_made(model, mark, fp)) {
      if (events.stage) events.stage("source " + recipe.name + ": there from an earlier run");
      continue;
    }
    const auto [train_set, test_set] = recipe.images();
    ClassifierOptions classifier = options.classifier;
    const std::int64_t steps =
        std::max<std::int64_t>(1, classifier.epochs * train_set.images.shape()[0] / classifier.batch);
    TrainHooks hooks;
    hooks.stop = events.stop;
    hooks.progress = [&](std::int64_t done, double loss) {
      if (events.progress)
        events.progress("source " + recipe.name, done, steps, "steps", fmt::format("loss {:.3f}", loss));
    };
    TrainedClassifier trained = train_classifier(ctx, train_set, classifier, hooks);
    if (!trained.result.finished) return {};
    trained.model.info.test_accuracy = evaluate_model(ctx, trained.model, test_set);
    std::filesystem::remove(mark);
    save_model(model, *trained.model.network, trained.model.info);
    write_file_atomic(mark, std::string_view(fp + "\n"));
    if (events.stage)
      events.stage(fmt::format("source {}: {} classes, {:.1f} % right on its own test images", recipe.name,
                               train_set.classes.size(), 100 * trained.model.info.test_accuracy));
  }
  return out;
}

}  // namespace akin
