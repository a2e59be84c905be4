#include "distill/similarity/metrics/cka.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <mutex>

#include "distill/similarity/metrics/gpu_rows.hpp"
#include "kernels/gram.hpp"

namespace akin {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

const char* name_of(CkaForm form) { return form == CkaForm::biased ? "cka" : "cka-debiased"; }

/// One side of the comparison, centred: here, or with a `gpu` there.
class Side {
 public:
  Side(const char* side_name, std::span<const double> x, std::int64_t rows, std::int64_t columns, Context* gpu)
      : name(side_name), n(rows), d(columns) {
    if (gpu != nullptr) {
      there_ = centred_rows(*gpu, x, n, d);
      square = squared_norms(there_);
    } else {
      z_.resize(x.size());
      square.resize(index(rows), 0.0);
      centre_columns<double>(kFast, n, d, x, z_);
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t c = 0; c < d; ++c) square[index(i)] += z_[index(i * d + c)] * z_[index(i * d + c)];
    }
    for (const double s : square) total += s;
  }
  const std::vector<double>& gram() {
    if (!gram_.empty()) return gram_;
    gram_.resize(index(n * n));
    if (there_.ctx != nullptr)
      gram_there().copy_to(gram_.data());
    else
      gram_xxt<double>(kFast, n, d, z_, gram_);
    return gram_;
  }
  /// v(A,B), see the header.
  friend double alignment(Side& a, Side& b) {
    const bool by_rows = a.n < a.d && a.n < b.d;
    if (a.there_.ctx != nullptr)
      return by_rows ? sum_of_products(*a.there_.ctx, a.gram_there(), b.gram_there())
                     : squared_column_products(a.there_, b.there_);
    double sum = 0;
    if (by_rows) {
      const auto &k = a.gram(), &l = b.gram();
      for (std::size_t i = 0; i < k.size(); ++i) sum += k[i] * l[i];
    } else {
      std::vector<double> products(index(a.d * b.d));
      gram_xty<double>(kFast, a.n, a.d, b.d, a.z_, b.z_, products);
      for (const double value : products) sum += value * value;
    }
    return sum;
  }

  const char* name;
  std::int64_t n, d;
  std::vector<double> square;  ///< squared norms of the centred rows
  double total = 0;

 private:
  const Tensor& gram_there() {
    if (!gram_there_.defined()) gram_there_ = gram_of(there_);
    return gram_there_;
  }
  std::vector<double> z_, gram_;
  GpuRows there_;
  Tensor gram_there_;
};

double debias(double v, double n, double sum_ab, double sum_a, double sum_b) {
  return v - n / (n - 2) * sum_ab + sum_a * sum_b / ((n - 1) * (n - 2));
}

/// What is left of a norm after debiasing is rounding noise below this share of it.
constexpr double kNothing = 1e-11;

double ratio(double xy, double xx, double yy) { return xy / std::sqrt(xx) / std::sqrt(yy); }

/// One side's v(A,A) and squared norms of centred rows.
struct Norm {
  const char* name;
  double v, total;
  std::span<const double> square;
};

double value_of(CkaForm form, std::int64_t n, Norm x, Norm y, double xy) {
  if (form == CkaForm::biased) return std::clamp(ratio(xy, x.v, y.v), 0.0, 1.0);
  const auto debiased = [n](const Norm& a, const Norm& b, double v) {
    double sum_ab = 0;
    for (std::size_t i = 0; i < a.square.size(); ++i) sum_ab += a.square[i] * b.square[i];
    return debias(v, double(n), sum_ab, a.total, b.total);
  };
  xy = debiased(x, y, xy);
  for (Norm* side : {&x, &y}) {
    const double whole = side->v;
    side->v = debiased(*side, *side, whole);
    AKIN_CHECK(side->v > kNothing * whole,
               "debiased CKA is undefined: no two of the {} images are alike in {} (one label a class?). Give at "
               "least 2 labels a class, or use a metric that needs none: cka, leep",
               n, side->name);
  }
  return std::clamp(ratio(xy, x.v, y.v), -1.0, 1.0);
}

void check_images(CkaForm form, std::int64_t n) {
  AKIN_CHECK(form == CkaForm::biased || n >= 4,
             "debiased CKA needs at least 4 images, the probe has {}; use more images or the metric cka", n);
}

void check_varies(const char* name, double total, std::int64_t n) {
  AKIN_CHECK(total > 0, "CKA is undefined: {} are the same for all {} images", name, n);
}

