// akin import: weights of another program become a model file that describes itself.

#include <limits>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "apps/run_folder.hpp"
#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "engine/io/picture_kind.hpp"
#include "nn/data/alike_names.hpp"
#include "nn/data/image_set.hpp"
#include "nn/unfold.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  ForeignFlags foreign;
  std::string file, out, names, task, size, unfold, filter;
  double crop = 0;
  bool stretch = false;
  std::int64_t new_head = 0, channels = 0;
  std::uint64_t seed = 0;
  bool force = false;
};

std::string lines(const char* title, const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += fmt::format("{:<9} {}\n", title, name);
  return text;
}

UnfoldReport unfold(Context& ctx, const Options& o, Model& model) {
  const ImageFormat size{.height = static_cast<int>(model.info.height),
                         .width = static_cast<int>(model.info.width),
                         .fit = model.info.fit};
  const ImageSet set = load_pool(o.unfold, model.info.height > 0 ? size : ImageFormat{});
  const std::int64_t found = set.images.shape()[3], wanted = model.info.architecture.channels;
  AKIN_CHECK(
      found == wanted,
      "--unfold {}: its images have {} channel{}, {} takes {}; `akin data pack {} --channels {} --out DIR` makes "
      "such a set",
      o.unfold, found, found == 1 ? "" : "s", o.file, wanted, o.unfold, wanted);
  UnfoldReport report;
  try {
    model.network = unfold_batchnorm(ctx, *model.network, set.images, all_indices(set.images.shape()[0]),
                                     model.info.normalization, &report);
  } catch (const Error& e) {
    fail("--unfold: {}: {}", o.file, e.what());
  }
  model.info.architecture = model.network->architecture();
  if (report.alike)
    warn(fmt::format("--unfold {}: one picture alone ({} images); norms are measured on what differs between many",
                     o.unfold, report.images));
  if (report.still > 0)
    warn(
        fmt::format("{}: {} of {} channels give one number on all {} images of {}: there the norms were measured on "
                    "nothing (too few images, or channels that the network never uses)",
                    o.file, report.still, report.channels, report.images, o.unfold));
  return report;
}

void run(const Options& o) {
  check_output_file(o.out, o.force, {o.file});
  AKIN_CHECK(lower_ending(o.out) == ".safetensors", "{}: a model file ends in .safetensors", o.out);
  Context ctx = start(o.common);
  std::optional<ModelInfo> info = o.foreign.info();
  ImportOptions options{.new_head = o.new_head > 0, .seed = o.seed, .convert_stem = o.channels > 0};
  if (!info && (options.new_head || options.convert_stem)) {  // the file must say what it is
    info.emplace();
    info->architecture.name.clear();
    info->normalization = {{}, {}};
  }
  if (info) {
    if (options.new_head) info->architecture.classes = o.new_head;
    if (options.convert_stem) info->architecture.channels = o.channels;
  }
  ForeignModel foreign = load_foreign(ctx, o.file, info ? &*info : nullptr, options);
  ModelInfo& found = foreign.model.info;
  if (!o.size.empty()) {
    const ImageFormat format = parse_size(o.size);
    if (found.height != format.height || found.width != format.width) forget_accuracy(found);
    found.height = format.height;
    found.width = format.width;
  }
  Fit fit = found.fit;
  if (o.crop > 0) fit = {.crop = o.crop, .filter = fit.filter};
  if (o.stretch) fit = {.stretch = true, .filter = fit.filter};
  if (!o.filter.empty()) fit.filter = filter_of(o.filter, "--filter");
  if (fit != found.fit) forget_accuracy(found);
  found.fit = fit;
  if (!o.names.empty()) {
    found.classes = read_names(o.names);
    AKIN_CHECK(static_cast<std::int64_t>(found.classes.size()) == found.architecture.classes,
               "{}: {} names, the network tells {} classes apart", o.names, found.classes.size(),
               found.architecture.classes);
    for (const std::string& name : names_twice(found.classes))
      warn(fmt::format("{}: two classes are called '{}'", o.names, name));
  }
  if (!o.task.empty() && o.task != found.task) {
    forget_accuracy(found);
    found.task = o.task;
  }
  UnfoldReport unfolded;
  if (!o.unfold.empty()) unfolded = unfold(ctx, o, foreign.model);
  make_parent(o.out);
  save_model(o.out, *foreign.model.network, found);
  const ImportReport& r = foreign.report;
  if (o.common.json) {
    print(json_text({{"model", o.out},
                     {"architecture", found.architecture.name},
                     {"width", found.architecture.width},
                     {"channels", found.architecture.channels},
                     {"classes", found.architecture.classes},
                     {"parameters", count_trainable(foreign.model.network->parameters())},
                     {"prefix", r.prefix.text},
                     {"renamed", r.renamed},
                     {"reshaped", r.reshaped},
                     {"ignored", r.ignored},
                     {"fresh", r.fresh},
                     {"unfolded_by_images", unfolded.images > 0 ? Json(unfolded.images) : Json(nullptr)},
                     {"suspect", r.suspect}}));
    return;
  }
  if (!r.prefix.text.empty())
    print(fmt::format("prefix    \"{}\" taken off {} names\n", r.prefix.text, r.prefix.names));
  if (!r.renamed.empty())
    print(fmt::format("renamed   {} tensors from timm's names to torchvision's\n", r.renamed.size()));
  print(lines("reshaped", r.reshaped) + lines("ignored", r.ignored) + lines("fresh", r.fresh) +
        lines("all zero", r.suspect));
  if (unfolded.images > 0)
    print(fmt::format("unfolded  batch norms of {} channels, measured on {} images of {}\n", unfolded.channels,
                      unfolded.images, o.unfold));
  print(fmt::format("{}: {}, {} channels, {} classes, {} parameters\n", o.out, found.architecture.name,
                    found.architecture.channels, found.architecture.classes,
                    count_trainable(foreign.model.network->parameters())));
}

}  // namespace

