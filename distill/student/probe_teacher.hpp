// A teacher of the target's own classes, made of the bank without training a network: multinomial logistic regression
// of the few labels on the sources' features. Which features (one source's, all side by side, or a mixture of the
// sources' probes) and how strong a penalty is chosen by cross-validation on the labelled images alone.
#pragma once

#include <string>
#include <vector>

#include "distill/student/linear_probe.hpp"

namespace akin {

/// One way that was tried, with the penalty that did best for it.
struct ProbeTrial {
  std::string name;           ///< a source's, "concat" or "stack"
  double log_likelihood = 0;  ///< mean over the labelled images, each predicted by a probe that had not seen it
  double accuracy = 0;        ///< of those predictions, 0..1
  double l2 = 0;              ///< of weights on features scaled to a mean squared length of 1; 0 for the stack
};

class ProbeTeacher {
 public:
  /// A head on one source's features.
  struct Part {
    std::size_t source;
    ProbeHead head;
    double weight = 1;  ///< of its probabilities in a stack
  };

  std::vector<ProbeTrial> trials;  ///< every source, then concat and stack where there are two sources
  std::size_t chosen = 0;          ///< the trial of the largest likelihood
  std::vector<Part> parts;         ///< of the chosen one; their logits are added up, or in a stack mixed
  bool stacked = false;

  const ProbeTrial& trial() const { return trials[chosen]; }
  /// Logarithms of its probabilities, f32 [N, C]. `features`: of each source, f32 [N, D]; only those of `parts` are
  /// looked at.
  Array log_probabilities(const std::vector<const Array*>& features) const;
  /// "concat of 3 sources: 77.1 % of the labelled images in cross-validation (next: birds 74.3 %)", for people.
  std::string summary() const;
};

/// Chooses and fits. `features` [N, D_s] of each source for the N labelled images, standardised over them here; five
/// folds (fewer where there are fewer images), each with its share of every class. The concatenation weighs every
/// source's features by 1 / sqrt(D_s). The stack's weights maximise the likelihood of its out-of-fold mixture (EM);
/// parts below a thousandth are left out. The same inputs give the same bits.
ProbeTeacher choose_probe_teacher(const std::vector<Array>& features, const std::vector<std::string>& names,
                                  std::span<const int> labels, std::int64_t classes);

/// The same from what the sources say of task.target.
ProbeTeacher choose_probe_teacher(const Task& task, const std::vector<Source>& sources,
                                  const std::vector<Outputs>& outputs);

/// Writes the chosen probe: for each part k the tensors "<k>.weight" [C, D] and "<k>.bias" [C], for the features of its
/// source as they are; names, digests and weights of the sources are in the metadata.
void save_probe_teacher(const std::filesystem::path& file, const ProbeTeacher& probe,
                        const std::vector<Source>& sources, const Task& task);

}  // namespace akin
