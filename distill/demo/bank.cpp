#include "distill/demo/bank.hpp"

#include <algorithm>

#include "engine/io/json.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

constexpr const char* kRecipe = "bank-3";  // raise when what a recipe makes changes
constexpr const char* kNotMade = "it was never made";

/// At most `limit` images of a set, drawn at random.
ImageSet sample(ImageSet set, std::int64_t limit, std::uint64_t seed) {
  constexpr std::uint32_t kStream = 0x62616e6b;  // "bank"
  const std::int64_t n = set.images.shape()[0];
  if (n <= limit) return set;
  Indices some = permutation(n, seed, kStream);
  some.resize(static_cast<std::size_t>(limit));
  return pick_images(set, some);
}

/// Names and sizes of the fonts: who adds or changes one gets other pictures.
std::string fonts_digest() {
  std::string text;
  std::error_code none;
  for (const std::filesystem::path& font : find_fonts(font_folders()))
    text += fmt::format("{} {}\n", font.string(), std::filesystem::file_size(font, none));
  return sha256_hex(text);
}

/// `images`: what tells the source's images apart, beside the options.
Json recipe_of(const BankOptions& o, const std::string& name, const std::string& images) {
  return {{"recipe", kRecipe},
          {"name", name},
          {"fonts", static_cast<int>(o.fonts)},
          {"data", images},
          {"images", o.images},
          {"test_images", o.test_images},
          {"side", o.side},
          {"settings", settings_of_source(o.settings)}};
}

/// What of the source is no longer as `recipe` makes it: "" where all is, kNotMade where there is none. The recipe that
/// lies beside a model vouches for that very file, by its digest.
std::string changes(const std::filesystem::path& model, const std::filesystem::path& mark, const Json& recipe) {
  if (!is_there(model) || !is_there(mark)) return kNotMade;
  std::string damage;
  std::optional<Json> before = read_sealed(mark, [&](const std::string& line) { damage = line; });
  if (!before) return damage;
  const std::string hash = before->value("model", "");
  before->erase("model");
  if (std::string changed = settings_changes(*before, recipe); !changed.empty()) return changed;
  return sha256_file(model) == hash ? "" : model.string() + " is not the file that was made by it";
}

/// Goes on with a source that was stopped, where it is the same one.
Place place_of(const BankOptions& o, const std::string& name, const std::string& recipe, const Events& events) {
  Place place{.checkpoint = o.folder / (name + ".checkpoint"),
              .checkpoint_every = o.settings.checkpoint_every,
              .fingerprint = recipe};
  try {
    place.resume = is_checkpoint_of(place.checkpoint, recipe);
  } catch (const Error& e) {
    say(events, fmt::format("warning: {}; source {} is trained anew", e.what(), name));
  }
  if (!place.resume) remove_checkpoint(place.checkpoint);
  return place;
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
  const ClassifierOptions classifier = classifier_of(options.settings);
  const std::uint64_t seed = classifier.seed;
  Schedule schedule = classifier.train.schedule;  // of a full set: what cannot be is said before a source is trained
  schedule.steps = std::max<std::int64_t>(1, classifier.epochs * options.images / classifier.batch);
  schedule.check();
  struct Recipe {
    std::string name;
    std::string content;  // digest of the data set, or of the fonts
    std::function<std::pair<ImageSet, ImageSet>()> images;
  };
  std::vector<Recipe> recipes;
  const std::string fonts = options.glyphs.empty() ? "" : fonts_digest();
  for (const std::string& set : options.glyphs)
    recipes.push_back({set, fonts, [&options, seed, set] {
                         return glyph_task(set, options.fonts, options.images, options.test_images, options.side, seed);
                       }});
  for (const char* name : {"fashion", "cifar10"}) {
    const std::filesystem::path data = options.data / name;
    if (!is_there(data)) {
      missing.emplace_back(name);
      continue;
    }
    recipes.push_back({name, sha256_of_path(data), [&options, &events, seed, data] {
                         const ImageFormat format{.height = options.side, .width = options.side, .channels = 1};
                         std::vector<ImageSet> sets = load_splits(data, {Split::train, Split::test}, format);
                         say(events, sets[0].account, sets[0].source);
                         return std::pair{sample(std::move(sets[0]), options.images, seed),
                                          sample(std::move(sets[1]), options.test_images, seed)};
                       }});
  }
  AKIN_CHECK(!recipes.empty(), "{}: neither fashion/ nor cifar10/ is there, and no characters are asked for: no source",
             options.data.string());
  std::vector<std::filesystem::path> out;
  double trained_before = 0;
  for (const Recipe& recipe : recipes) {
    const std::filesystem::path model = options.folder / (recipe.name + ".safetensors"),
                                mark = options.folder / (recipe.name + ".recipe");
    Json wanted = recipe_of(options, recipe.name, recipe.content);
    out.push_back(model);
    const std::string why = changes(model, mark, wanted);
    if (why.empty()) {
      say(events, "source " + recipe.name + ": there from an earlier run");
      continue;
    }
    if (why != kNotMade) say(events, fmt::format("source {}: made anew, for {}", recipe.name, why));
    const auto [train_set, test_set] = recipe.images();
    const std::int64_t steps =
        std::max<std::int64_t>(1, classifier.epochs * train_set.images.shape()[0] / classifier.batch);
    TrainHooks hooks;
    hooks.stop = events.stop;
    begin_piece(events, {"sources", recipe.name, std::ssize(out), std::ssize(recipes), trained_before, 1,
                         trained_before + static_cast<double>(recipes.size() - out.size() + 1)});
    ++trained_before;
    hooks.progress = [&](std::int64_t done, double loss) {
      if (events.progress)
        events.progress("source " + recipe.name, done, steps, "steps", fmt::format("loss {:.3f}", loss));
    };
    const Place place = place_of(options, recipe.name, wanted.dump(), events);
    TrainedClassifier trained = train_classifier(ctx, train_set, classifier, hooks, place);
    if (!trained.result.finished) return {};
    trained.model.info.test_accuracy = evaluate_model(ctx, trained.model, test_set);
    remove_file(mark);
    save_model(model, *trained.model.network, trained.model.info);
    wanted["model"] = sha256_file(model);
    write_sealed(mark, wanted);
    remove_checkpoint(place.checkpoint);
    say(events, fmt::format("source {}: {} classes, {:.1f} % right on its own test images", recipe.name,
                            train_set.classes.size(), 100 * trained.model.info.test_accuracy));
  }
  end_pieces(events);
  return out;
}

}  // namespace akin
