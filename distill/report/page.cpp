// Puts the page together: headline, results, teachers, curves, images, confusions, how to read it, how to repeat it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "distill/report/confusions.hpp"
#include "distill/report/html.hpp"
#include "distill/report/image.hpp"
#include "distill/report/report.hpp"
#include "distill/report/style.hpp"
#include "distill/report/svg.hpp"
#include "distill/report/verdict.hpp"

namespace akin {

namespace {

std::string e(std::string_view text) { return html_escape(text); }

const char* learns_from(MethodRole role) {
  switch (role) {
    case MethodRole::labels_only:
      return "labels only";
    case MethodRole::unlabelled:
      return "+ unlabelled";
    case MethodRole::transferred:
      return "from a source's weights";
    case MethodRole::taught:
      return "+ unlabelled + teachers";
    case MethodRole::reference:
      return "for reference";
  }
  return "";
}

std::string swatch(const ReportData& data, const std::string& method) {
  return fmt::format("<span class=\"swatch\" style=\"background:var(--c{})\"></span>",
                     method_style(data, method).colour);
}

std::string definitions(const std::vector<std::pair<std::string, std::string>>& lines, const char* css = "") {
  std::string out = std::string("<dl") + css + ">";
  for (const auto& [word, meaning] : lines) out += "<dt>" + e(word) + "</dt><dd>" + e(meaning) + "</dd>";
  return out + "</dl>\n";
}

std::string head(const ReportData& data) {
  Headline headline = headline_of(data);
  const std::vector<std::string> verdict = verdict_lines(data);
  headline.lines.insert(headline.lines.begin(), verdict.begin(), verdict.end());
  const Contest contest = contest_of(data);
  const auto taken = std::find_if(data.methods.begin(), data.methods.end(),
                                  [&](const MethodResult& m) { return m.name == data.delivered; });
  // What the run hands over comes first, where that is not the student that the page is about.
  if (!verdict.empty() && contest.student != nullptr && contest.student->name != data.delivered) {
    headline.lines.insert(headline.lines.begin() + std::ssize(verdict), headline.title + ".");
    headline.title = data.delivered + " gets " + show_percent(taken->seeds.front().test_accuracy) +
                     "\u00a0% of the test images right";
  }
  const std::string title = data.title.empty() ? "akin" : data.title;
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"generator\" content=\"akin\">\n<title>" +
      e(title) + "</title>\n<style>" + report_css + "</style>\n</head>\n<body>\n<main>\n<header class=\"lead\">\n";
  out += "<p class=\"run\">" + e(title) + "</p>\n<h1>" + e(headline.title) + "</h1>\n";
  for (const std::string& line : headline.lines) out += "<p>" + e(line) + "</p>\n";
  return out + definitions(data.task) + "</header>\n";
}

/// Common axis of the dots, a little wider than what it shows.
std::pair<double, double> accuracy_range(const ReportData& data) {
  double low = 1, high = 0;
  for (const MethodResult& m : data.methods) {
    for (const Figures& s : m.seeds) {
      if (!std::isfinite(s.test_accuracy)) continue;
      low = std::min(low, s.test_accuracy);
      high = std::max(high, s.test_accuracy);
    }
  }
  if (low > high) return {0, 1};
  const std::vector<double> ticks = nice_ticks(100 * low - 1, 100 * high + 1, 5);
  return {std::max(0.0, ticks.front() / 100), std::min(1.0, ticks.back() / 100)};
}

std::string results(const ReportData& data) {
  if (data.methods.empty()) return {};
  const auto [low, high] = accuracy_range(data);
  const Contest contest = contest_of(data);
  const bool chosen = std::any_of(data.methods.begin(), data.methods.end(),
                                  [](const MethodResult& m) { return best_test_accuracy(m).n > 0; });
  std::string out =
      "<section>\n<h2>Results</h2>\n<p class=\"soft\">Test accuracy in per cent, mean ± standard deviation over "
      "seeds. A dot is one seed, the upright line their mean." +
      std::string(chosen ? " The large number is that after the last step, “best” that of the step which did "
                           "best on validation images; no test image chose it."
                         : "") +
      "</p>\n<table class=\"data\"><thead><tr><th scope=\"col\">Method</th><th scope=\"col\" "
      "class=\"plot\"><span class=\"ends\"><span>" +
      show_percent(low, 0) + "</span><span>" + show_percent(high, 0) +
      " %</span></span></th><th scope=\"col\" class=\"num\">Test, %</th><th scope=\"col\" class=\"num\">Time a "
      "run</th></tr></thead>\n<tbody>\n";
  for (const MethodResult& m : data.methods) {
    const Spread s = test_accuracy(m);
    const double best = best_test_accuracy(m).mean, speed = spread_over(m, &Figures::images_per_second).mean;
    out += std::string("<tr") + (contest.student == &m ? " class=\"student\"" : "") + "><th scope=\"row\">" +
           swatch(data, m.name) + e(m.name) + "<span class=\"under\">" + learns_from(m.role) +
           "</span></th><td class=\"plot\">" + dots_svg(data, m, low, high) + "</td><td class=\"num\">" +
           show_percent_spread(s.mean, s.std);
    if (std::isfinite(best)) out += "<span class=\"under\">best " + show_percent(best) + "</span>";
    out += "</td><td class=\"num\">" + show_seconds(spread_over(m, &Figures::seconds).mean);
    if (std::isfinite(speed)) out += "<span class=\"under\">" + show_count(speed) + " images/s</span>";
    out += "</td></tr>\n";
  }
  return out + "</tbody></table>\n</section>\n";
}

/// Accuracy beside what a model asks of whoever runs it.
std::string costs(const ReportData& data) {
  const bool measured = std::any_of(data.methods.begin(), data.methods.end(), [](const MethodResult& m) {
    return !m.seeds.empty() && m.seeds.front().parameters >= 0;
  });
  if (!measured) return {};
  std::string out =
      "<section>\n<h2>What they cost to run</h2>\n<table class=\"data\"><thead><tr><th "
      "scope=\"col\">Method</th>";
  for (const char* column : {"Test, %", "Parameters", "Multiply-adds", "File", "ms a picture"})
    out += std::string("<th scope=\"col\" class=\"num\">") + column + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const MethodResult& m : data.methods) {
    if (m.seeds.empty()) continue;
    const bool taken = m.name == data.delivered;
    out += std::string("<tr") + (taken ? " class=\"student\"" : "") + "><th scope=\"row\">" + swatch(data, m.name) +
           e(m.name) + (taken ? "<span class=\"under\">student.safetensors</span>" : "") + "</th>";
    for (const std::string& cell : cost_cells(m)) out += "<td class=\"num\">" + e(cell) + "</td>";
    out += "</tr>\n";
  }
  return out +
         "</tbody></table>\n<p class=\"soft\">Of one picture at the size that the network looks at, on the machine "
         "and threads of this run.</p>\n</section>\n";
}

std::string teachers(const ReportData& data) {
  if (data.sources.empty()) return {};
  std::vector<const SourceResult*> order;
  double low = 0, high = 0;
  bool chance = false, interval = false;
  for (const SourceResult& s : data.sources) {
    order.push_back(&s);
    for (double v : {s.similarity, s.similarity_low, s.similarity_high, s.chance}) {
      if (!std::isfinite(v)) continue;
      low = std::min(low, data.metric_scale * v);
      high = std::max(high, data.metric_scale * v);
    }
    chance |= std::isfinite(s.chance);
    interval |= std::isfinite(s.similarity_low) && std::isfinite(s.similarity_high);
  }
  std::stable_sort(order.begin(), order.end(), [](const SourceResult* a, const SourceResult* b) {
    if (std::isfinite(a->similarity) != std::isfinite(b->similarity)) return std::isfinite(a->similarity);
    return a->similarity > b->similarity;
  });
  const std::vector<double> ticks = nice_ticks(low, high, 4);
  const double step = ticks[1] - ticks[0];
  const int decimals = step >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(step) - 1e-9));
  std::string out =
      "<section>\n<h2>How near the teachers’ tasks are</h2>\n<p>Each teacher was trained on another task. " +
      e(data.metric) +
      " measures, on a few labelled target images, how well its features or answers already tell the target’s "
      "classes apart; the weights turn that into how much the student listens to it.</p>\n<p "
      "class=\"soft\">Bar: similarity, nearest first.";
  if (interval) out += " Thin line with ends: bootstrap interval.";
  if (chance) out += " Dashed: what shuffled labels give, so anything below it is chance.";
  out +=
      "</p>\n<table class=\"data\"><thead><tr><th scope=\"col\">Teacher</th><th scope=\"col\" class=\"plot\"><span "
      "class=\"ends\"><span>" +
      show_number(ticks.front(), decimals) + "</span><span>" + show_number(ticks.back(), decimals) +
      "</span></span></th><th scope=\"col\" class=\"num\">" + e(data.metric) +
      (data.metric_scale == 1 ? "" : " × " + show_number(data.metric_scale, 0)) +
      "</th><th scope=\"col\" class=\"num\">Weight</th></tr></thead>\n<tbody>\n";
  for (const SourceResult* s : order) {
    std::string about = s->classes > 0 ? fmt::format("{} classes", s->classes) : std::string();
    if (std::isfinite(s->test_accuracy)) {
      about += (about.empty() ? "" : ", ") + show_percent(s->test_accuracy) + " % on its own task";
    }
    out += "<tr><th scope=\"row\">" + html_name(s->name) + "<span class=\"under\">" + about +
           "</span></th><td class=\"plot\">" + similarity_svg(*s, data.metric_scale, ticks.front(), ticks.back()) +
           "</td><td class=\"num\">" + show_number(data.metric_scale * s->similarity, 1);
    if (std::isfinite(s->similarity_low) && std::isfinite(s->similarity_high)) {
      out += "<span class=\"under\">" + show_number(data.metric_scale * s->similarity_low, 1) + " to " +
             show_number(data.metric_scale * s->similarity_high, 1) + "</span>";
    }
    out += "</td><td class=\"num\">" + show_number(s->alpha, 3) + weight_svg(s->alpha);
    if (std::isfinite(s->mapped)) out += "<span class=\"under\">from " + show_number(s->mapped, 3) + "</span>";
    out += "</td></tr>\n";
  }
  out += "</tbody></table>\n";
  for (const std::string& note : data.ranking_notes) out += "<p class=\"soft\">" + e(note) + "</p>\n";
  return out + "</section>\n";
}

