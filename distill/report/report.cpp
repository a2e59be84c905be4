#include "distill/report/report.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "distill/report/html.hpp"
#include "distill/report/verdict.hpp"
#include "kernels/common/error.hpp"

namespace akin {

namespace {

double validation(const MethodResult& method) { return spread_over(method, &Figures::val_accuracy).mean; }

/// "84.1 %"
std::string percent_of(const MethodResult& method) {
  const Spread s = test_accuracy(method);
  return show_percent(s.mean) + " %";  // unbreakable
}

std::string points(double difference) { return show_number(100 * std::abs(difference), 1) + " points"; }

std::string on_labels(const ReportData& data) {
  if (data.labelled < 0) return "on the same labelled images";
  return "on the same " + show_integer(data.labelled) + (data.labelled == 1 ? " labelled image" : " labelled images");
}

/// Does the gap between two methods stand out from what another seed would change?
std::string verdict(const MethodResult& a, const MethodResult& b) {
  const Spread sa = test_accuracy(a), sb = test_accuracy(b);
  const double gap = sa.mean - sb.mean;
  int pairs = 0, ahead = 0;
  for (const Figures& x : a.seeds) {
    for (const Figures& y : b.seeds) {
      if (x.seed != y.seed || !std::isfinite(x.test_accuracy) || !std::isfinite(y.test_accuracy)) continue;
      ++pairs;
      ahead += x.test_accuracy > y.test_accuracy;
    }
  }
  if (sa.n < 2 || sb.n < 2) {
    return "Only one seed was run for at least one of the two, so nothing can be said about what another would give: "
           "run more seeds.";
  }
  const std::string both = "(± " + show_percent(sa.std) + " and ± " + show_percent(sb.std) + " points)";
  std::string line;
  if (std::abs(gap) > sa.std + sb.std) {
    line = "That gap of " + points(gap) + " is larger than the spread over seeds of both together " + both + ".";
  } else {
    line = "That gap of " + points(gap) + " is within the spread over seeds " + both +
           ": more seeds are needed before calling it a difference.";
  }
  if (pairs > 0) {
    line += " Seed by seed, " + a.name + " is ahead in " + show_integer(ahead) + " of " + show_integer(pairs) + ".";
  }
  return line;
}

/// Whether the numbers carry that the first of two methods is the better one. One seed: by the test images on which
/// student and scratch differ, where those are counted.
bool stands_out(const ReportData& data, const MethodResult& a, const MethodResult& b) {
  const Spread sa = test_accuracy(a), sb = test_accuracy(b);
  if (sa.n >= 2 && sb.n >= 2) return std::abs(sa.mean - sb.mean) > sa.std + sb.std;
  const Agreement& n = data.agreement;
  return n.student_only < 0 || n.baseline_only < 0 || sign_test(n.student_only, n.baseline_only) < 0.05;
}

/// The nearest and the farthest source, in words.
std::string about_sources(const ReportData& data) {
  const SourceResult *near = nullptr, *far = nullptr;
  for (const SourceResult& s : data.sources) {
    if (!std::isfinite(s.similarity)) continue;
    if (near == nullptr || s.similarity > near->similarity) near = &s;
    if (far == nullptr || s.similarity < far->similarity) far = &s;
  }
  if (near == nullptr) return {};
  const auto named = [&](const SourceResult& s) {
    return s.name + " (" + data.metric + " " + show_number(data.metric_scale * s.similarity, 1) +
           (std::isfinite(s.alpha) ? ", weight " + show_number(s.alpha, 2) : std::string()) + ")";
  };
  if (near == far) return "Its only measured teacher is " + named(*near) + ".";
  return "The most similar teacher is " + named(*near) + ", the least similar " + named(*far) + ".";
}

}  // namespace

Contest contest_of(const ReportData& data) {
  Contest c;
  std::vector<const MethodResult*> taught;
  for (const MethodResult& m : data.methods) {
    const Spread s = test_accuracy(m);
    if (s.n == 0 || m.role == MethodRole::reference) continue;
    if (m.role == MethodRole::taught) {
      taught.push_back(&m);
      continue;
    }
    if (m.role == MethodRole::labels_only && c.scratch == nullptr) c.scratch = &m;
    if (c.strongest == nullptr || s.mean > test_accuracy(*c.strongest).mean) c.strongest = &m;
  }
  for (const MethodResult* m : taught) {
    if (m->name == data.student) c.student = m;
  }
  if (c.student != nullptr || taught.empty()) return c;
  // The test split must not choose the student, unless there is nothing else to choose by; the page then says so.
  const bool have_validation =
      std::all_of(taught.begin(), taught.end(), [](const MethodResult* m) { return std::isfinite(validation(*m)); });
  c.student_chosen_on_test = !have_validation && taught.size() > 1;
  const auto score = [&](const MethodResult* m) { return have_validation ? validation(*m) : test_accuracy(*m).mean; };
  c.student = *std::max_element(taught.begin(), taught.end(),
                                [&](const MethodResult* a, const MethodResult* b) { return score(a) < score(b); });
  return c;
}

Headline headline_of(const ReportData& data) {
  const Contest c = contest_of(data);
  Headline h;
  if (c.student == nullptr && c.strongest == nullptr) {
    h.title = "No run of this experiment has finished yet";
    return h;
  }
  if (c.student == nullptr) {
    h.title = c.strongest->name + " gets " + percent_of(*c.strongest) + " of the test images right";
    h.lines.push_back("No student taught by other tasks was run, so there is nothing to compare it with.");
    return h;
  }
  const MethodResult& student = *c.student;
  const double mine = test_accuracy(student).mean;
  if (c.strongest == nullptr) {
    h.title = "Taught by other tasks, the student gets " + percent_of(student) + " of the test images right";
    h.lines.push_back("No method without teachers was run, so this page cannot say whether teaching helped.");
  } else {
    const MethodResult& alone = c.scratch != nullptr ? *c.scratch : *c.strongest;
    const MethodResult& rival = *c.strongest;
    const double gap = mine - test_accuracy(alone).mean;
    if (std::abs(gap) < 5e-4) {
      h.title = "Taught by other tasks or not, the student gets " + percent_of(student) + " right";
    } else if (gap > 0 || !stands_out(data, student, alone)) {
      h.title = "Taught by other tasks, the student gets " + percent_of(student) + " right; " +
                (c.scratch != nullptr ? "alone, " : "by " + alone.name + ", ") + percent_of(alone);
    } else {
      h.title = "Teaching did not help here: " + percent_of(student) + " right with teachers, " + percent_of(alone) +
                (c.scratch != nullptr ? " alone" : " by " + alone.name);
    }
    const double lead = mine - test_accuracy(rival).mean;
    std::string line;
    if (c.scratch != nullptr) {
      line = student.name + " and " + alone.name + " train the same network " + on_labels(data) + ". ";
    }
    if (&rival == &alone) {
      line += verdict(student, alone);
    } else if (lead > 0) {
      line += "The strongest method without teachers is " + rival.name + " with " + percent_of(rival) + ". " +
              verdict(student, rival);
    } else {
      line += "But " + rival.name + ", which has no teachers, reaches " + percent_of(rival) +
              (lead < 0 ? ": more than " + student.name + ". " : ": as much as " + student.name + ". ") +
              verdict(student, rival);
    }
    h.lines.push_back(line);
  }
  const MethodResult* best = &student;
  for (const MethodResult& m : data.methods) {
    if (m.role == MethodRole::taught && test_accuracy(m).mean > test_accuracy(*best).mean) best = &m;
  }
  if (best != &student) {
    h.lines.push_back("Of the ways to listen to the teachers, " + best->name +
                      " does best on the test images: " + percent_of(*best) + ".");
  }
  if (c.student_chosen_on_test) {
    h.lines.push_back(student.name +
                      " was chosen for this page by its test accuracy, as no validation accuracy was measured; that "
                      "flatters it.");
  }
  if (const std::string line = about_sources(data); !line.empty()) h.lines.push_back(line);
  return h;
}

std::vector<std::int64_t> pick_samples(std::span<const int> labels, std::span<const int> student,
                                       std::span<const int> baseline, int per_group) {
  AKIN_CHECK(labels.size() == student.size() && labels.size() == baseline.size(),
             "pick_samples: {} labels, but {} and {} predictions (of another split?)", labels.size(), student.size(),
             baseline.size());
  std::vector<std::int64_t> picked;
  for (int group = 0; group < 3; ++group) {
    std::map<int, std::vector<std::int64_t>> by_class;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const bool s = student[i] == labels[i], b = baseline[i] == labels[i];
      if ((group == 0 && s && !b) || (group == 1 && !s && b) || (group == 2 && !s && !b)) {
        by_class[labels[i]].push_back(static_cast<std::int64_t>(i));
      }
    }
    // One of each class in turn, so that no class fills the page.
    int taken = 0;
    for (std::size_t round = 0; taken < per_group && !by_class.empty(); ++round) {
      bool any = false;
      for (const auto& [label, indices] : by_class) {
        if (round >= indices.size() || taken == per_group) continue;
        picked.push_back(indices[round]);
        ++taken;
        any = true;
      }
      if (!any) break;
    }
  }
  return picked;
}

