#include "nn/logistic.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

#include "kernels/common/error.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double largest(const Vector& a) {
  double m = 0;
  for (const double v : a) m = std::isnan(v) ? v : std::max(m, std::abs(v));
  return m;
}

/// Rows of so many multiplications each that are worth a thread.
std::int64_t grain_of(std::int64_t work) {
  return std::max<std::int64_t>(1, 200'000 / std::max<std::int64_t>(work, 1));
}

/// out[n, :] = rows x times weights w [D, C], plus the bias that follows them.
void affine(const double* x, std::int64_t N, std::int64_t D, std::int64_t C, const double* w, double* out) {
  parallel_for(N, grain_of(D * C), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      double* z = out + n * C;
      std::copy_n(w + D * C, C, z);
      for (std::int64_t d = 0; d < D; ++d)
        for (std::int64_t c = 0; c < C; ++c) z[c] += x[n * D + d] * w[d * C + c];
    }
  });
}

/// The objective and its gradient at w: weights [D, C], then the bias.
class Objective {
 public:
  Objective(std::span<const double> x, std::span<const int> labels, int classes, double l2)
      : x_(x),
        labels_(labels),
        N_(static_cast<std::int64_t>(labels.size())),
        D_(static_cast<std::int64_t>(x.size()) / N_),
        C_(classes),
        l2_(l2),
        residual_(static_cast<std::size_t>(N_ * C_)) {}

  std::size_t size() const { return static_cast<std::size_t>((D_ + 1) * C_); }

  double operator()(const Vector& w, Vector& gradient) {
    affine(x_.data(), N_, D_, C_, w.data(), residual_.data());
    const double scale = 1 / static_cast<double>(N_);
    double loss = 0;
    for (std::int64_t n = 0; n < N_; ++n) {  // logits become (softmax - one-hot) / N
      double* z = residual_.data() + n * C_;
      const double top = *std::max_element(z, z + C_), own = z[labels_[static_cast<std::size_t>(n)]];
      double sum = 0;
      for (std::int64_t c = 0; c < C_; ++c) sum += z[c] = std::exp(z[c] - top);
      loss += std::log(sum) + top - own;
      for (std::int64_t c = 0; c < C_; ++c) z[c] *= scale / sum;
      z[labels_[static_cast<std::size_t>(n)]] -= scale;
    }
    loss *= scale;
    gradient.assign(size(), 0.0);
    parallel_for(D_ + 1, grain_of(N_ * C_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = 0; n < N_; ++n)
        for (std::int64_t d = begin; d < end; ++d) {
          double* g = gradient.data() + d * C_;
          const double v = d < D_ ? x_[static_cast<std::size_t>(n * D_ + d)] : 1;
          for (std::int64_t c = 0; c < C_; ++c) g[c] += v * residual_[static_cast<std::size_t>(n * C_ + c)];
        }
    });
    for (std::size_t i = 0; i < static_cast<std::size_t>(D_ * C_); ++i) {
      loss += 0.5 * l2_ * w[i] * w[i];
      gradient[i] += l2_ * w[i];
    }
    return loss;
  }

 private:
  std::span<const double> x_;
  std::span<const int> labels_;
  std::int64_t N_, D_, C_;
  double l2_;
  Vector residual_;
};

/// The inverse Hessian that the last steps suggest.
class History {
 public:
  Vector direction(const Vector& gradient) const {
    Vector q = gradient, a(pairs_.size());
    for (std::size_t i = pairs_.size(); i-- > 0;) {
      a[i] = pairs_[i].rho * dot(pairs_[i].s, q);
      for (std::size_t k = 0; k < q.size(); ++k) q[k] -= a[i] * pairs_[i].y[k];
    }
    if (!pairs_.empty()) {
      const double scale = 1 / (pairs_.back().rho * dot(pairs_.back().y, pairs_.back().y));
      for (double& v : q) v *= scale;
    }
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const double b = pairs_[i].rho * dot(pairs_[i].y, q);
      for (std::size_t k = 0; k < q.size(); ++k) q[k] += (a[i] - b) * pairs_[i].s[k];
    }
    for (double& v : q) v = -v;
    return q;
  }
  void add(Vector s, Vector y) {
    const double sy = dot(s, y);
    if (!(sy > 1e-300)) return;  // rounding ate the curvature
    pairs_.push_back({std::move(s), std::move(y), 1 / sy});
    if (pairs_.size() > 20) pairs_.pop_front();
  }
  bool empty() const { return pairs_.empty(); }
  void clear() { pairs_.clear(); }

 private:
  struct Pair {
    Vector s, y;
    double rho;
  };
  std::deque<Pair> pairs_;
};

}  // namespace

