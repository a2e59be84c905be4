// akin eval: what a model gets right on a data set, or how far its outputs are from those of another program.
#include <algorithm>
#include <cmath>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "apps/profiling.hpp"
#include "distill/report/table.hpp"
#include "engine/io/json.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  std::string model, data, split = "test";
  FormatFlags format;
  ForeignFlags foreign;
  bool confusion = false;
  std::string reference, images, logits;
  double tolerance = 1e-4;
};

/// Where names are long the columns have the numbers that stand before the names of the rows.
std::string confusion_table(const std::vector<std::string>& classes, const std::vector<std::int64_t>& counts) {
  constexpr std::size_t kShort = 8;
  const bool numbered =
      std::any_of(classes.begin(), classes.end(), [](const std::string& name) { return display_width(name) > kShort; });
  const std::size_t digits = std::to_string(classes.size() - 1).size();
  std::vector<TextTable::Column> columns{{"true \\ said"}};
  for (std::size_t c = 0; c < classes.size(); ++c)
    columns.push_back({numbered ? std::to_string(c) : classes[c], TextTable::Align::right});
  TextTable table(columns);
  for (std::size_t t = 0; t < classes.size(); ++t) {
    std::vector<std::string> cells{numbered ? fmt::format("{:>{}} {}", t, digits, classes[t]) : classes[t]};
    for (std::size_t p = 0; p < classes.size(); ++p) cells.push_back(std::to_string(counts[t * classes.size() + p]));
    table.add(cells);
  }
  return table.str(stdout_columns());
}

void evaluate(Context& ctx, const Options& o, const Model& model) {
  const Split split = o.split == "train" ? Split::train : Split::test;
  const ImageSet set = [&] {
    const StageScope stage(ctx, "load");
    return load_images(o.data, split, format_for(o.format.format(), model.info));
  }();
  tell(o.common, set);
  const bool as_asked = !o.format.size.empty();
  if (as_asked)
    warn_of_size(model, o.model, set);
  else
    say_preparation(o.common, model, o.model, set);
  if (!model.info.classes.empty() && model.info.classes != set.classes)
    warn(fmt::format("{}: its classes ({}) are not those of {} ({}); classes are compared by their order", o.model,
                     some_of(model.info.classes), o.data, some_of(set.classes)));
  const Events events = make_events(o.common);
  const auto N = static_cast<std::int64_t>(set.labels.size());
  const std::vector<int> said = predict(
      ctx, model, set, [&](std::int64_t done) { events.progress("testing", done, N, "images", ""); },
      as_asked || set.fitted);
  const auto classes = std::ssize(set.classes);
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < said.size(); ++i) {
    AKIN_CHECK(said[i] < classes, "{}: calls image {} class {}, but {} has {} classes", o.model, i, said[i], o.data,
               classes);
    wrong += said[i] != set.labels[i];
  }
  // A number for each pair of classes: only where they are shown.
  std::vector<std::int64_t> counts;
  if (o.common.json || o.confusion) counts = confusion_counts(set.labels, said, static_cast<int>(classes));
  const double error = static_cast<double>(wrong) / static_cast<double>(N);
  if (o.common.json) {
    Json rows = Json::array();
    for (std::int64_t t = 0; t < classes; ++t)
      rows.push_back(std::vector<std::int64_t>(counts.begin() + t * classes, counts.begin() + (t + 1) * classes));
    const Json j = {{"model", o.model},
                    {"data", o.data},
                    {"split", o.split},
                    {"images", N},
                    {"wrong", wrong},
                    {"accuracy", 1 - error},
                    {"error_percent", 100 * error},
                    {"classes", set.classes},
                    {"confusion", rows}};
    print(json_text(j));
    return;
  }
  print(fmt::format("{:.2f} % right, {:.2f} % error, {} of {} wrong\n", 100 * (1 - error), 100 * error, wrong, N));
  if (o.confusion) print("\n" + confusion_table(set.classes, counts));
}