std::vector<std::int64_t> surest_errors(std::span<const int> labels, std::span<const int> predictions,
                                        std::span<const double> confidence, std::size_t limit) {
  AKIN_CHECK(labels.size() == predictions.size() && labels.size() == confidence.size(),
             "surest_errors: {} labels, but {} predictions and {} confidences (of another split?)", labels.size(),
             predictions.size(), confidence.size());
  std::vector<std::int64_t> wrong;
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (predictions[i] != labels[i]) wrong.push_back(static_cast<std::int64_t>(i));
  std::stable_sort(wrong.begin(), wrong.end(), [&](std::int64_t a, std::int64_t b) {
    return confidence[static_cast<std::size_t>(a)] > confidence[static_cast<std::size_t>(b)];
  });
  wrong.resize(std::min(wrong.size(), limit));
  return wrong;
}

Agreement agreement_of(std::span<const int> labels, std::span<const int> student, std::span<const int> baseline) {
  AKIN_CHECK(labels.size() == student.size() && labels.size() == baseline.size(),
             "agreement_of: {} labels, but {} and {} predictions (of another split?)", labels.size(), student.size(),
             baseline.size());
  Agreement a{0, 0, 0, 0};
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool s = student[i] == labels[i], b = baseline[i] == labels[i];
    ++(s ? (b ? a.both : a.student_only) : (b ? a.baseline_only : a.neither));
  }
  return a;
}

std::vector<std::int64_t> confusion_counts(std::span<const int> labels, std::span<const int> predictions, int classes) {
  AKIN_CHECK(labels.size() == predictions.size(), "confusion_counts: {} labels, but {} predictions", labels.size(),
             predictions.size());
  AKIN_CHECK(classes > 0, "confusion_counts: {} classes, expected at least 1", classes);
  const auto k = static_cast<std::size_t>(classes);
  std::vector<std::int64_t> counts(k * k, 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (int v : {labels[i], predictions[i]}) {
      AKIN_CHECK(v >= 0 && v < classes, "confusion_counts: image {} has class {}, expected 0 to {}", i, v, classes - 1);
    }
    ++counts[static_cast<std::size_t>(labels[i]) * k + static_cast<std::size_t>(predictions[i])];
  }
  return counts;
}

}  // namespace akin
