#include "distill/student/probe_teacher.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "distill/similarity/metrics/linalg.hpp"
#include "distill/task/table.hpp"
#include "engine/io/json.hpp"
#include "engine/io/seal.hpp"
#include "kernels/gram.hpp"

namespace akin {

namespace {

using Vector = std::vector<double>;

// Of weights on features of mean squared length 1, strongest first.
constexpr double kPenalties[] = {1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6};
constexpr std::int64_t kFolds = 5;
constexpr double kLeast = 1e-3;  // of a weight in a stack
constexpr const char *kConcat = "concat", *kStack = "stack";

/// Largest element of a gradient that ends a fit: weights are at most its length / l2 from the best ones.
double slack_of(double l2) { return std::min(1e-6, 1e-4 * l2); }

/// Features of N images up to a rotation, which a penalty on squared weights does not see: never more than N columns.
struct Basis {
  std::int64_t rows = 0, columns = 0;
  Vector z;     ///< [N, r], scaled to a mean squared length of 1
  Vector back;  ///< [N, r]: weights for features X are X^T back w
};

/// K = X X^T [N, N] of features X.
Basis basis_of(const Vector& gram, std::int64_t N) {
  double trace = 0;
  for (std::int64_t i = 0; i < N; ++i) trace += gram[static_cast<std::size_t>(i * N + i)];
  const double scale = trace > 0 ? std::sqrt(static_cast<double>(N) / trace) : 1;
  const Eigen e = eigen_psd(gram, N);
  Basis b;
  b.rows = N;
  for (const double v : e.values) b.columns += v > 1e-10 * e.values[0] && v > 0;
  b.columns = std::max<std::int64_t>(b.columns, 1);
  for (std::int64_t i = 0; i < N; ++i)
    for (std::int64_t k = 0; k < b.columns; ++k) {
      const double root = std::sqrt(std::max(e.values[static_cast<std::size_t>(k)], 0.0));
      const double u = e.vectors[static_cast<std::size_t>(k * N + i)];
      b.z.push_back(scale * u * root);
      b.back.push_back(root > 0 ? scale * u / root : 0);
    }
  return b;
}

Vector picked(const Vector& z, std::int64_t columns, const Indices& rows) {
  Vector out;
  for (const std::int64_t i : rows) out.insert(out.end(), z.begin() + i * columns, z.begin() + (i + 1) * columns);
  return out;
}

/// log softmax of rows, in place.
void log_softmax(Vector& z, std::size_t C) {
  for (std::size_t row = 0; row < z.size(); row += C) {
    const double top = *std::max_element(z.begin() + static_cast<std::ptrdiff_t>(row),
                                         z.begin() + static_cast<std::ptrdiff_t>(row + C));
    double sum = 0;
    for (std::size_t c = 0; c < C; ++c) sum += std::exp(z[row + c] - top);
    for (std::size_t c = 0; c < C; ++c) z[row + c] -= top + std::log(sum);
  }
}

/// Images in training and held out, fold by fold. Those of a class go to the folds in turn, the next class goes on.
struct Fold {
  Indices train, held;
};
std::vector<Fold> folds_of(std::span<const int> labels, std::int64_t classes) {
  const auto N = static_cast<std::int64_t>(labels.size());
  const std::int64_t F = std::min(kFolds, N);
  std::vector<Fold> folds(static_cast<std::size_t>(F));
  std::int64_t turn = 0;
  std::vector<std::int64_t> fold(labels.size());
  for (int c = 0; c < classes; ++c)
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (labels[i] == c) fold[i] = turn++ % F;
  for (std::int64_t i = 0; i < N; ++i)
    for (std::int64_t f = 0; f < F; ++f)
      (fold[static_cast<std::size_t>(i)] == f ? folds[static_cast<std::size_t>(f)].held
                                              : folds[static_cast<std::size_t>(f)].train)
          .push_back(i);
  return folds;
}

struct Validated {
  ProbeTrial trial;
  Vector out_of_fold;  ///< log probabilities [N, C]
};

void score(ProbeTrial& trial, const Vector& log_p, std::span<const int> labels) {
  const std::size_t C = log_p.size() / labels.size();
  trial.log_likelihood = 0;
  std::size_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = log_p.begin() + static_cast<std::ptrdiff_t>(i * C);
    trial.log_likelihood += row[labels[i]] / static_cast<double>(labels.size());
    right += std::max_element(row, row + static_cast<std::ptrdiff_t>(C)) - row == labels[i];
  }
  trial.accuracy = static_cast<double>(right) / static_cast<double>(labels.size());
}

/// The best penalty, from the strongest on until two in turn have made it worse.
Validated validate(const Basis& b, std::span<const int> labels, std::int64_t classes, const std::vector<Fold>& folds) {
  Validated best;
  best.trial.log_likelihood = -std::numeric_limits<double>::infinity();
  std::vector<LogisticFit> last(folds.size());
  std::vector<Vector> x;
  std::vector<std::vector<int>> y;
  for (const Fold& f : folds) {
    x.push_back(picked(b.z, b.columns, f.train));
    y.emplace_back();
    for (const std::int64_t i : f.train) y.back().push_back(labels[static_cast<std::size_t>(i)]);
  }
  int worse = 0;
  for (const double l2 : kPenalties) {
    Vector log_p(labels.size() * static_cast<std::size_t>(classes));
    for (std::size_t f = 0; f < folds.size(); ++f) {
      const bool first = last[f].bias.empty();
      last[f] = fit_logistic(x[f], y[f], static_cast<int>(classes), {.l2 = l2, .tolerance = slack_of(l2), .iterations = 1000},
                             first ? nullptr : &last[f]);
      Vector z = logistic_logits(last[f], picked(b.z, b.columns, folds[f].held), std::ssize(folds[f].held));
      log_softmax(z, static_cast<std::size_t>(classes));
      for (std::size_t k = 0; k < folds[f].held.size(); ++k)
        std::copy_n(z.begin() + static_cast<std::ptrdiff_t>(k) * classes, classes,
                    log_p.begin() + folds[f].held[k] * classes);
    }
    ProbeTrial trial;
    trial.l2 = l2;
    score(trial, log_p, labels);
    worse = trial.log_likelihood > best.trial.log_likelihood ? 0 : worse + 1;
    if (worse == 0) best = {trial, std::move(log_p)};
    if (worse == 2) break;
  }
  return best;
}

/// Weights of the mixture that makes the labels most likely: EM, whose likelihood never falls and has one maximum.
Vector mixture_weights(const std::vector<Validated>& parts, std::span<const int> labels, std::size_t C) {
  Vector w(parts.size(), 1 / static_cast<double>(parts.size()));
  for (int step = 0; step < 2000; ++step) {
    Vector next(w.size(), 0.0);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      Vector p;
      double all = 0;
      for (std::size_t s = 0; s < w.size(); ++s) {
        p.push_back(w[s] * std::exp(parts[s].out_of_fold[i * C + static_cast<std::size_t>(labels[i])]));
        all += p.back();
      }
      for (std::size_t s = 0; s < w.size(); ++s)
        next[s] += (all > 0 ? p[s] / all : w[s]) / static_cast<double>(labels.size());
    }
    double moved = 0;
    for (std::size_t s = 0; s < w.size(); ++s) moved = std::max(moved, std::abs(next[s] - w[s]));
    w = std::move(next);
    if (moved < 1e-9) break;
  }
  return w;
}

