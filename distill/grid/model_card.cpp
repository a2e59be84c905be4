#include "distill/grid/model_card.hpp"

#include <cmath>

#include "distill/grid/card_usage.hpp"
#include "distill/report/html.hpp"
#include "distill/student/train.hpp"
#include "engine/io/sha256.hpp"
#include "engine/io/text.hpp"
#include "nn/cost.hpp"

namespace akin {

namespace {

constexpr const char* kUnknown = "not recorded";

/// Text that means itself in Markdown, on one line.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\`*[]<>|#").find(c) != std::string_view::npos) out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

std::string or_unknown(const std::string& text) { return text.empty() ? kUnknown : plain(text); }

std::string row(const std::vector<std::string>& cells) { return fmt::format("| {} |\n", fmt::join(cells, " | ")); }

std::string percent(double fraction) {
  return std::isfinite(fraction) && fraction >= 0 ? show_percent(fraction, 2) + " %" : std::string(kUnknown);
}

std::string what_it_is(const CardFacts& f) {
  const ModelInfo& info = f.model->info;
  const Architecture& a = info.architecture;
  std::vector<std::string> classes;
  for (const std::string& c : info.classes) classes.push_back(plain(c));
  std::string network = plain(a.name);
  if (a.width > 0) network += fmt::format(", width {}", a.width);
  if (!a.shortcut.empty()) network += ", shortcut " + plain(a.shortcut);
  Context ctx(Device::cpu);
  const Cost cost = cost_of(ctx, *f.model->network, f.height, f.width);
  network += fmt::format("; {} trained numbers, {:.3g} million multiply-adds an image", show_integer(cost.parameters),
                         static_cast<double>(cost.multiply_adds) / 1e6);
  if (f.folded) network += ", before its batch norms were folded into the convolutions";
  std::string text = "| | |\n|---|---|\n";
  text += row({"Task", or_unknown(info.task)});
  text += row({"Classes", fmt::format("{}: {}", a.classes,
                                      classes.empty() ? kUnknown : fmt::format("{}", fmt::join(classes, ", ")))});
  text += row({"Network", network});
  text += row({"Input", fmt::format("{} images of {} x {} (height x width)",
                                    a.channels == 1   ? "grey"
                                    : a.channels == 3 ? "colour (RGB)"
                                                      : fmt::format("{}-channel", a.channels),
                                    f.height, f.width)});
  text +=
      row({"Of a picture", fmt::format("{}, upright; prepare() below is that in Python", fit_in_words(input_of(f)))});
  text += row(
      {"Normalisation", fmt::format("(x / 255 - mean) / std; mean {}, std {}", fmt::join(info.normalization.mean, ", "),
                                    fmt::join(info.normalization.std, ", "))});
  text += row({"Output", "logits, one a class, in the order above; softmax of them gives probabilities"});
  if (const double share = info.architecture.taught_share; share > 0)
    text += row(
        {"Heads", fmt::format("two, of which the output is the mixture: log({:g} softmax(head) + {:g} softmax({})). "
                              "ONNX files, lists of layers and the code below have it inside",
                              1 - share, share, kTaughtHead)});
  text += row({"Made from", fmt::format("{}, SHA-256 {}", plain(f.source), f.model->hash)});
  return text + row({"Exported by", plain(f.akin)});
}

std::string stored_accuracy(const CardFacts& f) {
  const std::string how =
      f.store == WeightStore::f16
          ? "f16"
          : "int8, with a scale for each output channel, those of the head as f16; biases and norms as f32";
  std::string text = fmt::format("\nIts weights are stored as {}. ", how);
  const KeptAccuracy& k = f.kept;
  if (k.images == 0)
    return text + "What that keeps of the accuracy was not measured (`akin export --data DIR` does).\n\n";
  return text + fmt::format(
                    "On the {} test images of {} it is right on {}, with weights in f32 on {}; both give the same "
                    "class on {}.\n\n",
                    show_integer(k.images), plain(k.data), percent(k.stored), percent(k.full), percent(k.alike));
}

std::string accuracy_part(const CardFacts& f) {
  const ModelInfo& info = f.model->info;
  const StudentOrigin& o = f.origin;
  std::string text = "\n## Accuracy\n\n";
  const bool full = f.store == WeightStore::f32;
  text += fmt::format("This model{}, on the test split of its task: {}.\n", full ? "" : " with weights in f32",
                      percent(info.test_accuracy));
  if (!full) text += stored_accuracy(f);
  if (info.validation_accuracy >= 0)
    text += fmt::format("On validation images: {}{}.\n", percent(info.validation_accuracy),
                        info.step >= 0 ? fmt::format(", after step {}", info.step) : "");
  if (!o.known)
    return text + fmt::format("Spread over seeds: {} (no run folder has a record or report of this file).\n", kUnknown);
  text += "\nAll methods of its run, test accuracy in per cent as mean ± standard deviation over seeds:\n\n";
  text += "| method | after the last step | best on validation | seeds |\n|---|---|---|---|\n";
  for (const MethodResult& m : o.report.methods) {
    const Spread last = test_accuracy(m), best = best_test_accuracy(m);
    const std::string mark = m.name == o.method ? " (this model's)" : "";
    text += row({plain(m.name) + mark, show_percent_spread(last.mean, last.std),
                 best.n == 0 ? "–" : show_percent_spread(best.mean, best.std), std::to_string(last.n)});
  }
  if (o.left_out > 0)
    text += fmt::format(
        "\n{} of the folder's students were made with other settings or data than these, and do not count.\n",
        o.left_out);
  return text;
}

std::string training_part(const CardFacts& f) {
  const StudentOrigin& o = f.origin;
  std::string text = "\n## How it was trained\n\n";
  if (!o.known) {
    for (const char* what : {"Method", "Label budget", "Sources", "Settings"})
      text += fmt::format("- {}: {}\n", what, kUnknown);
    return text;
  }
  const ReportData& r = o.report;
  const auto count = [](std::int64_t n) { return n < 0 ? std::string(kUnknown) : show_integer(n); };
  text += fmt::format("- Method: {}{}{}\n", or_unknown(o.method), o.seed.empty() ? "" : ", seed " + o.seed,
                      o.best ? ", at the step that did best on validation images" : "");
  text +=
      fmt::format("- Label budget: {} labelled images, {} unlabelled ones\n", count(r.labelled), count(r.unlabelled));
  for (const auto& [what, value] : r.task) text += fmt::format("- {}: {}\n", plain(what), plain(value));
  text += fmt::format("- Run: {}, {}, akin {}\n", or_unknown(r.time), or_unknown(r.device), or_unknown(r.commit));
  text += "\n### Sources\n\n";
  if (r.sources.empty()) {
    text += o.cell ? "None: the method uses no source.\n" : "None: its run had no bank of source models.\n";
  } else {
    const std::string metric = r.metric_scale == 1 ? r.metric : fmt::format("{} x{:g}", r.metric, r.metric_scale);
    text += o.cell
                ? "The bank, with what was measured of it at this seed; of the weights an experiment keeps the largest."
                : "What the run measured of its bank, and the weights it reports; means over its seeds. Methods "
                  "without sources do not use them, DistillNearest only the most similar one, DistillEqual all alike.";
    text += fmt::format(
        " The heads that imitated the sources served the training and are not part of the files.\n\n"
        "| source | classes | its own test accuracy, % | {} | weight |\n|---|---|---|---|---|\n",
        plain(metric));
    for (const SourceResult& s : r.sources)
      text += row({plain(s.name), s.classes > 0 ? std::to_string(s.classes) : "–", show_percent(s.test_accuracy, 1),
                   show_number(r.metric_scale * s.similarity, 1), show_number(s.alpha, 3)});
    for (const std::string& note : r.ranking_notes) text += "\n" + plain(note) + "\n";
  }
  text += "\n### Settings\n\n";
  if (!r.command.empty()) text += indented(r.command) + "\n";
  return text + (r.config.empty() ? std::string(kUnknown) + "\n" : indented(r.config));
}

}  // namespace

bool lists_file(const std::string& card, const std::string& file) {
  const std::size_t at = card.rfind("\nFiles: ");
  if (at == std::string::npos) return false;
  const std::string list = card.substr(at + 8), name = plain(file);
  const bool first = list.starts_with(name + ", ") || list == name + ".\n";
  return first || list.find(", " + name + ", ") != std::string::npos || list.ends_with(", " + name + ".\n");
}

std::string model_card(const CardFacts& f) {
  std::string text = f.hub ? hub_head(f) : "";
  text += fmt::format("# {}\n\nAn image classifier made with akin.\n\n", plain(f.name)) + what_it_is(f);
  text += accuracy_part(f) + training_part(f);
  text +=
      "\n## Licence\n\nNot stated. It depends on the licences of the images and of the source models, which akin does "
      "not know: add yours here before you pass the model on.\n";
  text += usage_part(f);
  text += "\nFiles: ";
  for (std::size_t i = 0; i < f.files.size(); ++i) text += (i > 0 ? ", " : "") + plain(f.files[i]);
  return spelled_controls(text, true) + ".\n";
}

}  // namespace akin
