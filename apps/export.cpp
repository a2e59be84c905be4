// akin export: a student in the forms that other programs run, with a model card.
#include <algorithm>
#include <set>

#include "apps/commands.hpp"
#include "apps/exported.hpp"
#include "apps/flags.hpp"
#include "apps/value_lists.hpp"
#include "distill/grid/origin.hpp"
#include "distill/report/html.hpp"
#include "engine/io/file.hpp"
#include "engine/io/folder_lock.hpp"
#include "engine/io/json.hpp"
#include "engine/io/nearest_name.hpp"
#include "nn/export/graph_writer.hpp"
#include "nn/export/hub.hpp"
#include "nn/zoo/graph_network.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  std::string file, out, name, formats = "safetensors,onnx", size, store = "f32", data;
  bool fold = false, force = false;
};

constexpr double kLoss = 0.01;  ///< of accuracy: what rounded weights may cost without a warning

std::string hub_folder(const std::string& name) { return name + "-hub"; }

/// Every file that an export writes, below its folder.
std::vector<std::string> file_names(const std::string& name, const std::set<std::string>& formats, bool fold) {
  std::vector<std::string> files;
  for (const char* f : {"onnx", "safetensors"})
    if (formats.contains(f)) files.push_back(name + "." + f);
  if (fold && formats.contains("safetensors")) files.push_back(name + ".graph.json");
  if (!files.empty()) files.push_back(name + ".md");
  if (formats.contains("hub"))
    for (const char* f : {kHubConfig, kHubWeights, kHubPreprocessor, kHubCard})
      files.push_back(hub_folder(name) + "/" + f);
  return files;
}

std::set<std::string> parse_formats(const std::string& text) {
  std::set<std::string> formats;
  for (const std::string& f : split_list(text, "--format")) {
    if (f != "safetensors" && f != "onnx" && f != "hub")
      fail_usage("--format '{}': known are safetensors, onnx and hub{}", f,
                 did_you_mean(f, {"safetensors", "onnx", "hub"}));
    formats.insert(f);
  }
  return formats;
}

Model open_model(Context& ctx, const std::filesystem::path& path) {
  AKIN_CHECK(!is_folder(path), "{}: is a folder; akin export takes a model file", path.string());
  return load_model(ctx, path);
}

/// Where the student comes from; a damaged report does not keep a model from being exported.
StudentOrigin origin_of(const std::string& file, const std::string& hash) {
  try {
    return find_origin(file, hash);
  } catch (const Error& e) {
    warn(fmt::format("{}; the model card does without it", e.what()));
    return {};
  }
}

/// Files of an earlier export of this name that this one does not write: another student's, which nobody would tell
/// from the new ones. Error for those that the earlier card does not list, for they may be somebody's.
std::vector<std::filesystem::path> left_over(const std::filesystem::path& out, const std::string& name,
                                             const std::vector<std::string>& written,
                                             const std::filesystem::path& source) {
  std::vector<std::filesystem::path> gone;
  const std::filesystem::path card = out / (name + ".md");
  const std::string earlier = is_there(card) ? read_text(card) : "";
  std::error_code none;
  if (std::filesystem::equivalent(out / (name + ".safetensors"), source, none)) return {};  // beside the model itself
  for (const char* ending : {".safetensors", ".graph.json", ".onnx"}) {
    const std::string file = name + ending;
    if (std::find(written.begin(), written.end(), file) != written.end() || !is_there(out / file)) continue;
    AKIN_CHECK(
        lists_file(earlier, file),
        "{}: lies there, and would pass for a part of this export, which does not write it; remove it, or choose "
        "another place with --out DIR or --name",
        (out / file).string());
    gone.push_back(out / file);
  }
  return gone;
}

WeightStore parse_store(const Options& o, const std::set<std::string>& formats) {
  for (const WeightStore store : {WeightStore::f32, WeightStore::f16, WeightStore::int8}) {
    if (o.store != name_of(store)) continue;
    if (store == WeightStore::f32 && !o.data.empty())
      fail_usage("--data: measures what --weights f16 or int8 keeps of the accuracy; give one of them");
    if (store == WeightStore::int8 && formats.contains("hub"))
      fail_usage("--weights int8: timm and PyTorch read no such tensors as they are; --format hub takes f32 and f16");
    return store;
  }
  fail_usage("--weights '{}': known are f32, f16 and int8", o.store);
}