/// Mixed log probabilities [N, C].
Vector mixed(const std::vector<const Vector*>& parts, const Vector& w) {
  Vector out(parts[0]->size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    double top = -std::numeric_limits<double>::infinity(), sum = 0;
    for (std::size_t s = 0; s < w.size(); ++s)
      if (w[s] > 0) top = std::max(top, std::log(w[s]) + (*parts[s])[i]);
    for (std::size_t s = 0; s < w.size(); ++s)
      if (w[s] > 0) sum += std::exp(std::log(w[s]) + (*parts[s])[i] - top);
    out[i] = top + std::log(sum);
  }
  return out;
}

/// A source's labelled images.
struct Side {
  ProbeHead blank;  ///< mean and scale
  Vector x;         ///< standardised [N, D]
  std::int64_t D = 0;
};

Vector gram_of(const Vector& x, std::int64_t N, std::int64_t D, double factor) {
  Vector g(static_cast<std::size_t>(N * N));
  gram_xxt(kSpec, N, D, std::span<const double>(x), std::span<double>(g));
  for (double& v : g) v *= factor;
  return g;
}

/// The head on one side's features, which are weighed by `factor`, of a fit on the basis.
ProbeHead head_of(const Side& side, double factor, const Basis& b, const LogisticFit& fit) {
  const auto C = static_cast<std::int64_t>(fit.bias.size());
  Vector a(static_cast<std::size_t>(b.rows * C), 0.0);  // back w
  for (std::int64_t i = 0; i < b.rows; ++i)
    for (std::int64_t k = 0; k < b.columns; ++k)
      for (std::int64_t c = 0; c < C; ++c)
        a[static_cast<std::size_t>(i * C + c)] +=
            b.back[static_cast<std::size_t>(i * b.columns + k)] * fit.weight[static_cast<std::size_t>(k * C + c)];
  ProbeHead head = side.blank;
  head.fit = fit;
  head.fit.weight.assign(static_cast<std::size_t>(side.D * C), 0.0);
  for (std::int64_t i = 0; i < b.rows; ++i)
    for (std::int64_t d = 0; d < side.D; ++d) {
      const double v = factor * side.x[static_cast<std::size_t>(i * side.D + d)];
      for (std::int64_t c = 0; c < C; ++c)
        head.fit.weight[static_cast<std::size_t>(d * C + c)] += v * a[static_cast<std::size_t>(i * C + c)];
    }
  for (double& s : head.scale) s *= factor;
  return head;
}

}  // namespace