std::string training(const ReportData& data) {
  const std::string accuracy = curves_svg(data, CurveKind::validation_accuracy);
  const std::string loss = curves_svg(data, CurveKind::train_loss);
  if (accuracy.empty() && loss.empty()) return {};
  std::string out = "<section>\n<h2>How they learned</h2>\n<div class=\"charts\">\n";
  for (const std::string& chart : {accuracy, loss}) {
    if (!chart.empty()) out += "<figure>" + chart + "</figure>\n";
  }
  out += "</div>\n<ul class=\"legend\">";
  for (const MethodResult& m : data.methods) {
    const bool drawn = std::any_of(data.curves.begin(), data.curves.end(),
                                   [&](const Curve& c) { return c.method == m.name && !c.points.empty(); });
    if (!drawn) continue;
    const MethodStyle style = method_style(data, m.name);
    out += fmt::format(
        "<li><svg width=\"30\" height=\"10\" aria-hidden=\"true\"><line x1=\"0\" y1=\"5\" x2=\"30\" y2=\"5\" "
        "style=\"stroke:var(--c{});stroke-width:2.2\"{}/></svg>{}</li>",
        style.colour, style.dash.empty() ? "" : " stroke-dasharray=\"" + style.dash + "\"", e(m.name));
  }
  out += "</ul>\n<p class=\"soft\">Thick: mean over seeds; thin: single seeds.";
  if (!loss.empty()) {
    out +=
        " The losses of two methods are different quantities (one adds its teachers’ answers): compare their "
        "shapes, not their heights.";
  }
  return out + "</p>\n</section>\n";
}

