#include "distill/demo/digits.hpp"

#include <tuple>

#include "engine/io/sha256.hpp"
#include "nn/data/glyphs/glyphs.hpp"

namespace akin {

namespace {

// Capital Cyrillic letters: related to the bank's alphabets, in none of them.
constexpr const char* kDrawnTarget = "cyrillic";

}  // namespace

DemoOptions demo_options() {
  DemoOptions o;
  ClassifierOptions& source = o.bank.classifier;
  source.architecture = {.name = "resnet8", .width = 16};
  source.epochs = 5;
  source.batch = 64;
  source.train.schedule.base = 0.1;
  source.train.schedule.warmup = 20;
  StudentOptions& student = o.pipeline.student;
  student.architecture = {.name = "resnet8", .width = 8};
  student.train.schedule.base = 0.1;
  student.train.schedule.steps = 1000;
  student.train.eval_every = 100;
  return o;
}

PipelineResult run_demo(Context& ctx, const DemoOptions& options, const Events& events) {
  const bool mnist = !options.glyph_target && std::filesystem::exists(options.data / "mnist");
  BankOptions bank = options.bank;
  bank.folder = options.out / "bank";
  bank.data = options.data;
  // A drawn target keeps a fifth of the font families to itself.
  bank.fonts = mnist ? FontPart::all : FontPart::train;
  std::vector<std::string> missing;
  const std::vector<std::filesystem::path> files = make_bank(ctx, bank, events, missing);
  if (files.empty()) return {};
  std::vector<Source> sources;
  for (const auto& file : files) sources.push_back(open_source(ctx, file));

  ImageSet train_set, test_set;
  if (mnist) {
    train_set = load_images(options.data / "mnist", Split::train);
    test_set = load_images(options.data / "mnist", Split::test);
  } else {
    std::tie(train_set, test_set) = glyph_task(kDrawnTarget, FontPart::held_out,
                                               options.unlabelled + options.validation + 1000, 4000, bank.side, 77);
  }
  PipelineOptions pipeline = options.pipeline;
  // Students of other images or sources are not gone on with.
  pipeline.fingerprint += content_hash(train_set) + content_hash(test_set);
  for (const Source& s : sources) pipeline.fingerprint += s.hash;
  pipeline.fingerprint = sha256_hex(pipeline.fingerprint);
  pipeline.run_folder = options.out;
  pipeline.seeds = options.seeds;
  pipeline.outputs.cache = options.out / "cache";
  const auto target = [&](std::uint64_t seed) {
    return make_task(train_set, test_set, {},
                     {.labels_per_class = options.labels_per_class,
                      .unlabelled = options.unlabelled,
                      .validation = options.validation,
                      .seed = seed});
  };
  PipelineResult result = run_pipeline(ctx, target, sources, pipeline, events);
  if (!result.finished) return result;

  ReportData& r = result.report;
  const std::string name = mnist ? "handwritten digits" : "Cyrillic capitals in unseen fonts";
  r.title = fmt::format("akin demo: {} from {} labels", name, r.labelled);
  r.task = {{"target", mnist ? "MNIST: handwritten digits, 28x28 grey"
                             : "Cyrillic capitals, drawn in fonts that no source has seen"},
            {"labelled images", fmt::format("{} ({} a class)", r.labelled, options.labels_per_class)},
            {"unlabelled images", std::to_string(r.unlabelled)},
            {"test images", std::to_string(test_set.labels.size())},
            {"sources", fmt::format("{}, {} of width {}", sources.size(), bank.classifier.architecture.name,
                                    bank.classifier.architecture.width)},
            {"student",
             fmt::format("{} of width {}", pipeline.student.architecture.name, pipeline.student.architecture.width)}};
  r.student = title_of(Method::weighted);
  r.notes.push_back(fmt::format(
      "The accuracies are those after the last step. The curves, and the step called best, come from {} labelled "
      "images "
      "that no method trains on; who has few labels has no such images, so best is there for comparison only. "
      "Similarities and weights are means over the seeds.",
      options.validation));
  if (!mnist)
    r.notes.push_back(
        "MNIST was not at hand, so the target is a set of characters in fonts that no source has seen. "
        "scripts/get_data.sh mnist fetches MNIST.");
  if (!missing.empty())
    r.notes.push_back(fmt::format("Not at hand, so not among the sources: {}.", fmt::join(missing, ", ")));
  return result;
}

}  // namespace akin