struct Written {
  std::string file;  ///< below the folder of the export
  std::function<void(const std::filesystem::path&)> write;
};

Written text_file(const std::string& file, std::string text) {
  return {file, [t = std::move(text)](const auto& path) { write_file_atomic(path, std::string_view(t)); }};
}

/// What is written, and the cards that list it.
std::vector<Written> files_of(const Exported& e, const std::set<std::string>& formats, const SafeTensors& model_file,
                              CardFacts facts) {
  std::vector<Written> files;
  if (formats.contains("onnx")) files.push_back(text_file(e.name + ".onnx", to_onnx(e)));
  if (formats.contains("safetensors")) {
    if (e.folded != nullptr) {
      const Architecture& a = e.folded->architecture();
      files.push_back({e.name + ".graph.json", [&a, &e](const auto& path) {
                         const std::string graph = a.taught_share > 0 ? with_mixture(a.graph, a.taught_share) : a.graph;
                         write_json(path, parse_json(graph, e.name));
                       }});
    }
    files.push_back(
        {e.name + ".safetensors", [&model_file](const auto& path) { write_safetensors(path, model_file); }});
    facts.network_code = code_of(e, model_file, false);
  }
  if (!files.empty()) {
    for (const Written& w : files) facts.files.push_back(w.file);
    std::sort(facts.files.begin(), facts.files.end());
    files.push_back(text_file(e.name + ".md", model_card(facts)));
  }
  if (!formats.contains("hub")) return files;
  const std::string folder = hub_folder(e.name) + "/";
  SafeTensors weights = to_hub_file(e);
  facts.files = {kHubConfig, kHubWeights, kHubPreprocessor};
  facts.network_code = code_of(e, weights, true);
  facts.hub = true;
  files.push_back(text_file(folder + kHubConfig, hub_config(e.network(), e.info, e.timm())));
  files.push_back(text_file(folder + kHubPreprocessor, hub_preprocessor(e.info)));
  files.push_back(text_file(folder + kHubCard, model_card(facts)));
  files.push_back({folder + kHubWeights, [w = std::move(weights)](const auto& path) { write_safetensors(path, w); }});
  return files;
}

void run(const Options& o) {
  const std::set<std::string> formats = parse_formats(o.formats);
  const WeightStore store = parse_store(o, formats);
  const std::filesystem::path source = o.file;
  const std::string name = o.name.empty() ? source_name(source) : o.name;
  if (name.find('/') != std::string::npos || name == "." || name == ".." || name.empty())
    fail_usage("--name '{}': expected a file name without folder or ending", name);
  Context ctx(Device::cpu);
  const Model model = open_model(ctx, source);
  Exported e{name, &model, model.info, {}};
  e.store = store;
  if (!o.size.empty()) {
    const ImageFormat size = parse_size(o.size);
    e.info.height = size.height;
    e.info.width = size.width;
  }
  if (e.info.height <= 0 || e.info.width <= 0)
    fail_usage("{}: does not say the size of its images; give --size HxW", o.file);

  const std::filesystem::path out = o.out.empty() ? source.parent_path() / "export" : std::filesystem::path(o.out);
  const FolderLock owner(out);
  const std::vector<std::string> planned = file_names(name, formats, o.fold);
  for (const std::string& f : planned) {
    std::error_code none;
    AKIN_CHECK(!std::filesystem::equivalent(out / f, source, none),
               "{}: is the model to export; --out DIR or --name chooses another place", (out / f).string());
    AKIN_CHECK(o.force || !is_there(out / f),
               "{}: is there from an earlier export; --force replaces it, --out DIR or --name chooses another place",
               (out / f).string());
  }
  const bool card = std::find(planned.begin(), planned.end(), name + ".md") != planned.end();
  const std::vector<std::filesystem::path> gone =
      card ? left_over(out, name, planned, source) : std::vector<std::filesystem::path>();

  // All that can fail for the model's sake comes before the first file.
  e.layers = capture_layers(ctx, *model.network, e.info.height, e.info.width);
  if (o.fold) {
    const std::size_t before = e.layers.layers.size();
    fold_batchnorm(e.layers);
    if (e.layers.layers.size() == before) say(o.common, "--fold: the network has no batch norm behind a convolution");
    if (formats != std::set<std::string>{"onnx"}) e.folded = to_graph_network(ctx, e.layers);
  }
  const SafeTensors model_file = to_model_file(e);
  CardFacts facts{name,          source.filename().string(),
                  &model,        origin_of(o.file, model.hash),
                  e.info.height, e.info.width,
                  o.fold,        {},
                  version_line()};
  facts.store = store;
  if (!o.data.empty()) facts.kept = measure(ctx, o.common, e, model_file, o.data);
  const std::vector<Written> files = files_of(e, formats, model_file, facts);

  for (const std::filesystem::path& file : gone) remove_file(file);
  if (formats.contains("hub")) make_folder(out / hub_folder(name));
  Json list = Json::array();
  std::string text;
  for (const Written& w : files) {
    w.write(out / w.file);
    const std::uintmax_t bytes = std::filesystem::file_size(out / w.file);
    list.push_back({{"file", (out / w.file).string()}, {"bytes", bytes}});
    text += fmt::format("{}  {} bytes\n", (out / w.file).string(), bytes);
  }
  const KeptAccuracy& k = facts.kept;
  if (k.images > 0)
    text += fmt::format("{} test images of {}: {} % right as {}, {} % as f32; the same class on {} %\n", k.images,
                        k.data, show_percent(k.stored, 2), o.store, show_percent(k.full, 2), show_percent(k.alike, 2));
  if (k.images > 0 && k.full - k.stored >= kLoss)
    warn(fmt::format("{}: stored as {} it is right {} points less often; {}", o.file, o.store,
                     show_percent(k.full - k.stored, 1),
                     store == WeightStore::int8 ? "--weights f16 keeps more" : "store it as f32"));
  if (!o.common.json) return print(text);
  Json said = {{"model", o.file},
               {"name", name},
               {"files", list},
               {"folded", o.fold},
               {"weights", o.store},
               {"layers", e.layers.layers.size()},
               {"input", {e.info.architecture.channels, e.info.height, e.info.width}},
               {"classes", e.info.architecture.classes}};
  if (k.images > 0)
    said["kept"] = {{"data", k.data},
                    {"images", k.images},
                    {"accuracy", k.stored},
                    {"accuracy_f32", k.full},
                    {"same_class", k.alike}};
  print(json_text(said));
}

}  // namespace

