#include "distill/demo/digits.hpp"

#include <algorithm>

#include "engine/io/file.hpp"
#include "nn/data/glyphs/glyphs.hpp"

namespace akin {

namespace {

// Capital Cyrillic letters: related to the bank's alphabets, in none of them.
constexpr const char* kDrawnTarget = "cyrillic";

}  // namespace

DemoOptions demo_options() {
  DemoOptions o;
  Settings& source = o.bank.settings;
  source.student = "resnet8";
  source.student_width = 16;
  source.epochs = 5;
  source.batch = 64;
  source.lr = 0.1;
  source.warmup = 20;
  Settings& student = o.settings;
  student.student = "resnet8";
  student.student_width = 8;
  student.lr = 0.1;
  student.steps = 1000;
  student.eval_every = 100;
  student.metric = kAutoMetric;  // with two labels a class PARC can hardly tell one alphabet from another
  return o;
}

PipelineResult run_demo(Context& ctx, const DemoOptions& options, const PipelineOptions& place, const Events& events) {
  const bool mnist = !options.glyph_target && is_there(options.data / "mnist");
  BankOptions bank = options.bank;
  bank.folder = place.run_folder / "bank";
  bank.data = options.data;
  // A drawn target keeps a fifth of the font families to itself.
  bank.fonts = mnist ? FontPart::all : FontPart::train;
  const std::shared_ptr<const TargetImages> images = [&] {
    if (mnist) return load_target(options.data / "mnist", {});
    auto [train, test] = glyph_task(kDrawnTarget, FontPart::held_out, options.unlabelled + options.validation + 1000,
                                    4000, bank.side, 77);
    return target_images(std::move(train), std::move(test));
  }();
  LabelManifest labels;
  labels.draw.labels_per_class = options.labels_per_class;
  labels.draw.unlabelled = options.unlabelled;
  labels.draw.validation = options.validation;
  // Too few images for the students are found before the bank takes its time.
  Task first;
  for (const std::uint64_t seed : options.seeds) {
    LabelManifest drawn = labels;
    drawn.draw.seed = seed;
    first = make_task(images, drawn);
  }
  if (place.opened) place.opened(first);
  std::vector<std::string> missing;
  const std::vector<std::filesystem::path> files = make_bank(ctx, bank, events, missing);
  if (files.empty()) return {};
  std::vector<std::string> sources(files.size());
  std::transform(files.begin(), files.end(), sources.begin(), [](const auto& file) { return file.string(); });
  const GridTarget target{.name = mnist ? "mnist" : kDrawnTarget, .load = [&] { return images; }};
  const Grid grid = single_grid(target, labels, sources, options.methods, options.seeds, options.settings);
  PipelineResult result = run_pipeline(ctx, grid, place, events);
  if (!result.finished) return result;

  ReportData& r = result.report;
  const std::string name = mnist ? "handwritten digits" : "Cyrillic capitals in unseen fonts";
  r.title = fmt::format("akin demo: {} from {} labels", name, r.labelled);
  r.task = {{"target", mnist ? "MNIST: handwritten digits, 28x28 grey"
                             : "Cyrillic capitals, drawn in fonts that no source has seen"},
            {"labelled images", fmt::format("{} ({} a class)", r.labelled, options.labels_per_class)},
            {"unlabelled images", std::to_string(r.unlabelled)},
            {"test images", std::to_string(images->test.size())},
            {"sources",
             fmt::format("{}, {} of width {}", sources.size(), bank.settings.student, bank.settings.student_width)},
            {"student", fmt::format("{} of width {}", options.settings.student, options.settings.student_width)}};
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