const Prediction* prediction_of(const SampleImage& image, const MethodResult* method) {
  if (method == nullptr) return nullptr;
  for (const Prediction& p : image.predictions) {
    if (p.method == method->name) return &p;
  }
  return nullptr;
}

std::string tile(const ReportData& data, const SampleImage& image, const std::vector<const Prediction*>& shown) {
  std::string alt = fmt::format("Test image {}, {}", image.index, class_name(data.classes, image.label)), lines;
  for (const Prediction* p : shown) {
    const bool right = p->label == image.label;
    const std::string answer = class_name(data.classes, p->label);
    const std::string sure = std::isfinite(p->probability) ? show_percent(p->probability, 0) + " %" : "";
    alt += "; " + p->method + ": " + answer + (sure.empty() ? "" : ", " + sure);
    lines += "<span class=\"said\"><span class=\"swatch\" style=\"" +
             fmt::format("background:var(--c{})", method_style(data, p->method).colour) + "\"></span><i class=\"" +
             (right ? "ok\">✓" : "no\">✗") + "</i><span>" + html_name(answer) + " <em>" + e(sure) +
             "</em></span></span>";
  }
  return "<div class=\"tile\"><img src=\"data:image/png;base64," + base64_encode(encode_sample(image)) + "\" alt=\"" +
         e(alt) + "\"><b>" + html_name(class_name(data.classes, image.label)) + "</b>" + lines + "</div>\n";
}