void add_export(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("export", "Write a student as ONNX and safetensors, with a model card");
  const auto o = std::make_shared<Options>();
  app->add_option("file", o->file, "Student or other model file of akin's")->required()->type_name("STUDENT");
  app->add_option("--out", o->out, "Folder to write to; default: export, beside the student")->type_name("DIR");
  app->add_option("--name", o->name, "Of the files; default: the student's, or its run folder's")->type_name("NAME");
  app->add_option("--format", o->formats, "Any of safetensors, onnx, hub: a folder for the Hugging Face Hub")
      ->type_name("NAME,...");
  app->add_flag("--fold", o->fold, "Fold batch norms into convolutions: fewer layers, the same outputs");
  app->add_option("--weights", o->store,
                  "How weights are stored: f32, f16 (half the size) or int8 (a quarter; heads f16)")
      ->type_name("NAME");
  app->add_option("--data", o->data, "With f16, int8: a data set, on whose test images it is measured what they keep")
      ->type_name("DIR");
  app->add_option("--size", o->size, "Input height x width, where it shall not be the one it was trained on")
      ->type_name("HxW");
  app->add_flag("--force", o->force, "Replace files of an earlier export")->configurable(false);
  add_output(*app, o->common);
  app->footer(
      "ONNX: operator set 13, input 'image' float32 [batch, C, H, W] with values 0 to 255 (the file normalises by\n"
      "itself), output 'logits', any batch size. safetensors: torchvision's names and layouts; with --fold instead\n"
      "convolutions with biases and a list of layers (.graph.json), which akin runs too. The card (.md) says what the\n"
      "model is, what it was made of and how to run it. Heads that imitated sources are in no file.\n"
      "hub: <name>-hub/ with config.json, model.safetensors, preprocessor_config.json and the card as README.md. timm\n"
      "opens it (local-dir:FOLDER) where the network is timm's; else the README has its code in PyTorch.\n\n"
      "Example:\n  akin export runs/mnist/student.safetensors --fold --out release\n"
      "  akin export runs/mnist/student.safetensors --format hub,onnx --weights f16 --data data/mnist");
  app->callback([o] { run(*o); });
}

}  // namespace akin
