#include "distill/predict/predictions.hpp"

#include <algorithm>
#include <numeric>

#include "distill/report/csv.hpp"
#include "distill/report/table.hpp"
#include "engine/io/json.hpp"
#include "engine/io/text.hpp"

namespace akin {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kBatchBytes = std::int64_t{32} << 20;
constexpr std::size_t kWidest = 60;  // a name that is longer moves its own line alone

/// For each network the first one that looks at pictures in the same form: means and deviations are taken later.
std::vector<std::size_t> first_alike(const std::vector<Preprocessing>& inputs) {
  std::vector<std::size_t> out;
  for (const Preprocessing& p : inputs)
    out.push_back(static_cast<std::size_t>(std::find_if(inputs.begin(), inputs.end(),
                                                        [&](const Preprocessing& q) {
                                                          return p.height == q.height && p.width == q.width &&
                                                                 p.channels == q.channels && p.fit == q.fit;
                                                        }) -
                                           inputs.begin()));
  return out;
}

std::vector<Guess> best_of(std::span<const float> probabilities, std::size_t top) {
  std::vector<int> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  const std::size_t n = std::min(top, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end(), [&](int a, int b) {
    const float p = probabilities[static_cast<std::size_t>(a)], q = probabilities[static_cast<std::size_t>(b)];
    return p != q ? p > q : a < b;
  });
  std::vector<Guess> out;
  for (std::size_t k = 0; k < n; ++k)
    out.push_back({order[k], static_cast<double>(probabilities[static_cast<std::size_t>(order[k])])});
  return out;
}

/// Rows `index` of u8 [N,H,W,C], where some files could not be read.
Array without_unread(const Array& images, const Indices& index) {
  return std::ssize(index) == images.shape()[0] ? images : pick_images(images, index);
}

std::string padded(const std::string& text, std::size_t width) {
  const std::size_t w = display_width(text);
  return w < width ? text + std::string(width - w, ' ') : text;
}

std::string shown(const fs::path& file) { return spelled_controls(file.string(), false); }

Json json_of(const Guess& g, const std::vector<std::string>& classes) {
  return {{"class", classes[static_cast<std::size_t>(g.class_number)]}, {"probability", g.probability}};
}

}  // namespace

std::int64_t pictures_at_once(const Classifier& classifier) {
  std::int64_t bytes = 0;
  for (const Preprocessing& p : classifier.inputs()) {
    if (p.height <= 0 || p.width <= 0)
      fail_usage("{}: does not say the size of its images; give --size HxW", classifier.file());
    bytes += p.height * p.width * p.channels;
  }
  return std::clamp<std::int64_t>(kBatchBytes / bytes, 8, 256);
}

PredictReport predict_pictures(Context& ctx, const Classifier& classifier, const std::vector<fs::path>& files,
                               const PredictOptions& options, const std::function<void(const PictureAnswer&)>& take) {
  const std::vector<Preprocessing>& inputs = classifier.inputs();
  const auto batch = static_cast<std::size_t>(pictures_at_once(classifier));
  const std::vector<std::size_t> source_of = first_alike(inputs);
  PredictReport report;
  if (options.progress) options.progress(0);
  for (std::size_t begin = 0; begin < files.size(); begin += batch) {
    const std::size_t end = std::min(files.size(), begin + batch);
    const std::vector<fs::path> part(files.begin() + static_cast<std::ptrdiff_t>(begin),
                                     files.begin() + static_cast<std::ptrdiff_t>(end));
    std::vector<Array> images;
    std::vector<std::string> errors(part.size());
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const ImageFormat format = format_of(inputs[k]);
      if (source_of[k] < k) {  // the pictures are read once for all who want them alike
        images.push_back(images[source_of[k]]);
        continue;
      }
      std::vector<std::string> own;
      Account again;  // what was told of the same pictures
      images.push_back(decode_each(part, format, format, {}, k == 0 ? report.account : again, own));
      report.decoded += std::ssize(part);
      for (std::size_t i = 0; i < part.size(); ++i)
        if (errors[i].empty()) errors[i] = own[i];
    }
    Indices read;
    for (std::size_t i = 0; i < part.size(); ++i)
      if (errors[i].empty())
        read.push_back(static_cast<std::int64_t>(i));
      else
        report.faults.push_back(errors[i]);
    if (!read.empty()) {
      for (Array& a : images) a = without_unread(a, read);
      const Array p = classifier.probabilities(ctx, images);
      const auto C = static_cast<std::size_t>(p.shape()[1]);
      for (std::size_t i = 0; i < read.size(); ++i) {
        const auto at = static_cast<std::size_t>(read[i]);
        const PictureAnswer said{part[at], best_of(p.as<float>().subspan(i * C, C), options.top), begin + at};
        ++report.of_class[said.best().class_number];
        ++report.pictures;
        take(said);
      }
    }
    if (options.progress) options.progress(static_cast<std::int64_t>(end));
  }
  return report;
}

