#include "distill/demo/birds.hpp"
#include "engine/io/file.hpp"

namespace akin {

namespace {

constexpr const char* kSources[] = {"inat_bird_mobilenet_v2_1.0_224_u8", "inat_insect_mobilenet_v2_1.0_224_u8",
                                    "imagenet_mobilenet_v2_1.0_224_u8"};
constexpr const char* kStart = "imagenet_mobilenet_v1_0.25_128_u8";

std::filesystem::path file_of(const BirdsDemoOptions& o, const std::string& name) {
  for (const char* ending : {".safetensors", ".graph.json"})
    AKIN_CHECK(
        is_there(o.weights / (name + ending)),
        "{}: is not at hand; docs/data.md says where the demo's networks come from, --weights names their folder",
        (o.weights / (name + ending)).string());
  return o.weights / (name + ".safetensors");
}

}  // namespace

BirdsDemoOptions birds_demo_options() {
  BirdsDemoOptions o;
  Settings& student = o.settings;
  student.student = "init";
  student.flip = "h";
  student.optimizer = "adamw";
  student.weight_decay = 0.02;
  student.lr = 0.002;
  student.warmup = 20;
  student.steps = 800;
  return o;
}

void check_birds_files(const BirdsDemoOptions& options) {
  AKIN_CHECK(is_there(options.data),
             "{}: is not at hand; docs/data.md says where the demo's birds come from, --data names their folder",
             options.data.string());
  for (const char* name : kSources) file_of(options, name);
  file_of(options, kStart);
}

PipelineResult run_birds_demo(Context& ctx, const BirdsDemoOptions& options, const PipelineOptions& place,
                              const Events& events) {
  check_birds_files(options);
  std::vector<std::string> sources;
  for (const char* name : kSources) sources.push_back(file_of(options, name).string());
  Settings settings = options.settings;
  settings.init = file_of(options, kStart).string();
  const ImageFormat format{.height = static_cast<int>(options.side), .width = static_cast<int>(options.side)};
  const GridTarget target{
      .name = "birds", .load = [&] { return load_target(options.data, format); }, .data = options.data};
  LabelManifest labels;
  labels.draw.labels_per_class = options.labels_per_class;
  const Grid grid = single_grid(target, labels, sources,
                                {Method::scratch, Method::fixmatch, Method::equal, Method::nearest, Method::weighted},
                                options.seeds, settings);
  PipelineResult result = run_pipeline(ctx, grid, place, events);
  if (!result.finished) return result;

  ReportData& r = result.report;
  r.title = fmt::format("akin demo: twenty birds from {} labels", r.labelled);
  r.task = {{"target", fmt::format("CUB-200-2011, 20 species, {0}x{0} colour", options.side)},
            {"labelled images", fmt::format("{} ({} a class)", r.labelled, options.labels_per_class)},
            {"unlabelled images", std::to_string(r.unlabelled)},
            {"sources", "three MobileNetV2 of 224x224: iNaturalist birds, iNaturalist insects, ImageNet"},
            {"student", "MobileNetV1 of width 0.25, started from ImageNet"}};
  r.student = title_of(Method::weighted);
  r.notes.push_back(
      "All students start from the same ImageNet weights, so Scratch is here transfer from ImageNet; what the others "
      "add "
      "comes from the unlabelled pictures. Some of the bird network's training pictures may show the same species as "
      "the "
      "target's: iNaturalist and CUB-200 are separate collections of overlapping birds.");
  return result;
}

}  // namespace akin