LogisticFit fit_logistic(std::span<const double> x, std::span<const int> labels, int classes,
                         const LogisticOptions& options, const LogisticFit* start) {
  AKIN_CHECK(!labels.empty() && classes >= 2 && x.size() % labels.size() == 0 && !x.empty(),
             "logistic regression: {} numbers for {} labels of {} classes", x.size(), labels.size(), classes);
  for (const int label : labels)
    AKIN_CHECK(label >= 0 && label < classes, "logistic regression: label {} of {} classes", label, classes);
  if (!(options.l2 > 0) || !std::isfinite(options.l2))
    fail_usage("logistic regression: l2 {}: must be positive, or separable classes have no solution", options.l2);
  Objective objective(x, labels, classes, options.l2);
  Vector w(objective.size(), 0.0), gradient, next_gradient;
  if (start != nullptr) {
    AKIN_CHECK(start->weight.size() + start->bias.size() == w.size(), "logistic regression: a start of another size");
    std::copy(start->bias.begin(), start->bias.end(), std::copy(start->weight.begin(), start->weight.end(), w.begin()));
  }
  LogisticFit fit;
  fit.loss = objective(w, gradient);
  History history;
  for (; fit.iterations < options.iterations && largest(gradient) > options.tolerance; ++fit.iterations) {
    Vector step = history.direction(gradient);
    const double slope = dot(step, gradient);
    double length = history.empty() ? 1 / std::max(1.0, std::sqrt(dot(gradient, gradient))) : 1;
    const double slack = 1e-15 * std::abs(fit.loss);  // of the objective's own rounding
    Vector next = w;
    double loss = 0;
    bool lower = false;
    for (int halvings = 0; halvings < 40 && !lower; ++halvings, length /= 2) {
      for (std::size_t i = 0; i < w.size(); ++i) next[i] = w[i] + length * step[i];
      loss = objective(next, next_gradient);
      lower = loss <= fit.loss + 1e-4 * length * slope + slack;
    }
    if (!lower) {
      if (history.empty()) break;  // not even downhill: as low as doubles go
      history.clear();
      continue;
    }
    Vector change = next_gradient;
    for (std::size_t i = 0; i < w.size(); ++i) {
      step[i] = next[i] - w[i];
      change[i] -= gradient[i];
    }
    history.add(std::move(step), std::move(change));
    w = std::move(next);
    std::swap(gradient, next_gradient);
    fit.loss = loss;
  }
  fit.gradient = largest(gradient);
  fit.converged = fit.gradient <= options.tolerance;
  const auto middle = w.end() - classes;
  fit.weight.assign(w.begin(), middle);
  fit.bias.assign(middle, w.end());
  AKIN_CHECK(std::isfinite(fit.loss) && std::isfinite(fit.gradient), "logistic regression: features are not finite");
  return fit;
}

std::vector<double> logistic_logits(const LogisticFit& fit, std::span<const double> x, std::int64_t rows) {
  const auto C = static_cast<std::int64_t>(fit.bias.size());
  const auto D = static_cast<std::int64_t>(fit.weight.size()) / C;
  AKIN_CHECK(static_cast<std::int64_t>(x.size()) == rows * D, "logistic regression: {} numbers for {} rows of {}",
             x.size(), rows, D);
  Vector w = fit.weight, out(static_cast<std::size_t>(rows * C));
  w.insert(w.end(), fit.bias.begin(), fit.bias.end());
  affine(x.data(), rows, D, C, w.data(), out.data());
  return out;
}

}  // namespace akin
