// The linear probe: what a source's features are worth with nothing trained but a head.
#pragma once

#include "distill/student/train.hpp"
#include "nn/logistic.hpp"

namespace akin {

/// A head for the target's classes on a source's features.
struct ProbeHead {
  std::vector<double> mean, scale;  ///< of the features: the head works on (x - mean) * scale
  LogisticFit fit;
  double l2 = 0;
  /// f32 [N, C] for features f32 [N, D].
  Array logits(const Array& features) const;
};

/// Takes mean and 1 / deviation of the columns of features f32 [N, D]; a constant one counts for nothing.
void standardise(ProbeHead& head, const Array& features);
/// (x - mean) * scale [N, D]
std::vector<double> standardised(const ProbeHead& head, const Array& features);

/// The head for features as the source gives them: standardising goes into weight and bias. {[C, D], [C]}
std::pair<Array, Array> plain_head(const ProbeHead& head);

struct LinearProbe {
  ProbeHead last;                 ///< with Settings::probe_l2, or 1 / labelled images where that is 0
  ProbeHead best;                 ///< with the strength that does best on the validation images; they have one if any
  std::vector<CurvePoint> curve;  ///< a point for each strength tried: its number from 1, training loss, validation
  std::int64_t best_point = 0;    ///< 0: no validation images
  double last_validation = -1, best_validation = -1, seconds = 0;
};

/// Strengths of the penalty that validation images choose from, strongest first.
std::span<const double> probe_strengths();

/// Multinomial logistic regression on the source's features of the labelled images, standardised over those. Images are
/// as they are, without augmentation. Error where the source is a table: it has no features of other images.
LinearProbe train_linear_probe(Context& ctx, const Task& task, const Source& source, const Settings& settings,
                               const OutputOptions& outputs);

/// The source's features of images `index` of a set (outputs_of).
Array features_of(Context& ctx, const Source& source, const ImageSet& set, const Indices& index,
                  const OutputOptions& outputs);

/// The source's network with the head in place of its own; without a network where its head is not linear (SqueezeNet).
Model probe_model(Context& ctx, const Task& task, const Source& source, const ProbeHead& head);

/// Writes the model; without a network the head alone: fc.weight [C, D] and fc.bias [C] for the source's features.
void save_probe(const std::filesystem::path& file, const Model& model, const Source& source, const ProbeHead& head);

}  // namespace akin
