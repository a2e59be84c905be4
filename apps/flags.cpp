#include "apps/flags.hpp"

#include <algorithm>
#include <charconv>

#include "apps/common.hpp"
#include "apps/value_lists.hpp"
#include "engine/io/file.hpp"
#include "engine/io/nearest_name.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

/// A switch with --no-<name>; its default is shown and saved.
CLI::Option* add_switch(CLI::App& app, const std::string& option, bool& value, const std::string& text) {
  return app.add_flag(fmt::format("{},!--no-{}", option, option.substr(2)), value, text)
      ->default_str(value ? "true" : "false");
}

/// The whole text as a decimal number.
std::optional<std::int64_t> whole_of(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

CLI::Validator whole_in(std::int64_t low, std::int64_t high) {
  return CLI::Validator(
      [low, high](std::string& text) {
        const std::optional<std::int64_t> value = whole_of(text);
        if (!value || *value < low || *value > high)
          return fmt::format("'{}' is no whole number from {} to {}", text, low, high);
        text = std::to_string(*value);
        return std::string();
      },
      "");
}

CLI::Validator number_in(double low, double high) {
  return CLI::Validator(
      [low, high](const std::string& text) {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool good = error == std::errc() && end == text.data() + text.size() && value >= low && value <= high;
        return good ? std::string() : fmt::format("'{}' is no number from {} to {}", text, low, high);
      },
      "");
}

CLI::Validator one_of(std::vector<std::string> words) {
  return CLI::Validator(
      [words = std::move(words)](const std::string& text) {
        if (std::find(words.begin(), words.end(), text) != words.end()) return std::string();
        std::vector<std::string> named = words;
        std::erase(named, "");
        return fmt::format("'{}' is none of {}{}", text, fmt::join(named, ", "), did_you_mean(text, named));
      },
      "");
}

ImageFormat parse_size(const std::string& text, const std::string& option) {
  const std::optional<ImageFormat> format = image_size(text);
  if (!format) fail_usage("{} '{}': expected height x width in pixels, as in 32x32", option, text);
  return *format;
}

ImageFormat FormatFlags::format() const {
  ImageFormat format = size.empty() ? ImageFormat{} : parse_size(size);
  format.channels = channels;
  return format;
}

void add_format(CLI::App& app, FormatFlags& flags) {
  app.add_option("--size", flags.size,
                 "Bring images to height x width, as in 32x32; without it they stay as they are, and files of several "
                 "sizes are brought to the size of a model that is asked of them")
      ->type_name("HxW")
      ->group("Data");
  app.add_option("--channels", flags.channels, "Bring images to 1 (grey) or 3 (colour) channels; 0: as they are")
      ->check(CLI::IsMember({0, 1, 3}).description(""))
      ->transform(whole_in(0, kMostImages))
      ->group("Data");
}

namespace {

CLI::Option* add_row(CLI::App& app, Settings& settings, const Setting& row, bool source) {
  const std::string option = option_of(source ? row.source : row.name);
  CLI::Option* added = std::visit(
      [&](auto field) {
        auto& value = settings.*field;
        if constexpr (std::is_same_v<decltype(field), bool Settings::*>)
          return add_switch(app, option, value, row.help);
        else
          return app.add_option(option, value, row.help);
      },
      row.field);
  added->transform(CLI::Validator(
      [&row](std::string& text) {
        std::string why = problem_of(row, text);
        if (why.empty() && std::holds_alternative<std::int64_t Settings::*>(row.field))
          text = std::to_string(whole_of(text).value());
        return why;
      },
      ""));
  if (row.range.file) added->type_name("FILE");
  return added->group(row.group);
}

}  // namespace

CLI::Option* add_setting(CLI::App& app, Settings& settings, std::string_view name, bool source) {
  for (const Setting& row : setting_list())
    if (const char* own = source ? row.source : row.name; own != nullptr && own == name)
      return add_row(app, settings, row, source);
  fail("there is no setting '{}'", name);
}

void add_settings(CLI::App& app, Settings& settings, std::string_view group, bool source,
                  const std::vector<std::string_view>& without) {
  for (const Setting& row : setting_list())
    if (const char* own = source ? row.source : row.name;
        own != nullptr && row.group == group && std::find(without.begin(), without.end(), own) == without.end())
      add_row(app, settings, row, source);
}

std::optional<ModelInfo> ForeignFlags::info() const {
  if (architecture.name.empty()) {
    if (architecture.width != 0 || !architecture.shortcut.empty() || !architecture.stem.empty() ||
        architecture.norm_eps != 0 || !mean.empty() || !std.empty())
      fail_usage(
          "--width, --shortcut, --stem, --norm-eps, --mean and --std describe a file that does not say what it is; "
          "give "
          "--arch too");
    return std::nullopt;
  }
  ModelInfo info;
  info.architecture = architecture;
  info.normalization = {{}, {}};  // what is not said
  if (!mean.empty()) info.normalization.mean = parse_floats(mean, "--mean");
  if (!std.empty()) info.normalization.std = parse_floats(std, "--std");
  return info;
}

void add_foreign(CLI::App& app, ForeignFlags& flags) {
  const char* group = "Model files that do not describe themselves";
  std::vector<std::string> names = known_architectures();
  app.add_option("--arch", flags.architecture.name,
                 fmt::format("{}, or graph (layers in <name>.graph.json)", fmt::join(names, ", ")))
      ->group(group)
      ->check(one_of([&] {
        names.insert(names.end(), {"graph", ""});
        return names;
      }()));
  app.add_option("--width", flags.architecture.width, "Channels of the first stage; 0: as the file has it")
      ->transform(whole_in(0, 4096))
      ->group(group);
  app.add_option("--shortcut", flags.architecture.shortcut, "A or conv; empty: the family's own")
      ->check(one_of({"A", "conv", ""}))
      ->group(group);
  app.add_option("--stem", flags.architecture.stem,
                 "small: the first layer keeps the image's size; empty: as published")
      ->check(one_of({"small", ""}))
      ->group(group);
  app.add_option("--norm-eps", flags.architecture.norm_eps,
                 "Of batch norms; 0: as torchvision has it (timm's MobileNetV3: 1e-5)")
      ->check(number_in(0, 1))
      ->group(group);
  app.add_option("--mean", flags.mean, "Mean of pixels in 0..1, one for all channels or one each; default 0.5")
      ->type_name("R,G,B")
      ->group(group);
  app.add_option("--std", flags.std, "Their standard deviation; default 0.5")->type_name("R,G,B")->group(group);
}

LabelManifest TaskFlags::manifest() const {
  LabelManifest m;
  m.draw = split;
  if (const std::optional<std::int64_t> images = whole_of(validation))
    m.draw.validation = *images;
  else
    m.draw.validation_fraction = std::stod(validation);
  if (labels.empty()) {
    m.draw.labels_per_class = labels_per_class == "all" ? kAllLabels : whole_of(labels_per_class).value();
    return m;
  }
  if (labels == "all") {
    m.draw.labels_per_class = kAllLabels;
    return m;
  }
  if (labels.find_first_not_of("0123456789") != std::string::npos) {
    if (!read_) read_ = read_manifest(labels, m.draw);
    return *read_;
  }
  const auto [end, error] = std::from_chars(labels.data(), labels.data() + labels.size(), m.draw.labels_per_class);
  if (error != std::errc() || m.draw.labels_per_class < 1)
    fail_usage("--labels {}: expected a whole number from 1, all, or a manifest file", labels);
  return m;
}

namespace {

/// What `check` takes, or the one word.
CLI::Validator or_word(const std::string& word, CLI::Validator check) {
  return CLI::Validator(
      [word, check](std::string& text) {
        if (text == word) return std::string();
        const std::string why = check(text);
        return why.empty() ? why : why + ", nor the word " + word;
      },
      "");
}

/// A number of images, or above 0 and below 1 a share.
CLI::Validator images_or_share() {
  return CLI::Validator(
      [](std::string& text) {
        if (text.find('.') == std::string::npos) return whole_in(0, kMostImages)(text);
        const std::string why = number_in(0, 1)(text);
        const double share = why.empty() ? std::stod(text) : 0;
        return share > 0 && share < 1 ? why
                                      : fmt::format("'{}' is no number of images, and no share such as 0.2", text);
      },
      "");
}

}  // namespace

void add_task(CLI::App& app, TaskFlags& flags, bool semi) {
  app.add_option("--target", flags.target, "Folder of the target data set")
      ->required()
      ->type_name("DIR")
      ->group("Data");
  CLI::Option* per_class =
      app.add_option("--labels-per-class", flags.labels_per_class,
                     "Labelled images of each class, drawn by the seed; all: every labelled image is used")
          ->transform(or_word("all", whole_in(1, kMostImages)))
          ->type_name("N|all")
          ->group("Data");
  app.add_option(
         "--labels", flags.labels,
         "The same, or a file: a table of files and labels (.csv, see akin label), or a manifest with a share of each "
         "class or a list of images (docs/data.md)")
      ->excludes(per_class)
      ->type_name("N|FILE")
      ->group("Data");
  if (semi) {
    app.add_option("--unlabelled", flags.split.unlabelled, "Unlabelled images at most; 0: all")
        ->transform(whole_in(0, kMostImages))
        ->group("Data");
    app.add_option("--validation", flags.validation,
                   "Labelled images held out for curves and the choice of a step: so many in all, or a share of each "
                   "class (0.2)")
        ->transform(images_or_share())
        ->type_name("N|SHARE")
        ->group("Data");
  }
  add_format(app, flags.format);
  app.get_option("--size")->description(
      "Bring images to height x width, as in 32x32, which files of several sizes need; sources that say their size see the "
      "pictures at that");
}

void choose_student(const std::string& said, const std::vector<std::string>& files, Settings& settings) {
  const std::vector<std::string>& known = known_architectures();
  settings.student = said;
  if (said == "init" || std::find(known.begin(), known.end(), said) != known.end()) return;
  std::vector<std::string> names = known;
  names.emplace_back("init");
  std::string file;
  for (const std::string& source : files) {
    names.push_back(source_name(source));
    if (names.back() == said) file = source;
  }
  if (file.empty() && is_there(said)) file = said;
  if (file.empty()) fail_usage("--student {}: is no network, no source and no file{}", said, suggestion(said, names));
  if (!settings.init.empty() && settings.init != file)
    fail_usage("--student {}: starts from that model, and --init {} says another one; leave one of the two out", said,
               settings.init);
  settings.student = "init";
  settings.init = file;
}

std::vector<Source> open_sources(Context& ctx, const std::vector<std::string>& files) {
  source_names(files);
  std::vector<SourceFile> wanted;
  for (const std::string& file : files) wanted.push_back({file});
  return open_sources(ctx, wanted);
}

std::string list_of_metrics() {
  std::string names;
  for (const Metric& metric : metrics()) names += (names.empty() ? "" : ", ") + metric.name;
  return names;
}

}  // namespace akin
