// Test images on the page.
#include <cmath>

#include "distill/report/image.hpp"
#include "distill/report/page_parts.hpp"

namespace akin {

namespace {

const Prediction* prediction_of(const SampleImage& image, const MethodResult* method) {
  if (method == nullptr) return nullptr;
  for (const Prediction& p : image.predictions) {
    if (p.method == method->name) return &p;
  }
  return nullptr;
}

std::string tile(const ReportData& data, const SampleImage& image, const std::vector<const Prediction*>& shown) {
  const std::string file = image.name.empty() ? fmt::format("test image {}", image.index) : image.name;
  std::string alt = file + ", " + class_name(data.classes, image.label), lines;
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
  return "<div class=\"tile\"><img src=\"" + data_url(image) + "\" alt=\"" + e(alt) + "\"><b>" +
         html_name(class_name(data.classes, image.label)) + "</b>" + lines + "<span class=\"file\">" + html_name(file) +
         "</span></div>\n";
}

}  // namespace

std::string errors_section(const ReportData& data) {
  if (data.errors.empty()) return {};
  const std::string method =
      data.errors.front().predictions.empty() ? "" : data.errors.front().predictions.front().method;
  std::string out =
      "<section>\n<h2>Surest mistakes</h2>\n<p class=\"soft\">Test images that " + e(method) +
      " calls wrong and is surest of: above what the label says, below what it says, how sure it is, and the "
      "file. Some may be labelled wrong.</p>\n<div class=\"tiles\">\n";
  for (const SampleImage& image : data.errors) {
    std::vector<const Prediction*> shown;
    for (const Prediction& p : image.predictions) shown.push_back(&p);
    out += tile(data, image, shown);
  }
  return out + "</div>\n</section>\n";
}

std::string images_section(const ReportData& data) {
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

}  // namespace akin
