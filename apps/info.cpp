// akin info: what this program can do, and what a file holds.
#include <algorithm>
#include <set>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "distill/report/html.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/picture_readers.hpp"
#include "engine/io/pth.hpp"
#include "engine/io/text.hpp"
#include "kernels/common/onednn.hpp"
#include "kernels/common/parallel.hpp"
#include "nn/akin_file.hpp"
#include "nn/cost.hpp"
#include "nn/data/glyphs/glyphs.hpp"
#include "nn/model_file.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

/// Data sets directly below the folder.
std::vector<std::string> data_sets(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    try {
      if (is_folder(entry.path()) && has_split(entry.path(), Split::train)) found.push_back(entry.path().string());
    } catch (const Error&) {  // another folder
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// "; not WebP (install libwebp-dev and build again)"; empty where all kinds are read.
std::string absent_kinds() {
  std::string text;
  for (const PictureReader& r : picture_readers())
    if (r.header == nullptr) text += fmt::format("; not {} (install {} and build again)", r.kind, r.package);
  return text;
}

void show_program(bool json, const std::string& data) {
  std::vector<std::string> metric_names, sets, methods;
  for (const Metric& m : metrics()) metric_names.push_back(m.name);
  for (const GlyphSet& s : glyph_sets()) sets.push_back(s.name);
  for (const MethodTraits& m : akin::methods()) methods.emplace_back(m.name);
  const std::string library = fast::onednn_version();
  const std::vector<std::string> found = data_sets(data);
  if (json) {
    print(json_text({{"version", version()},
                     {"commit", commit()},
                     {"build", build_flags()},
                     {"device", describe(Context(parse_device("auto")))},
                     {"threads", max_threads()},
                     {"onednn", library},
                     {"architectures", known_architectures()},
                     {"metrics", metric_names},
                     {"methods", methods},
                     {"glyph_sets", sets},
                     {"pictures", readable_kinds()},
                     {"data", found}}));
    return;
  }
  print(
      fmt::format("{}\nbuild          {}\ndevice         {}\nlibrary        {}\narchitectures  {}\nmetrics        {}\n"
                  "methods        {}\ncharacters     {}\npictures       {}{}\ndata           {}\n",
                  version_line(), build_flags(), describe(Context(parse_device("auto"))),
                  library.empty() ? "none: built without oneDNN, plain loops only" : library,
                  fmt::join(known_architectures(), ", "), fmt::join(metric_names, ", "), fmt::join(methods, ", "),
                  fmt::join(sets, ", "), fmt::join(readable_kinds(), ", "), absent_kinds(),
                  found.empty() ? fmt::format("none below {} (scripts/get_data.sh fetches some)", data)
                                : fmt::format("{}", fmt::join(found, ", "))));
}

void show_settings(bool json) {
  if (!json) return print(settings_markdown());
  const Settings student, source = source_settings();
  Json list = Json::array();
  const auto name = [](const char* text) { return text == nullptr ? Json(nullptr) : Json(text); };
  for (const Setting& s : setting_list())
    list.push_back({{"key", name(s.name)},
                    {"train", name(s.source)},
                    {"default", text_of(s, s.name != nullptr ? student : source)},
                    {"train_default", s.source != nullptr ? Json(text_of(s, source)) : Json(nullptr)},
                    {"may_be", range_text(s)},
                    {"help", s.help}});
  print(json_text({{"settings", list}}));
}

/// What kind of file it is, as far as one can tell.
std::string kind_of(const SafeTensors& file) {
  const std::string known = akin_file_of(file).kind;
  return known.empty() ? "tensors without akin's description" : known;
}

SafeTensors open_file(const std::filesystem::path& path) {
  constexpr const char* kReads =
      "akin info reads .safetensors and .pth files: models, tables and checkpoints; for images and other data sets: akin data "
      "show FOLDER";
  std::error_code none;
  AKIN_CHECK(!is_folder(path), "{}: is a folder; {}", path.string(), kReads);
  try {
    return parse_weights(read_file(path), path.string());
  } catch (const Error&) {
    static const std::set<std::string> kWeights{".safetensors", ".pth", ".pt", ".bin"};
    if (kWeights.contains(lower_ending(path)) || !is_there(path)) throw;
    fail("{}: is no .safetensors file; {}", path.string(), kReads);
  }
}

/// What a model is and, where it says the size of its images, costs.
struct ModelFacts {
  ModelInfo info;
  std::optional<Cost> cost = {};
};

/// Nothing for other files, and with a warning for a model that cannot be used.
std::optional<ModelFacts> facts_of(const std::filesystem::path& path, const SafeTensors& file) {
  constexpr std::int64_t kMostPixels = std::int64_t{1}
                                       << 20;  // an image is run to count: what a file claims is not spent
  std::filesystem::path graph = path;
  const AkinFile known = akin_file_of(file);
  const bool foreign = known.kind.empty() && !file.metadata.contains("format");
  if (!known.model && !(foreign && is_there(graph.replace_extension(".graph.json")))) return {};
  try {
    Context ctx(Device::cpu);
    const Model model = load_model(ctx, path);
    ModelFacts facts{model.info};
    const std::int64_t H = model.info.height, W = model.info.width;
    if (H > 0 && W > 0 && H <= kMostPixels / W) facts.cost = cost_of(ctx, *model.network, H, W);
    return facts;
  } catch (const Error& e) {  // what the file holds can be looked at all the same
    warn(fmt::format("as a model it cannot be used: {}", e.what()));
    return {};
  }
}

/// One line for people: long ones end in what is left out.
std::string one_line(const std::string& text) {
  constexpr std::size_t kLine = 160;
  std::string line;
  for (const char c : text) {
    const bool blank = c == '\n' || c == '\r' || c == ' ';
    if (!blank || line.empty() || line.back() != ' ') line += blank ? ' ' : c;
  }
  return line.size() <= kLine + 40 ? line
                                   : fmt::format("{} ... ({} bytes; --json has all)",
                                                 line.substr(0, valid_utf8(line.substr(0, kLine))), text.size());
}

std::string about_model(const ModelFacts& facts) {
  const ModelInfo& info = facts.info;
  const auto share = [](double v) { return v >= 0 && v <= 1; };
  std::string text;
  if (facts.cost)
    text += fmt::format("{:.3g} million multiply-adds an image of {}x{}\n",
                        static_cast<double>(facts.cost->multiply_adds) / 1e6, info.height, info.width);
  if (info.height > 0 && info.width > 0) {
    const Preprocessing p = preprocessing_of(info);
    text += fmt::format("sees of a picture {}, {}\n", fit_in_words(p), p.channels == 1 ? "grey" : "RGB");
  }
  text += fmt::format(
      "{}: {} classes",
      info.task.empty() ? "a task without a name" : one_line(spelled_controls(readable_text(info.task), false)),
      info.architecture.classes);
  if (share(info.test_accuracy))
    text += fmt::format(", {} % of its test images right", show_percent(info.test_accuracy));
  if (info.step >= 0) text += fmt::format(", after step {}", info.step);
  if (share(info.validation_accuracy))
    text += fmt::format(", {} % of its validation images right", show_percent(info.validation_accuracy));
  if (info.height <= 0 || info.width <= 0) text += "; the size of its images is not said";
  return text + "\n";
}

void show_file(bool json, const std::string& path) {
  const SafeTensors file = open_file(path);
  const std::optional<ModelFacts> model = facts_of(path, file);
  std::int64_t numbers = 0;
  Json tensors = Json::array();
  TextTable table({{"tensor"}, {"type"}, {"shape"}});
  for (const auto& [name, array] : file.tensors) {
    numbers += array.numel();
    tensors.push_back({{"name", name}, {"dtype", name_of(array.dtype())}, {"shape", array.shape().dims()}});
    table.add({name, name_of(array.dtype()), array.shape().str()});
  }
  // The running statistics and counters of norms are saved but not trained.
  std::int64_t trained = 0;
  for (const auto& [name, array] : file.tensors)
    if (name.ends_with(".weight") || name.ends_with(".bias")) trained += array.numel();
  if (json) {
    print(json_text({{"file", path},
                     {"kind", kind_of(file)},
                     {"metadata", file.metadata},
                     {"parameters", trained},
                     {"multiply_adds", model && model->cost ? Json(model->cost->multiply_adds) : Json(nullptr)},
                     {"numbers", numbers},
                     {"tensors", tensors}}));
    return;
  }
  std::string text = fmt::format("{}: {}\n{} tensors, {} numbers, {} trained parameters\n", path, kind_of(file),
                                 file.tensors.size(), numbers, trained);
  if (model) text += about_model(*model);
  for (const auto& [key, value] : file.metadata) text += fmt::format("{}: {}\n", key, one_line(value));
  print(text + "\n" + table.str(stdout_columns()));
}

}  // namespace

void add_info(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("info", "What this program can do, or what a .safetensors file holds");
  struct Options {
    std::string file, data = "data";
    CommonOptions common;
    bool settings = false;
  };
  const auto o = std::make_shared<Options>();
  CLI::Option* file =
      app->add_option("file", o->file, "Model, table or checkpoint; without it: about the program")->type_name("FILE");
  app->add_option("--data", o->data, "Folder to look for data sets in")->type_name("DIR");
  app->add_flag("--settings", o->settings, "The table of all settings of students and sources, in Markdown")
      ->excludes(file);
  add_output(*app, o->common);
  app->footer("Example:\n  akin info runs/fashion/model.safetensors");
  app->callback([o] {
    if (o->settings)
      show_settings(o->common.json);
    else if (o->file.empty())
      show_program(o->common.json, o->data);
    else
      show_file(o->common.json, o->file);
  });
}

}  // namespace akin