void add_import(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("import", "Make a model file of another program's weights");
  const auto o = std::make_shared<Options>();
  app->add_option("file", o->file,
                  "Weights: .safetensors or PyTorch's .pth with the names of torchvision or timm, or quantised beside a "
                  ".graph.json")
      ->required()
      ->type_name("FILE");
  app->add_option("--out", o->out, "Model file to write")->required()->type_name("FILE");
  add_foreign(*app, o->foreign);
  const char* group = "What the model file shall say";
  app->add_option("--size", o->size, "Images it was trained on, height x width")->type_name("HxW")->group(group);
  CLI::Option* crop =
      app->add_option("--crop", o->crop,
                      "Share of a picture's largest centred part of that shape that it sees: 0.875 for 224 out of 256")
          ->check(number_in(1e-3, 1))
          ->group(group);
  app->add_flag("--stretch", o->stretch, "It sees the whole picture, squeezed into that shape")
      ->excludes(crop)
      ->group(group);
  app->add_option("--filter", o->filter, "How pictures are resized for it: bilinear or bicubic")
      ->check(one_of({"bilinear", "bicubic"}))
      ->type_name("NAME")
      ->group(group);
  app->add_option("--class-names", o->names, "A line a class")->type_name("FILE")->group(group);
  app->add_option("--task", o->task, "What it was trained on, in words")->group(group);
  const char* changes = "Weights that shall not fit as they are";
  app->add_option("--new-head", o->new_head, "A head for this number of classes, random by --seed")
      ->transform(whole_in(1, 1'000'000))
      ->group(changes);
  app->add_option("--channels", o->channels,
                  "1: the first layer's weights summed over R, G, B; 3: a third of a grey layer's for each")
      ->check(CLI::IsMember({1, 3}))
      ->transform(whole_in(0, kMostImages))
      ->group(changes);
  app->add_option("--unfold", o->unfold,
                  "Put batch norms back into a network without: they are measured on images of this data set, and the "
                  "network says the same and can be trained")
      ->type_name("DIR")
      ->group(changes);
  app->add_option("--seed", o->seed, "Of a new head")
      ->transform(whole_in(0, std::numeric_limits<std::int64_t>::max()))
      ->group(changes);
  app->add_flag("--force", o->force, "Replace the file")->configurable(false);
  add_common(*app, o->common);
  app->footer(
      "Every tensor must be taken or explained: missing, unexpected and misshapen ones are listed in one error; what "
      "was\n"
      "renamed, reshaped, ignored (auxiliary heads) or is fresh (a new head) is printed.\n\n"
      "Example:\n  akin import resnet18.safetensors --arch resnet18 --mean .485,.456,.406 --std .229,.224,.225 \\\n"
      "    --size 224x224 --out bank/resnet18.safetensors");
  app->callback([o] { run(*o); });
}

}  // namespace akin
