// akin features: what a model says of every image of a data set, as a table that `akin rank` and `akin distill` take.
#include <cstring>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "apps/output_cache_place.hpp"
#include "apps/ranks.hpp"
#include "apps/run_folder.hpp"
#include "distill/task/outputs.hpp"
#include "engine/io/json.hpp"
#include "engine/io/npy.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/seal.hpp"
#include "engine/io/text.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  std::string model, data, split = "target", out, cache;
  FormatFlags format;
  ForeignFlags foreign;
  bool match_channels = false, force = false;
};

ImageSet load(const Options& o, const ModelInfo& info) {
  const ImageFormat format = format_for(o.format.format(), info);
  if (o.split == "target") return is_data_set(o.data) ? load_pool(o.data, format) : load_pictures(o.data, format);
  for (const Split split : {Split::train, Split::test, Split::unlabeled})
    if (split_word(o.split) == name_of(split)) return load_images(o.data, split, format);
  fail("--split {}: is no split", o.split);
}

/// A folder of --out, for this process alone; nothing where a file is meant. Throws where a table is there.
std::unique_ptr<FolderLock> owned_folder(const Options& o) {
  const std::filesystem::path path = o.out;
  check_outside(path, o.data);
  if (lower_ending(path) == ".safetensors") {
    check_output_file(path, o.force, {o.model});
    return nullptr;
  }
  refuse_other_parts(path);
  auto lock = std::make_unique<FolderLock>(path);
  for (const char* part : {"features.npy", "logits.npy", "table.json"}) check_output_file(path / part, o.force, {});
  return lock;
}

void run(Options& o) {
  const std::shared_ptr<Ranks> ranks = join_ranks(o.common);
  const bool first = ranks == nullptr || ranks->is_first();  // it alone writes
  const std::filesystem::path path = o.out;
  const std::unique_ptr<FolderLock> owner = first ? owned_folder(o) : nullptr;
  Context ctx = start(o.common);
  use_ranks(ctx, ranks);
  const std::optional<ModelInfo> info = o.foreign.info();
  const Source source = model_source(o.model, load_model(ctx, o.model, info ? &*info : nullptr), info.has_value());
  const Model& model = source.model;
  const ImageSet set = load(o, model.info);
  tell(o.common, set);
  say_preparation(o.common, model, o.model, set);
  const std::int64_t channels = set.images.shape()[3], wanted = model.info.architecture.channels;
  const bool possible = channels == 1 || wanted == 1;
  AKIN_CHECK(channels == wanted || (o.match_channels && possible),
             "{}: expects images of {} channels, those of {} have {}{}", o.model, wanted, o.data, channels,
             possible ? "; --match-channels turns grey to colour and colour to grey" : "");
  const std::int64_t N = set.images.shape()[0];
  const std::string images = content_hash(set);
  if (ranks != nullptr) check_same(*ranks, model.hash + " " + images, "model or images");
  const Events events = make_events(o.common);
  const OutputCachePlace cache(o.cache, o.data);
  const Outputs out =
      outputs_of(ctx, source, set, all_indices(N),
                 {.cache = cache.folder(),
                  .match_channels = o.match_channels,
                  .progress = [&](std::int64_t done) { events.progress("features", done, N, "images", ""); },
                  .tell = [&](const std::string& line) { events.stage(line); }});
  if (!first) return;
  const std::vector<std::int32_t> labels(set.labels.begin(), set.labels.end());
  const Array label_array = labels.empty() ? Array() : Array::from(labels, {static_cast<std::int64_t>(labels.size())});
  TableRows rows = rows_of(set, images);
  rows.model_sha256 = model.hash;
  if (lower_ending(path) == ".safetensors") {
    SafeTensors file;
    file.add("features", out.features);
    file.add("logits", out.logits);
    if (!labels.empty()) file.add("labels", label_array);
    file.metadata = {{"format", "akin-table-1"},
                     {"model", readable_text(o.model)},
                     {"task", model.info.task},
                     {"images", set.name},
                     {"split", o.split}};
    add_rows(file, rows);
    seal(file);
    make_parent(path);
    write_safetensors(path, file);
  } else {
    write_npy(path / "features.npy", out.features);
    write_npy(path / "logits.npy", out.logits);
    if (!labels.empty())
      write_npy(path / "labels.npy", label_array);
    else
      remove_file(path / "labels.npy");  // of an older table
    if (!write_rows(path, rows))
      warn(
          fmt::format("{}: the names of the images' files are not written, for one of them has two lines; a table in a "
                      "file (--out NAME.safetensors) keeps them",
                      o.out));
  }
  if (o.common.json)
    print(json_text(
        {{"table", o.out}, {"images", N}, {"features", out.features.shape()[1]}, {"classes", out.logits.shape()[1]}}));
  else
    print(fmt::format("{}: {} images, {} features, {} logits\n", o.out, N, out.features.shape()[1],
                      out.logits.shape()[1]));
}

}  // namespace

void add_features(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("features", "Write a model's features and logits of all images as a table");
  const auto o = std::make_shared<Options>();
  app->add_option("--model", o->model, "Model file")->required()->type_name("FILE");
  app->add_option("--data", o->data, "Folder of the data set, or of pictures without train/ and test/")
      ->required()
      ->type_name("DIR")
      ->group("Data");
  app->add_option("--split", o->split,
                  "target: train followed by unlabeled, what rank and distill expect of a source; or train, test, "
                  "unlabeled")
      ->check(one_of({"target", "train", "test", "unlabeled", "unlabelled"}))
      ->group("Data");
  add_format(*app, o->format);
  app->add_flag("--match-channels", o->match_channels, "Turn grey to colour and colour to grey as the model expects")
      ->group("Data");
  add_foreign(*app, o->foreign);
  app->add_option("--out", o->out, "A .safetensors file, or a folder for .npy files")
      ->required()
      ->type_name("FILE|DIR")
      ->group("Run");
  app->add_flag("--force", o->force, "Replace a table that is there")->configurable(false)->group("Run");
  add_cache(*app, o->cache);
  add_common(*app, o->common);
  add_ranks(*app, o->common);
  app->footer(
      "Tensors: features [N, D] and logits [N, C] as f32, labels [N] as i32, a row an image in the data set's "
      "order.\n\n"
      "Example:\n  akin features --model runs/fashion/model.safetensors --data data/mnist --out fashion.safetensors");
  app->callback([o] { run(*o); });
}

}  // namespace akin