double compare(Side& x, Side& y, CkaForm form) {
  check_images(form, x.n);
  for (const Side* side : {&x, &y}) check_varies(side->name, side->total, side->n);
  return value_of(form, x.n, {x.name, alignment(x, x), x.total, x.square}, {y.name, alignment(y, y), y.total, y.square},
                  alignment(x, y));
}

/// The features' side against labels where there are fewer images than columns: neither centred features nor their Gram
/// matrix is in memory.
template <class T>
double against_labels(std::span<const T> x, std::int64_t n, std::int64_t d, const Probe& probe, CkaForm form) {
  check_images(form, n);
  const std::int64_t classes = probe.classes;
  std::vector<double> square(index(n));
  std::map<std::pair<std::int64_t, std::int64_t>, double> sums;  // of blocks by their place, to be added in one order
  std::mutex mutex;
  centred_blocks(kFast, n, d, x, [&](const GramBlock& b) {
    double whole = 0;
    for (std::int64_t r = 0; r < b.rows; ++r) {
      const double* g = b.g + r * b.stride;
      double above[16] = {};
      std::int64_t c = 0;
      if (b.i0 == b.j0) {
        c = r + 1;
        square[index(b.i0 + r)] = g[r];
        whole += g[r] * g[r];
      }
      for (; c + 16 <= b.columns; c += 16)
        for (std::int64_t l = 0; l < 16; ++l) above[l] += g[c + l] * g[c + l];
      for (; c < b.columns; ++c) above[0] += g[c] * g[c];
      for (const double part : above) whole += 2 * part;
    }
    const std::lock_guard lock(mutex);
    sums[{b.i0, b.j0}] = whole;
  });
  double xx = 0, total = 0;
  for (const auto& [place, part] : sums) xx += part;
  for (const double s : square) total += s;
  check_varies("features", total, n);

  // Y^T X of centred Y, from sums over classes of rows less the first one.
  const auto sizes = class_sizes(probe.labels, probe.classes);
  std::vector<double> of_class(index(classes * d), 0.0), mean(index(d), 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    double* to = &of_class[index(probe.labels[index(i)] * d)];
    for (std::int64_t c = 0; c < d; ++c) to[c] += double(x[index(i * d + c)]) - double(x[index(c)]);
  }
  for (std::int64_t k = 0; k < classes; ++k)
    for (std::int64_t c = 0; c < d; ++c) mean[index(c)] += of_class[index(k * d + c)] / double(n);
  double xy = 0, squares = 0, cubes = 0, label_total = 0;
  for (std::int64_t k = 0; k < classes; ++k) {
    double sum = 0;
    for (std::int64_t c = 0; c < d; ++c) {
      const double value = of_class[index(k * d + c)] - sizes[index(k)] * mean[index(c)];
      sum += value * value;
    }
    xy += sum;
    squares += sizes[index(k)] * sizes[index(k)];
    cubes += sizes[index(k)] * sizes[index(k)] * sizes[index(k)];
  }
  const double images = double(n);
  std::vector<double> label_square;
  for (const int label : probe.labels) {
    label_square.push_back(1 - 2 * sizes[index(label)] / images + squares / (images * images));
    label_total += label_square.back();
  }
  const double yy = squares - 2 * cubes / images + squares * squares / (images * images);
  check_varies("labels", label_total, n);
  return value_of(form, n, {"features", xx, total, square}, {"labels", yy, label_total, label_square}, xy);
}

std::vector<double> one_hot(const Probe& probe) {
  std::vector<double> y(probe.labels.size() * static_cast<std::size_t>(probe.classes), 0.0);
  for (std::size_t i = 0; i < probe.labels.size(); ++i) {
    y[i * static_cast<std::size_t>(probe.classes) + static_cast<std::size_t>(probe.labels[i])] = 1;
  }
  return y;
}

/// CKA with weights and any labels from the Gram of the features.
class WeightedCka {
 public:
  WeightedCka(std::vector<double> gram, std::int64_t n, int classes, CkaForm form)
      : gram_(std::move(gram)), n_(n), classes_(classes), form_(form) {}

