// akin data: drawn characters, other people's data sets brought to one form, and a look at what a folder holds.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/data_json.hpp"
#include "apps/flags.hpp"
#include "apps/run_folder.hpp"
#include "apps/value_lists.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "kernels/common/parallel.hpp"
#include "nn/data/glyphs/glyphs.hpp"
#include "nn/data/png_sheets.hpp"
#include "nn/data/same_form.hpp"
#include "nn/data/set_writer.hpp"
#include "nn/data/split_files.hpp"
#include "nn/evaluate.hpp"

namespace akin {

namespace {

// --- glyphs ---------------------------------------------------------------------------------------------------------

struct GlyphsOptions {
  CommonOptions common;
  std::string set = "digits", characters, out;
  GlyphOptions draw;
  std::int64_t test_count = 2000;
  bool force = false;
};

void draw_glyphs(const GlyphsOptions& o) {
  SetWriter writer(o.out, o.force);
  if (o.common.threads > 0) start(o.common);
  const GlyphSet set = o.characters.empty() ? glyph_set(o.set) : glyph_set_of("custom", o.characters);
  const char* home = std::getenv("HOME");
  const std::vector<std::filesystem::path> fonts = find_fonts(font_folders(home != nullptr ? home : ""));
  const auto draw = [&](FontPart part, std::int64_t count, std::uint64_t seed) {
    GlyphOptions options = o.draw;
    options.part = part;
    options.count = count;
    options.seed = seed;
    say(o.common, fmt::format("drawing {} characters of '{}'", count, set.name));
    return render_glyphs(set, fonts, options);
  };
  // The test split shows fonts that the training split has never seen; they are few, so whether there are any is first.
  const GlyphImages test = draw(FontPart::held_out, o.test_count, o.draw.seed + 1);
  const GlyphImages train = draw(FontPart::train, o.draw.count, o.draw.seed);
  writer.write(test, Split::test);
  writer.write(train, Split::train);
  writer.finish();
  if (o.common.json)
    print(json_text({{"folder", o.out},
                     {"classes", set.characters},
                     {"train", {{"images", o.draw.count}, {"fonts", train.fonts}, {"families", train.families}}},
                     {"test", {{"images", o.test_count}, {"fonts", test.fonts}, {"families", test.families}}},
                     {"fonts_skipped", train.skipped}}));
  else
    print(fmt::format("{}: {} classes, {} training images from {} fonts, {} test images from {} others\n", o.out,
                      set.characters.size(), o.draw.count, train.fonts, o.test_count, test.fonts));
}

constexpr std::int64_t kMostGlyphs = 10'000'000;

void add_glyphs(CLI::App& data) {
  CLI::App* app = data.add_subcommand("glyphs", "Draw printed characters from the installed fonts, distorted");
  const auto o = std::make_shared<GlyphsOptions>();
  std::vector<std::string> names;
  for (const GlyphSet& s : glyph_sets()) names.push_back(s.name);
  app->add_option("--set", o->set, fmt::format("{}", fmt::join(names, ", ")));
  app->add_option("--characters", o->characters, "A set of your own: each character of this text is a class");
  app->add_option("--count", o->draw.count, "Training images")->transform(whole_in(1, kMostGlyphs));
  app->add_option("--test-count", o->test_count, "Test images, from fonts held out of training")
      ->transform(whole_in(1, kMostGlyphs));
  app->add_option("--side", o->draw.size, "Height and width of an image, pixels")->transform(whole_in(8, 256));
  app->add_option("--seed", o->draw.seed, "Of everything drawn at random")
      ->transform(whole_in(0, std::numeric_limits<std::int64_t>::max()));
  app->add_option("--out", o->out, "Folder of the data set")->required()->type_name("DIR");
  app->add_flag("--force", o->force, "Replace a data set that is there");
  app->add_option("--threads", o->common.threads, "0: OMP_NUM_THREADS, or the processors at hand")
      ->transform(whole_in(0, kMostThreads))
      ->group("General");
  add_output(*app, o->common);
  app->footer("Example:\n  akin data glyphs --set digits --count 15000 --seed 0 --out data/digits");
  app->callback([o] { draw_glyphs(*o); });
}

// --- convert-sheets -------------------------------------------------------------------------------------------------

void add_sheets(CLI::App& data) {
  CLI::App* app = data.add_subcommand("convert-sheets", "Turn CIFAR-10's PNG sheets (one image a row) into IDX files");
  struct Options {
    std::string from, out;
  };
  const auto o = std::make_shared<Options>();
  app->add_option("--from", o->from, "Folder with data_batch_1.png ... and train_lables.json")
      ->required()
      ->type_name("DIR");
  app->add_option("--out", o->out, "Folder of the data set")->required()->type_name("DIR");
  app->footer("Example:\n  akin data convert-sheets --from package --out data/cifar10");
  app->callback([o] {
    convert_cifar10_sheets(o->from, o->out);
    print(o->out + ": CIFAR-10 as IDX files\n");
  });
}

// --- show -----------------------------------------------------------------------------------------------------------

struct ShowOptions {
  CommonOptions common;
  FormatFlags format;
  std::string folder, png;
  int columns = 12;
  bool force = false;
};

std::vector<std::int64_t> class_counts(const ImageSet& set) {
  std::vector<std::int64_t> counts(set.classes.size());
  for (const int label : set.labels) ++counts[static_cast<std::size_t>(label)];
  return counts;
}

/// The first `columns` training images of each class, a class a row, one dark pixel between them.
Array contact_sheet(const ImageSet& set, int columns) {
  const Shape& s = set.images.shape();
  const std::int64_t H = s[1], W = s[2], C = s[3], rows = static_cast<std::int64_t>(set.classes.size());
  Array sheet(DType::u8, {rows * (H + 1) - 1, columns * (W + 1) - 1, C});
  const auto from = set.images.as<std::uint8_t>();
  const auto to = sheet.as<std::uint8_t>();
  std::fill(to.begin(), to.end(), std::uint8_t{40});
  std::vector<std::int64_t> used(static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < set.labels.size(); ++i) {
    const std::int64_t row = set.labels[i], column = used[static_cast<std::size_t>(row)]++;
    if (column >= columns) continue;
    for (std::int64_t h = 0; h < H; ++h) {
      const std::int64_t at = ((row * (H + 1) + h) * sheet.shape()[1] + column * (W + 1)) * C;
      std::memcpy(&to[static_cast<std::size_t>(at)],
                  &from[static_cast<std::size_t>((static_cast<std::int64_t>(i) * H + h) * W * C)],
                  static_cast<std::size_t>(W * C));
    }
  }
  return sheet;
}

void show(const ShowOptions& o) {
  if (!o.png.empty()) {
    check_outside(o.png, o.folder);
    check_output_file(o.png, o.force, {});
  }
  Json splits = Json::object();
  std::string text;
  ImageSet labelled;
  std::vector<std::vector<std::int64_t>> counts;
  std::vector<TextTable::Column> columns{{"class"}};
  const std::vector<Split> there = splits_there(o.folder);
  std::vector<ImageSet> sets = load_splits(o.folder, there, o.format.format());
  tell(o.common, sets[0]);
  const Json account = json_of(sets[0].account);
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const Split split = there[i];
    ImageSet& set = sets[i];
    const Shape& s = set.images.shape();
    Normalization n = measure_normalization(set.images);
    for (float& std : n.std)
      if (std == 1) std = 0;  // of a constant channel; that of any other is at most 0.5
    splits[name_of(split)] = {{"images", s[0]},   {"height", s[1]}, {"width", s[2]},
                              {"channels", s[3]}, {"mean", n.mean}, {"std", n.std}};
    text += fmt::format("{:<10} {:>7} images of {} x {}, {}; mean {:.3f}, std {:.3f}\n", name_of(split), s[0], s[1],
                        s[2], s[3] == 1 ? "grey" : "colour", fmt::join(n.mean, " "), fmt::join(n.std, " "));
    if (split == Split::unlabeled) continue;
    counts.push_back(class_counts(set));
    columns.push_back({name_of(split), TextTable::Align::right});
    splits[name_of(split)]["counts"] = counts.back();
    if (labelled.classes.empty()) labelled = std::move(set);
  }
  TextTable table(columns);
  for (std::size_t c = 0; c < labelled.classes.size(); ++c) {
    std::vector<std::string> cells{labelled.classes[c]};
    for (const auto& count : counts) cells.push_back(std::to_string(count[c]));
    table.add(cells);
  }
  double balance = 1;
  if (!counts.empty()) {
    const auto [least, most] = std::minmax_element(counts.front().begin(), counts.front().end());
    balance = *most > 0 ? static_cast<double>(*least) / static_cast<double>(*most) : 0;
    text += fmt::format("{} classes; the rarest has {:.0f} % of the most frequent one's images\n\n{}",
                        labelled.classes.size(), 100 * balance, table.str(stdout_columns()));
  }
  if (!o.png.empty()) {
    AKIN_CHECK(!labelled.classes.empty(), "{}: no labelled split to make a contact sheet of", o.folder);
    make_parent(o.png);
    write_png(o.png, contact_sheet(labelled, o.columns));
    say(o.common, o.png + ": written");
  }
  Json j = {{"folder", o.folder}, {"classes", labelled.classes}, {"balance", balance}, {"splits", splits}};
  if (!account.empty()) j["account"] = account;
  print(o.common.json ? json_text(j) : text);
}

void add_show(CLI::App& data) {
  CLI::App* app = data.add_subcommand("show", "Sizes, classes and balance of a data set");
  const auto o = std::make_shared<ShowOptions>();
  app->add_option("folder", o->folder, "Folder of the data set")->required()->type_name("DIR");
  app->add_option("--png", o->png, "Also write some images of each class as one picture")->type_name("FILE");
  app->add_flag("--force", o->force, "Replace that picture")->configurable(false);
  app->add_option("--columns", o->columns, "Images of each class in it")->transform(whole_in(1, 200));
  add_format(*app, o->format);
  add_output(*app, o->common);
  app->footer("Example:\n  akin data show data/fashion --png fashion.png");
  app->callback([o] { show(*o); });
}

// --- pack -----------------------------------------------------------------------------------------------------------

struct PackOptions {
  CommonOptions common;
  FormatFlags format;
  std::string folder, out, without;
};

void pack(const PackOptions& o) {
  std::error_code ignored;
  if (std::filesystem::equivalent(o.folder, o.out, ignored)) fail_usage("--out {}: is the folder that is read", o.out);
  const ImageFormat format = o.format.format();
  check_outside(o.out, o.folder);
  const std::vector<std::string> without =
      o.without.empty() ? std::vector<std::string>() : split_list(o.without, "--without");
  if (const std::vector<std::string> known = classes_there(o.folder); !known.empty())
    find_classes(known, without, o.folder);
  SetWriter writer(o.out, false);
  std::string text;
  std::vector<std::pair<Split, ImageSet>> sets;  // all is read and checked before anything is written
  const std::vector<Split> there = splits_there(o.folder);
  std::vector<ImageSet> loaded = load_splits(o.folder, there, format);
  tell(o.common, loaded[0]);
  const Json account = json_of(loaded[0].account);
  for (std::size_t i = 1; i < loaded.size(); ++i) check_form(loaded[0], loaded[i], name_of(there[i]));
  for (std::size_t i = there.size(); i-- > 0;) sets.emplace_back(there[i], std::move(loaded[i]));  // the training last
  if (!without.empty()) {
    // Nobody knows which of the unlabelled images show those classes.
    std::erase_if(sets, [](const auto& s) { return s.first == Split::unlabeled; });
    for (auto& [split, set] : sets) set = without_classes(set, without);
  }
  Json splits = Json::object();
  for (const auto& [split, set] : sets) {
    writer.write(set, split);
    if (!set.names.empty() && !keeps_names(set))
      warn(
          fmt::format("{}: the names of the {} images' files are not kept, for one of them has two lines; tables of "
                      "these images cannot be matched by names",
                      o.out, name_of(split)));
    const Shape& s = set.images.shape();
    splits[name_of(split)] = s.dims();
    text += fmt::format("{}: {} images of {} x {} x {}\n", name_of(split), s[0], s[1], s[2], s[3]);
  }
  writer.finish();
  Json j = {{"folder", o.out}, {"splits", splits}};
  if (!account.empty()) j["account"] = account;
  print(o.common.json ? json_text(j) : text);
}

void add_pack(CLI::App& data) {
  CLI::App* app = data.add_subcommand("pack", "Write a data set (image folders, for example) as IDX files of one size");
  const auto o = std::make_shared<PackOptions>();
  app->add_option("folder", o->folder, "Folder with train/<class>/ and test/<class>/, or any data set akin reads")
      ->required()
      ->type_name("DIR");
  add_format(*app, o->format);
  app->add_option("--without", o->without,
                  "Leave these classes out: names, or their first words; unlabelled images stay behind, too")
      ->type_name("NAME,...");
  app->add_option("--out", o->out, "Folder to write")->required()->type_name("DIR");
  add_output(*app, o->common);
  app->footer("Example:\n  akin data pack photos --size 32x32 --out data/photos");
  app->callback([o] { pack(*o); });
}

}  // namespace

Json json_of(const Account& account) {
  Json out = Json::array();
  for (const Account::Line& line : account.lines) {
    Json l = {{"what", line.what},
              {"warning", line.tone == Account::Tone::warning},
              {"count", line.count},
              {"first", line.first}};
    if (!line.endings.empty()) l["endings"] = line.endings;
    out.push_back(std::move(l));
  }
  return out;
}

void add_data(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("data", "Make, convert and look at data sets");
  app->require_subcommand(1);
  app->footer(
      "Example:\n  akin data check birds\n  akin data show data/mnist\nscripts/get_data.sh fetches the data sets of "
      "the examples.");
  add_glyphs(*app);
  add_sheets(*app);
  add_show(*app);
  add_check(*app);
  add_pack(*app);
}

}  // namespace akin
