#include "apps/classify.hpp"

#include <iostream>

#include "engine/io/text.hpp"

namespace akin {

CLI::Option* add_classifier(CLI::App& app, ClassifierFlags& flags) {
  CLI::Option* model =
      app.add_option("model", flags.model, "Model file: a student, an imported network, a probe")->type_name("MODEL");
  app.add_option("--size", flags.size, "The network looks at height x width instead of the size its file says")
      ->type_name("HxW")
      ->group("Model");
  app.add_option("--sources", flags.sources,
                 "Of a probe (method probe-cv), which has no network: the models whose features it reads")
      ->default_str("")
      ->type_name("FILE")
      ->group("Model");
  add_foreign(app, flags.foreign);
  return model;
}

Classifier open_classifier(Context& ctx, const ClassifierFlags& flags) {
  const std::optional<ModelInfo> info = flags.foreign.info();
  Classifier out(ctx, flags.model, flags.sources, info ? &*info : nullptr);
  if (!flags.size.empty()) {
    const ImageFormat size = parse_size(flags.size);
    out.set_size(size.height, size.width);
  }
  return out;
}

PredictReport look_at(Context& ctx, const CommonOptions& common, const Classifier& classifier, PictureList& list,
                      std::size_t top, bool bar, const std::function<void(const PictureAnswer&)>& take) {
  if (list.files.empty()) throw_faults(list.faults, "no picture can be read");
  if (!classifier.names_classes())
    warn(fmt::format("{}: does not name its classes; they are numbers here (akin import --class-names gives names)",
                     classifier.file()));
  const Events events = make_events(common);
  say(events, list.account, "pictures");
  const auto N = std::ssize(list.files);
  PredictOptions options{.top = top};
  if (bar) options.progress = [&](std::int64_t done) { events.progress("looking", done, N, "pictures", ""); };
  PredictReport report = predict_pictures(ctx, classifier, list.files, options, take);
  say(events, report.account, "pictures");
  report.faults.insert(report.faults.begin(), list.faults.begin(), list.faults.end());
  return report;
}

void tell_faults(const Faults& faults) {
  for (const std::string& fault : faults) std::cerr << "  " << spelled_controls(fault, false) << '\n';
}

void end_with_faults(const Faults& faults, std::int64_t answered) {
  if (faults.empty()) return;
  tell_faults(faults);
  const std::string rest =
      answered == 0 ? "none was left"
                    : fmt::format("the other {} picture{} answered", answered, answered == 1 ? " is" : "s are");
  fail("{} file{} could not be used (above, a line each); {}", faults.size(), faults.size() == 1 ? "" : "s", rest);
}

}  // namespace akin