  double operator()(std::span<const int> counts, std::span<const int> labels) const {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const auto sizes = class_sizes(labels, classes_, counts);
    double n = 0, sizes2 = 0, sizes3 = 0;
    for (const double size : sizes) n += size, sizes2 += size * size, sizes3 += size * size * size;
    if (n < 1) return nan;

    // Weighted centring of the Gram: K'_ij = K_ij - mean_i - mean_j + mean.
    std::vector<double> mean(index(n_), 0.0);
    double overall = 0;
    for (std::int64_t i = 0; i < n_; ++i) {
      const double* row = &gram_[index(i * n_)];
      for (std::int64_t j = 0; j < n_; ++j) mean[index(i)] += counts[index(j)] * row[j];
      mean[index(i)] /= n;
      overall += counts[index(i)] * mean[index(i)] / n;
    }
    double xx = 0, xy = 0, ab = 0, aa = 0, a = 0, bb = 0, b = 0;
    for (std::int64_t i = 0; i < n_; ++i) {
      const int wi = counts[index(i)];
      if (wi == 0) continue;
      const double* row = &gram_[index(i * n_)];
      double row_xx = 0, row_xy = 0;
      for (std::int64_t j = 0; j < n_; ++j) {
        const double weighted = counts[index(j)] * (row[j] - mean[index(i)] - mean[index(j)] + overall);
        row_xx += weighted * (row[j] - mean[index(i)] - mean[index(j)] + overall);
        row_xy += labels[index(i)] == labels[index(j)] ? weighted : 0.0;
      }
      const double ai = row[i] - 2 * mean[index(i)] + overall;
      const double bi = 1 - 2 * sizes[index(labels[index(i)])] / n + sizes2 / (n * n);
      xx += wi * row_xx;
      xy += wi * row_xy;
      a += wi * ai;
      aa += wi * ai * ai;
      b += wi * bi;
      bb += wi * bi * bi;
      ab += wi * ai * bi;
    }
    double yy = sizes2 - 2 * sizes3 / n + sizes2 * sizes2 / (n * n);
    const double floor_x = kNothing * xx, floor_y = kNothing * sizes2;
    if (form_ == CkaForm::debiased) {
      if (n < 4) return nan;
      xx = debias(xx, n, aa, a, a);
      yy = debias(yy, n, bb, b, b);
      xy = debias(xy, n, ab, a, b);
    }
    if (!(xx > floor_x) || !(yy > floor_y)) return nan;
    return std::clamp(ratio(xy, xx, yy), form_ == CkaForm::biased ? 0.0 : -1.0, 1.0);
  }

 private:
  std::vector<double> gram_;
  std::int64_t n_;
  int classes_;
  CkaForm form_;
};

}  // namespace

Similarity cka(const Probe& probe, CkaForm form) {
  Similarity result{name_of(form), 0, check_labels("CKA", probe)};
  check_matrix("CKA", "features", probe.features, probe.labels.size());
  const std::int64_t n = probe.features.shape()[0], d = probe.features.shape()[1];
  Context* gpu = on_gpu(probe) ? probe.ctx : nullptr;
  if (gpu == nullptr && n < d) {
    result.value = with_numbers(probe.features, [&](auto x) { return against_labels(x, n, d, probe, form); });
  } else {
    Side features("features", matrix_of("CKA", "features", probe.features, index(n)), n, d, gpu);
    Side labels("labels", one_hot(probe), n, probe.classes, gpu);
    result.value = compare(features, labels, form);
  }
  const auto sizes = class_sizes(probe.labels, probe.classes);
  if (form == CkaForm::biased && std::all_of(sizes.begin(), sizes.end(), [](double size) { return size <= 1; })) {
    result.warnings.push_back(
        "every probe image has a label of its own, so linear CKA does not depend on the labels; use leep");
  }
  return result;
}

Similarity cka(const Array& x, const Array& y, CkaForm form) {
  AKIN_CHECK(x.shape().rank() == 2, "CKA: features must be a matrix [images, columns], got shape {}", x.shape().str());
  const std::int64_t n = x.shape()[0];
  Side a("the first features", matrix_of("CKA", "the first features", x, index(n)), n, x.shape()[1], nullptr);
  const auto values = matrix_of("CKA", "the second features", y, index(n));
  Side b("the second features", values, n, y.shape()[1], nullptr);
  return {name_of(form), compare(a, b, form)};
}

Resampler cka_resampler(const Probe& probe, CkaForm form) {
  check_labels("CKA", probe);
  const auto x = matrix_of("CKA", "features", probe.features, probe.labels.size());
  const std::int64_t n = probe.features.shape()[0];
  AKIN_CHECK(n <= 8192, "CKA: an interval over {} images needs more memory than is sensible; take at most 8192", n);
  Side side("features", x, n, probe.features.shape()[1], on_gpu(probe) ? probe.ctx : nullptr);
  const auto weighted = std::make_shared<const WeightedCka>(side.gram(), n, probe.classes, form);
  return [weighted](std::span<const int> counts, std::span<const int> labels) { return (*weighted)(counts, labels); };
}

}  // namespace akin