std::string images(const ReportData& data) {
  if (data.samples.empty()) return {};
  const Contest contest = contest_of(data);
  const MethodResult* rival = contest.scratch != nullptr ? contest.scratch : contest.strongest;
  std::string groups[4];
  int counts[4] = {0, 0, 0, 0};
  for (const SampleImage& image : data.samples) {
    const Prediction *s = prediction_of(image, contest.student), *r = prediction_of(image, rival);
    std::size_t group = 3;
    if (s != nullptr && r != nullptr) {
      const bool student = s->label == image.label, other = r->label == image.label;
      group = student && !other ? 0 : !student && other ? 1 : !student ? 2 : 3;
    }
    std::vector<const Prediction*> shown;
    for (const Prediction* p : {s, r}) {
      if (p != nullptr) shown.push_back(p);
    }
    if (shown.empty()) {
      for (const Prediction& p : image.predictions) shown.push_back(&p);
    }
    groups[group] += tile(data, image, shown);
    ++counts[group];
  }
  std::string out = "<section>\n<h2>What they see</h2>\n";
  const std::string a = contest.student != nullptr ? contest.student->name : "";
  const std::string b = rival != nullptr ? rival->name : "";
  const Agreement& n = data.agreement;
  if (!a.empty() && !b.empty()) {
    if (n.both >= 0 && n.student_only >= 0 && n.baseline_only >= 0 && n.neither >= 0) {
      out += "<p>Of " + show_integer(n.both + n.student_only + n.baseline_only + n.neither) + " test images, " +
             show_integer(n.both) + " are right with both, " + show_integer(n.student_only) + " only with " + e(a) +
             ", " + show_integer(n.baseline_only) + " only with " + e(b) + ", " + show_integer(n.neither) +
             " with neither.</p>\n";
    }
    out += "<p class=\"soft\">Above: what the image is. Below: " + swatch(data, a) + e(a) + ", then " +
           swatch(data, b) + e(b) + ", each with how sure it is.</p>\n";
  }
  const std::string titles[4] = {a + " is right, " + b + " is wrong", b + " is right, " + a + " is wrong",
                                 "Both are wrong", counts[0] + counts[1] + counts[2] > 0 ? "Others" : "Test images"};
  for (std::size_t g = 0; g < 4; ++g) {
    if (counts[g] > 0) out += "<h3>" + e(titles[g]) + "</h3>\n<div class=\"tiles\">\n" + groups[g] + "</div>\n";
  }
  return out + "</section>\n";
}

