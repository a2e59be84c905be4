// akin export: a student in the forms that other programs run, with a model card.
#include <algorithm>
#include <set>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "distill/grid/origin.hpp"
#include "engine/io/file.hpp"
#include "engine/io/folder_lock.hpp"
#include "engine/io/json.hpp"
#include "engine/io/nearest_name.hpp"
#include "nn/export/graph_writer.hpp"
#include "nn/export/onnx.hpp"
#include "nn/zoo/graph_network.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  std::string file, out, name, formats = "safetensors,onnx", size;
  bool fold = false, force = false;
};

std::set<std::string> parse_formats(const std::string& text) {
  std::set<std::string> formats;
  for (const std::string& f : split_list(text, "--format")) {
    if (f != "safetensors" && f != "onnx")
      fail_usage("--format '{}': known are safetensors and onnx{}", f, did_you_mean(f, {"safetensors", "onnx"}));
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

std::string to_onnx(const LayerGraph& layers, const Model& model, const std::string& name) {
  const ModelInfo& info = model.info;
  onnx::Graph graph = onnx::export_layers(layers, info.normalization);
  graph.name = name;
  graph.producer_version = version();
  graph.text = fmt::format(
      "Image classifier by akin. image: float32 [batch, {}, {}, {}], {} values 0 to 255; the graph normalises them. "
      "logits: float32 [batch, {}].",
      layers.input[3], layers.input[1], layers.input[2], layers.input[3] == 1 ? "grey" : "RGB",
      info.architecture.classes);
  Preprocessing seen = preprocessing_of(info);
  seen.height = layers.input[1];
  seen.width = layers.input[2];
  graph.text += " Of a picture the network sees " + fit_in_words(seen) + ".";
  graph.metadata = {{"network", info.architecture.name}, {"sha256", model.hash}, {"input", preprocessing_json(seen)}};
  if (!info.task.empty()) graph.metadata["task"] = info.task;
  if (!info.classes.empty()) graph.metadata["classes"] = json_line(info.classes);
  return onnx::to_bytes(graph);
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

void run(const Options& o) {
  const std::set<std::string> formats = parse_formats(o.formats);
  const std::filesystem::path source = o.file;
  const std::string name = o.name.empty() ? source_name(source) : o.name;
  if (name.find('/') != std::string::npos || name == "." || name == ".." || name.empty())
    fail_usage("--name '{}': expected a file name without folder or ending", name);
  Context ctx(Device::cpu);
  const Model model = open_model(ctx, source);
  ModelInfo info = model.info;
  if (!o.size.empty()) {
    const ImageFormat size = parse_size(o.size);
    info.height = size.height;
    info.width = size.width;
  }
  if (info.height <= 0 || info.width <= 0)
    fail_usage("{}: does not say the size of its images; give --size HxW", o.file);

  const std::filesystem::path out = o.out.empty() ? source.parent_path() / "export" : std::filesystem::path(o.out);
  const FolderLock owner(out);
  std::vector<std::string> files;
  for (const std::string& f : formats) files.push_back(name + "." + f);
  if (o.fold && formats.contains("safetensors")) files.push_back(name + ".graph.json");
  std::vector<std::string> all = files;
  all.push_back(name + ".md");
  for (const std::string& f : all) {
    std::error_code none;
    AKIN_CHECK(!std::filesystem::equivalent(out / f, source, none),
               "{}: is the model to export; --out DIR or --name chooses another place", (out / f).string());
    AKIN_CHECK(o.force || !is_there(out / f),
               "{}: is there from an earlier export; --force replaces it, --out DIR or --name chooses another place",
               (out / f).string());
  }

  const std::vector<std::filesystem::path> gone = left_over(out, name, all, source);

  // All that can fail for the model's sake comes before the first file.
  LayerGraph layers = capture_layers(ctx, *model.network, info.height, info.width);
  if (o.fold) {
    const std::size_t before = layers.layers.size();
    fold_batchnorm(layers);
    if (layers.layers.size() == before) say(o.common, "--fold: the network has no batch norm behind a convolution");
  }
  const std::string onnx = formats.contains("onnx") ? to_onnx(layers, model, name) : "";
  std::unique_ptr<Network> folded;
  if (o.fold && formats.contains("safetensors")) folded = to_graph_network(ctx, layers);
  const CardFacts facts{name,          source.filename().string(),
                        &model,        origin_of(o.file, model.hash),
                        info.height,   info.width,
                        o.fold,        files,
                        version_line()};
  const std::string card = model_card(facts);

  for (const std::filesystem::path& file : gone) remove_file(file);
  if (!onnx.empty()) write_file_atomic(out / (name + ".onnx"), std::string_view(onnx));
  if (folded != nullptr) {
    const Architecture& a = folded->architecture();
    write_json(out / (name + ".graph.json"),
               parse_json(a.taught_share > 0 ? with_mixture(a.graph, a.taught_share) : a.graph, name));
  }
  if (formats.contains("safetensors"))
    save_model(out / (name + ".safetensors"), folded != nullptr ? *folded : *model.network, info);
  write_file_atomic(out / (name + ".md"), std::string_view(card));

  Json list = Json::array();
  std::string text;
  for (const std::string& f : all) {
    const std::uintmax_t bytes = std::filesystem::file_size(out / f);
    list.push_back({{"file", (out / f).string()}, {"bytes", bytes}});
    text += fmt::format("{}  {} bytes\n", (out / f).string(), bytes);
  }
  if (!o.common.json) return print(text);
  print(json_text({{"model", o.file},
                   {"name", name},
                   {"files", list},
                   {"folded", o.fold},
                   {"layers", layers.layers.size()},
                   {"input", {info.architecture.channels, info.height, info.width}},
                   {"classes", info.architecture.classes}}));
}

}  // namespace

void add_export(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("export", "Write a student as ONNX and safetensors, with a model card");
  const auto o = std::make_shared<Options>();
  app->add_option("file", o->file, "Student or other model file of akin's")->required()->type_name("STUDENT");
  app->add_option("--out", o->out, "Folder to write to; default: export, beside the student")->type_name("DIR");
  app->add_option("--name", o->name, "Of the files; default: the student's, or its run folder's")->type_name("NAME");
  app->add_option("--format", o->formats, "Any of safetensors, onnx")->type_name("NAME,...");
  app->add_flag("--fold", o->fold, "Fold batch norms into convolutions: fewer layers, the same outputs");
  app->add_option("--size", o->size, "Input height x width, where it shall not be the one it was trained on")
      ->type_name("HxW");
  app->add_flag("--force", o->force, "Replace files of an earlier export")->configurable(false);
  add_output(*app, o->common);
  app->footer(
      "ONNX: operator set 13, input 'image' float32 [batch, C, H, W] with values 0 to 255 (the file normalises by\n"
      "itself), output 'logits', any batch size. safetensors: torchvision's names and layouts; with --fold instead\n"
      "convolutions with biases and a list of layers (.graph.json), which akin runs too. The card (.md) says what the\n"
      "model is, what it was made of and how to run it. Heads that imitated sources are in no file.\n\n"
      "Example:\n  akin export runs/mnist/student.safetensors --fold --out release");
  app->callback([o] { run(*o); });
}

}  // namespace akin