Array ProbeTeacher::log_probabilities(const std::vector<const Array*>& features) const {
  const std::size_t C = parts[0].head.fit.bias.size();
  std::vector<Vector> logits;
  Vector weights;
  for (const Part& part : parts) {
    const Array z = part.head.logits(*features[part.source]).cast(DType::f64);
    logits.emplace_back(z.as<double>().begin(), z.as<double>().end());
    weights.push_back(part.weight);
  }
  Vector out;
  if (stacked) {
    std::vector<const Vector*> all;
    for (Vector& z : logits) {
      log_softmax(z, C);
      all.push_back(&z);
    }
    out = mixed(all, weights);
  } else {
    out = std::move(logits[0]);
    for (std::size_t s = 1; s < logits.size(); ++s)
      for (std::size_t i = 0; i < out.size(); ++i) out[i] += logits[s][i];
  }
  log_softmax(out, C);
  const auto N = static_cast<std::int64_t>(out.size() / C);
  return Array::from(out, {N, static_cast<std::int64_t>(C)}).cast(DType::f32);
}

std::string ProbeTeacher::summary() const {
  const auto share = [](const ProbeTrial& t) { return fmt::format("{:.1f} %", 100 * t.accuracy); };
  const ProbeTrial* next = nullptr;
  for (std::size_t i = 0; i < trials.size(); ++i)
    if (i != chosen && (next == nullptr || trials[i].log_likelihood > next->log_likelihood)) next = &trials[i];
  std::string text = trial().name;
  if (parts.size() > 1 || stacked) text += fmt::format(" of {} sources", parts.size());
  text += fmt::format(": {} of the labelled images in cross-validation", share(trial()));
  return next == nullptr ? text : text + fmt::format(" (next: {} {})", next->name, share(*next));
}