std::vector<std::pair<std::string, std::string>> built_in_glossary(const ReportData& data) {
  return {
      {"Teacher",
       "A finished model of another task, also called a source. It is not changed, and its own training "
       "images are not needed: it only answers for the target’s images."},
      {"Student",
       "The small network that learns the target task. While it learns, an extra output per teacher imitates "
       "that teacher’s answers on unlabelled images; at the end these outputs are thrown away."},
      {"Labels only", "The same network trained on the labelled images and nothing else (“scratch”)."},
      {"FixMatch",
       "Learns from unlabelled images without teachers: where the network is sure of an image, it must give "
       "the same answer for a strongly distorted copy."},
      {"Equal, Nearest, Weighted",
       "Three ways to weigh the teachers: all alike; only the most similar; each by its "
       "similarity raised to a power, so that near tasks dominate."},
      {data.metric,
       "Similarity of a teacher’s features to the target’s labels; higher is nearer. It needs no training."},
      {"Weight", "Share of a teacher in the student’s loss; all weights add up to 1."},
      {"± and seed",
       "A seed fixes every random choice of a run. ± is the standard deviation over seeds; with two or "
       "three seeds it is itself only a rough guess."},
      {"Validation, test",
       "Validation images draw the curves and choose the step called best; test images are only looked at for "
       "the final numbers."},
  };
}

std::string ending(const ReportData& data) {
  std::string out;
  if (!data.notes.empty()) {
    out += "<section>\n<h2>Notes</h2>\n<ul class=\"notes\">";
    for (const std::string& note : data.notes) out += "<li>" + e(note) + "</li>";
    out += "</ul>\n</section>\n";
  }
  out += "<section>\n<h2>How to read this</h2>\n" +
         definitions(data.glossary.empty() ? built_in_glossary(data) : data.glossary, " class=\"words\"") +
         "</section>\n";
  std::vector<std::pair<std::string, std::string>> run;
  if (!data.device.empty()) run.emplace_back("Device", data.device);
  if (data.threads > 0) run.emplace_back("Threads", fmt::format("{}", data.threads));
  if (!data.seeds.empty()) run.emplace_back("Seeds", fmt::format("{}", fmt::join(data.seeds, ", ")));
  if (!data.time.empty()) run.emplace_back("Started", data.time);
  if (std::isfinite(data.seconds)) run.emplace_back("Took", show_seconds(data.seconds));
  if (!data.commit.empty()) run.emplace_back("Version", data.commit);
  if (!data.command.empty() || !data.config.empty() || !run.empty()) {
    out += "<section>\n<h2>Do it again</h2>\n";
    if (!data.command.empty()) out += "<pre>" + e(data.command) + "</pre>\n";
    if (!run.empty()) out += definitions(run);
    if (!data.config.empty()) {
      out += "<details><summary>Configuration in effect</summary><pre>" + e(data.config) + "</pre></details>\n";
    }
    out += "</section>\n";
  }
  return out + "<footer>Made by akin. This file needs no network and loads nothing.</footer>\n";
}

}  // namespace

std::string render_report(const ReportData& data) {
  return head(data) + results(data) + costs(data) + teachers(data) + training(data) + images(data) + confusions(data) +
         ending(data) + "</main>\n</body>\n</html>\n";
}

}  // namespace akin