PredictionTable::PredictionTable(TableForm form, const std::vector<std::string>& classes,
                                 const std::vector<fs::path>& files, std::size_t top, std::size_t columns)
    : form_(form), classes_(classes), top_(std::min(top, classes.size())) {
  if (form != TableForm::text) return;
  for (const fs::path& file : files)
    if (const std::size_t w = display_width(shown(file)); w <= kWidest) file_width_ = std::max(file_width_, w);
  if (columns == 0) return;
  std::size_t longest = 0;
  for (const std::string& name : classes) longest = std::max(longest, display_width(name));
  const std::size_t others = std::string_view("  probability  ").size() + longest;
  widest_ = std::max<std::size_t>(16, columns - std::min(columns, others));
  file_width_ = std::min(file_width_, widest_);
}

std::string PredictionTable::head() const {
  if (form_ == TableForm::jsonl) return "";
  if (form_ == TableForm::text)
    return padded("file", file_width_) + "  probability  class" + (top_ > 1 ? ", then the next likeliest\n" : "\n");
  std::string text = "file,class,probability";
  for (std::size_t k = 2; k <= top_; ++k) text += fmt::format(",class_{0},probability_{0}", k);
  return text + "\n";
}

std::string PredictionTable::line(const PictureAnswer& p) const {
  if (form_ == TableForm::jsonl) return json_of(p, classes_) + "\n";
  const auto name = [&](const Guess& g) { return classes_[static_cast<std::size_t>(g.class_number)]; };
  if (form_ == TableForm::csv) {
    std::vector<std::string> cells{csv_text(p.file.string())};
    for (const Guess& g : p.guesses) {
      cells.push_back(csv_text(name(g)));
      cells.push_back(fmt::format("{:.6f}", g.probability));
    }
    return csv_line(cells);
  }
  std::string text = padded(shortened(shown(p.file), widest_), file_width_);
  for (std::size_t k = 0; k < p.guesses.size(); ++k) {
    const Guess& g = p.guesses[k];
    text +=
        k == 0 ? fmt::format("  {:>9.1f} %  ", 100 * g.probability) : fmt::format(", {:.1f} % ", 100 * g.probability);
    text += spelled_controls(name(g), false);
  }
  return text + "\n";
}

std::string json_of(const PictureAnswer& p, const std::vector<std::string>& classes) {
  Json j = {{"file", readable_text(p.file.string())}};
  j.update(json_of(p.best(), classes));
  for (std::size_t k = 0; p.guesses.size() > 1 && k < p.guesses.size(); ++k)
    j["top"].push_back(json_of(p.guesses[k], classes));
  return json_line(j);
}

std::string summary(const PredictReport& report, const std::vector<std::string>& classes) {
  constexpr std::size_t kTold = 8;  // and one more is told by its name
  std::vector<std::pair<std::int64_t, int>> most;
  for (const auto& [number, count] : report.of_class) most.emplace_back(-count, number);
  std::sort(most.begin(), most.end());
  std::vector<std::string> parts;
  const std::size_t told = most.size() <= kTold + 1 ? most.size() : kTold;
  for (std::size_t k = 0; k < told; ++k)
    parts.push_back(fmt::format("{} {}", classes[static_cast<std::size_t>(most[k].second)], -most[k].first));
  if (most.size() > told) parts.push_back(fmt::format("{} more classes", most.size() - told));
  return fmt::format("{} picture{}{}{}", report.pictures, report.pictures == 1 ? "" : "s", parts.empty() ? "" : ": ",
                     fmt::join(parts, ", "));
}

}  // namespace akin