/// Largest difference between our logits and those that another program stored beside its images.
void compare(Context& ctx, const Options& o, const Model& model) {
  if (o.images.empty() || o.logits.empty())
    fail_usage("--reference: name its tensors, --reference-images and --reference-logits");
  const SafeTensors file = read_safetensors(o.reference);
  const Array &images = file.at(o.images), &expected = file.at(o.logits);
  AKIN_CHECK(images.dtype() == DType::u8 && images.shape().rank() == 4, "{}: {} is {} {}, expected u8 [N, H, W, C]",
             o.reference, o.images, name_of(images.dtype()), images.shape().str());
  const Outputs out =
      run_network(ctx, *model.network, images, all_indices(images.shape()[0]), model.info.normalization);
  AKIN_CHECK(out.logits.shape() == expected.shape() && expected.dtype() == DType::f32,
             "{}: {} is {} {}, the model gives f32 {}", o.reference, o.logits, name_of(expected.dtype()),
             expected.shape().str(), out.logits.shape().str());
  const auto found = out.logits.as<float>(), wanted = expected.as<float>();
  double worst = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double d = std::abs(static_cast<double>(found[i]) - static_cast<double>(wanted[i]));
    if (!(d <= worst)) worst = d;  // NaN stays
    if (std::isnan(d)) break;
  }
  const bool good = worst <= o.tolerance;
  if (o.common.json)
    print(json_text({{"model", o.model},
                     {"reference", o.reference},
                     {"images", images.shape()[0]},
                     {"largest_difference", worst},
                     {"tolerance", o.tolerance},
                     {"agrees", good}}));
  else
    print(fmt::format("{} images, largest difference of a logit {:.3g}\n", images.shape()[0], worst));
  AKIN_CHECK(good, "{}: the logits differ by up to {:.3g} from {} in {}, allowed is {:.3g}", o.model, worst, o.logits,
             o.reference, o.tolerance);
}

void run(const Options& o) {
  if (o.data.empty() == o.reference.empty()) fail_usage("eval: give --data DIR, or --reference FILE");
  Context ctx = start(o.common);
  const Profiling profiling(o.common, ctx);
  const std::optional<ModelInfo> info = o.foreign.info();
  Model model = load_model(ctx, o.model, info ? &*info : nullptr);
  if (o.reference.empty())
    evaluate(ctx, o, model);
  else
    compare(ctx, o, model);
}

}  // namespace

void add_eval(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("eval", "Measure a model's accuracy, or compare its outputs with a reference");
  const auto o = std::make_shared<Options>();
  app->add_option("--model", o->model, "Model file")->required()->type_name("FILE");
  app->add_option("--data", o->data, "Folder of the data set")->type_name("DIR")->group("Data");
  app->add_option("--split", o->split, "test or train")->check(one_of({"test", "train"}))->group("Data");
  add_format(*app, o->format);
  app->add_flag("--confusion", o->confusion, "Print how often each class was taken for each other")->group("Data");
  add_foreign(*app, o->foreign);
  const char* group = "Comparison with another program";
  app->add_option("--reference", o->reference, "safetensors file with images and the logits another program gives them")
      ->type_name("FILE")
      ->group(group);
  app->add_option("--reference-images", o->images, "Tensor: u8 [N, H, W, C]")->type_name("NAME")->group(group);
  app->add_option("--reference-logits", o->logits, "Tensor: f32 [N, classes]")->type_name("NAME")->group(group);
  app->add_option("--tolerance", o->tolerance, "Largest difference allowed")->check(number_in(0, 1e30))->group(group);
  add_profiling(*app, o->common);
  add_common(*app, o->common);
  app->footer(
      "Example:\n  akin eval --model runs/fashion/model.safetensors --data data/fashion --confusion\n"
      "A file of another program needs its architecture:\n"
      "  akin eval --model resnet20.safetensors --data data/cifar10 --arch resnet20 --shortcut A \\\n"
      "    --mean .485,.456,.406 --std .229,.224,.225");
  app->callback([o] { run(*o); });
}

}  // namespace akin
