// What every similarity metric takes and returns.
#pragma once

#include <concepts>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/context.hpp"
#include "engine/dtype.hpp"

namespace akin {

/// One source model's view of the probe: the labelled target images on which similarity is measured.
struct Probe {
  Array features;            ///< [N, D] f32 or f64: the source's penultimate features
  std::vector<int> labels;   ///< [N] in 0..classes-1: the target's labels
  int classes = 0;           ///< C, classes of the target task
  Array probabilities = {};  ///< [N, Z] softmax of the source's own head; only for metrics that say so
  Context* ctx = nullptr;    ///< of a GPU: PARC and CKA are worked out there; nullptr: on the CPU
  Array reference = {};      ///< [N, E] features of a model trained on the target; only for metrics that say so
};

/// How similar one source's task is to the target; higher is more similar, whatever the metric.
struct Similarity {
  std::string metric;
  double value = 0;
  std::vector<std::string> warnings = {};
  double error_bound = 0;  ///< the exact value is no further away; above 0 where a faster way was taken
};

/// A changed probe: image i counts counts[i] >= 0 times, with labels[i].
struct Redraw {
  std::vector<int> counts, labels;
};

/// The metric on changed probes, one or many at a time. NaN where undefined. May be called from several threads at once
/// and does not throw.
class Resampler {
 public:
  using One = std::function<double(std::span<const int> counts, std::span<const int> labels)>;
  using Many = std::function<void(std::span<const Redraw> draws, std::span<double> values)>;
  Resampler() = default;
  /// `many`: the same values for less; without it `one` is called for each.
  template <std::invocable<std::span<const int>, std::span<const int>> F>
  requires(!std::is_same_v<F, Resampler>) Resampler(F one, Many many = {})
      : one_(std::move(one)), many_(std::move(many)) {}

  explicit operator bool() const { return bool(one_); }
  bool takes_many() const { return bool(many_); }
  double operator()(std::span<const int> counts, std::span<const int> labels) const { return one_(counts, labels); }
  void operator()(std::span<const Redraw> draws, std::span<double> values) const;

 private:
  One one_;
  Many many_;
};

/// A metric of features against a reference, with the reference's images in another order (a permutation of them): what
/// shuffled labels are to the others. Like a Resampler it does not throw.
using ReferenceShuffler = std::function<double(std::span<const std::size_t> order)>;

/// A metric that needs the whole bank: the final values from those that `score` gave, one a source, and from the number
/// of weight layers of each source. Throws Error where undefined.
using OverBank = std::function<std::vector<double>(std::span<const double> values, std::span<const int> layers)>;

/// A metric's value, and what its changed probes need.
struct Scored {
  Similarity similarity;
  Resampler resampler;
};

/// A value to come, once: works out what is left to do, or throws what `score` throws.
using Promise = std::function<Similarity()>;

struct Metric {
  std::string name;                  ///< as given on the command line
  std::string title;                 ///< as shown in a report
  double low, high;                  ///< range of the value
  std::string default_mapping;       ///< see distill/similarity/weights.hpp
  bool needs_probabilities = false;  ///< works on Probe::probabilities instead of Probe::features
  bool needs_reference = false;      ///< works on Probe::reference instead of labels
  /// Throws Error where the metric is undefined, with what to do instead.
  std::function<Similarity(const Probe&)> score = {};
  /// Prepares cheap repeated evaluation (bootstrap, permutation); empty: rows are gathered and `score` is called.
  std::function<Resampler(const Probe&)> resampler = {};
  std::function<ReferenceShuffler(const Probe&)> shuffler = {};  ///< with needs_reference
  /// `score` and `resampler` at once where they share their work. Its resampler is empty where there can be none.
  std::function<Scored(const Probe&)> scored = {};
  /// `score` of every probe, where sources share work (all of them on one GPU): the promises are kept in any order,
  /// while the probes live. Empty: each is scored alone.
  std::function<std::vector<Promise>(std::span<const Probe* const>)> score_bank = {};
  OverBank over_bank = {};  ///< empty: `score` says it all

  /// What values are multiplied with for people: 100 where the metric is a correlation or a share.
  double scale() const { return high == 1 ? 100 : 1; }
};

/// Throws Error unless labels and classes are sound; returns warnings (classes without an image).
std::vector<std::string> check_labels(const std::string& metric, const Probe& probe);

/// Throws Error unless `values` is a finite f32 or f64 matrix with a row for each label.
void check_matrix(const std::string& metric, const std::string& what, const Array& values, std::size_t rows);
/// The same; returns it as double.
std::vector<double> matrix_of(const std::string& metric, const std::string& what, const Array& values,
                              std::size_t rows);
/// f(span) of an f32 or f64 array's numbers.
template <class F>
auto with_numbers(const Array& values, F&& f) {
  return values.dtype() == DType::f32 ? f(values.as<float>()) : f(values.as<double>());
}

/// Columns of a matrix with `rows` rows that are the same in all of them. T: float or double.
template <class T>
std::int64_t constant_columns(std::span<const T> matrix, std::int64_t rows);

/// Images of each class, each counted `counts` times (empty: once).
std::vector<double> class_sizes(std::span<const int> labels, int classes, std::span<const int> counts = {});

/// Where the probe asks for a GPU.
inline bool on_gpu(const Probe& probe) { return probe.ctx != nullptr && probe.ctx->gpu != nullptr; }

}  // namespace akin