ProbeTeacher choose_probe_teacher(const std::vector<Array>& features, const std::vector<std::string>& names,
                                  std::span<const int> labels, std::int64_t classes) {
  const auto N = static_cast<std::int64_t>(labels.size());
  AKIN_CHECK(!features.empty() && features.size() == names.size() && N >= 2,
             "probe teacher: {} sources and {} labelled images (at least 1 and 2)", features.size(), N);
  const std::vector<Fold> folds = folds_of(labels, classes);
  const auto fit = [&](const Basis& b, double l2) {
    return fit_logistic(b.z, labels, static_cast<int>(classes), {.l2 = l2, .tolerance = slack_of(l2)});
  };
  std::vector<Side> sides;
  std::vector<Basis> bases;
  std::vector<Validated> tried;
  Vector all(static_cast<std::size_t>(N * N), 0.0);
  const auto weight = [&](std::size_t s) { return 1 / static_cast<double>(sides[s].D); };
  for (std::size_t s = 0; s < features.size(); ++s) {
    AKIN_CHECK(features[s].shape().rank() == 2 && features[s].shape()[0] == N,
               "probe teacher: source {} has features {} for {} labelled images", names[s], features[s].shape().str(),
               N);
    Side side;
    side.D = features[s].shape()[1];
    standardise(side.blank, features[s]);
    side.x = standardised(side.blank, features[s]);
    sides.push_back(std::move(side));
    const Vector gram = gram_of(sides[s].x, N, sides[s].D, 1);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += weight(s) * gram[i];
    bases.push_back(basis_of(gram, N));
    tried.push_back(validate(bases[s], labels, classes, folds));
    tried[s].trial.name = names[s];
  }
  const std::size_t S = features.size();
  Vector mixture;
  if (S > 1) {
    bases.push_back(basis_of(all, N));
    tried.push_back(validate(bases[S], labels, classes, folds));
    tried[S].trial.name = kConcat;
    const std::vector<Validated> single(tried.begin(), tried.begin() + static_cast<std::ptrdiff_t>(S));
    mixture = mixture_weights(single, labels, static_cast<std::size_t>(classes));
    std::vector<const Vector*> parts;
    for (const Validated& v : single) parts.push_back(&v.out_of_fold);
    Validated stack;
    stack.trial.name = kStack;
    stack.out_of_fold = mixed(parts, mixture);
    score(stack.trial, stack.out_of_fold, labels);
    tried.push_back(std::move(stack));
  }
  ProbeTeacher out;
  for (const Validated& v : tried) {
    if (out.trials.empty() || v.trial.log_likelihood > out.trial().log_likelihood) out.chosen = out.trials.size();
    out.trials.push_back(v.trial);
  }
  if (out.chosen < S) {
    const LogisticFit f = fit(bases[out.chosen], out.trial().l2);
    out.parts.push_back({out.chosen, head_of(sides[out.chosen], 1, bases[out.chosen], f)});
  } else if (out.chosen == S) {
    LogisticFit f = fit(bases[S], out.trial().l2);
    for (std::size_t s = 0; s < S; ++s) {
      out.parts.push_back({s, head_of(sides[s], std::sqrt(weight(s)), bases[S], f)});
      f.bias.assign(f.bias.size(), 0.0);  // once
    }
  } else {
    out.stacked = true;
    double sum = 0;
    for (const double w : mixture) sum += w >= kLeast ? w : 0;
    for (std::size_t s = 0; s < S; ++s)
      if (mixture[s] >= kLeast)
        out.parts.push_back({s, head_of(sides[s], 1, bases[s], fit(bases[s], tried[s].trial.l2)), mixture[s] / sum});
  }
  return out;
}

ProbeTeacher choose_probe_teacher(const Task& task, const std::vector<Source>& sources,
                                  const std::vector<Outputs>& outputs) {
  AKIN_CHECK(outputs.size() == sources.size(), "probe teacher: {} sources and what {} say", sources.size(),
             outputs.size());
  Indices rows;  // of task.target
  for (const std::int64_t i : task.split.labelled)
    rows.push_back(std::lower_bound(task.target.begin(), task.target.end(), i) - task.target.begin());
  std::vector<Array> features;
  std::vector<std::string> names;
  for (std::size_t s = 0; s < sources.size(); ++s) {
    features.push_back(pick_rows(outputs[s].features, rows));
    names.push_back(sources[s].name);
  }
  return choose_probe_teacher(features, names, labels_of(task, task.split.labelled), task.classes());
}

void save_probe_teacher(const std::filesystem::path& file, const ProbeTeacher& probe,
                        const std::vector<Source>& sources, const Task& task) {
  SafeTensors out;
  Json parts = Json::array();
  for (std::size_t k = 0; k < probe.parts.size(); ++k) {
    const ProbeTeacher::Part& part = probe.parts[k];
    const auto [weight, bias] = plain_head(part.head);
    out.add(fmt::format("{}.weight", k), weight);
    out.add(fmt::format("{}.bias", k), bias);
    parts.push_back(
        {{"source", sources[part.source].name}, {"sha256", sources[part.source].hash}, {"weight", part.weight}});
  }
  out.metadata = {{"format", "akin-probe-1"},
                  {"probe", probe.trial().name},
                  {"parts", json_line(parts)},
                  {"mixes", probe.stacked ? "probabilities" : "logits"},
                  {"classes", json_line(task.pool().classes)},
                  {"task", task.pool().name}};
  seal(out);
  write_safetensors(file, out);
}

}  // namespace akin
