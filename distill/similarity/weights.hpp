// Stage "Weights" of the pipeline: from similarities to the weight of each source in the distillation loss.
//
//   DistillWeighted   alpha_s = m_s^p / sum_j m_j^p,  m = the mapped similarity >= 0, p >= 0
//   DistillEqual      p = 0 (every source, also those whose m is 0)
//   DistillNearest    p = inf: all weight on the most similar source
// Borup, Phoo, Hariharan, "Distilling from Similar Tasks for Transfer Learning on a Budget", ICCV 2023. The mappings
// are akin's: similarities can be negative, and a power needs a number >= 0.
#pragma once

#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace akin {

/// How a similarity s becomes m >= 0. All keep the order of the sources.
struct Mapping {
  enum class Kind {
    clip0,   ///< max(s, 0)
    minmax,  ///< (s - min) / (max - min) over the bank: the least similar source gets 0; 1 for all if all are equal
    rank,    ///< rank of s in the bank over the number of sources: 1/S .. 1, ties averaged
    softmax  ///< exp((s - max) / T)
  };
  Kind kind = Kind::clip0;
  double temperature = 1;  ///< of softmax, > 0
};

/// "clip0", "minmax", "rank", "softmax" (T = 1) or "softmax:T". UsageError otherwise.
Mapping parse_mapping(std::string_view text);
std::string name_of(const Mapping& mapping);

/// m of each source. NaN and infinities are refused.
std::vector<double> map_similarity(std::span<const double> raw, const Mapping& mapping);

/// What becomes of each source, in the order given.
struct Weights {
  std::vector<std::string> sources;
  std::vector<double> raw, mapped, alpha;  ///< alpha sums to 1
  std::size_t nearest = 0;                 ///< index of the largest raw similarity
  std::vector<std::string> warnings;
};

inline constexpr double nearest_only = std::numeric_limits<double>::infinity();

/// alpha for the power p (`nearest_only` for DistillNearest). Largest similarity shared: the lower index is nearest,
/// with a warning. Error if every m is 0 while 0 < p < inf: there is no such weighting, and a silent uniform one would
/// be another method. UsageError if p is negative or not a number.
Weights make_weights(std::vector<std::string> sources, std::vector<double> raw, const Mapping& mapping = {},
                     double p = 12);

/// Text of weights.csv: source,raw,mapped,alpha.
std::string weights_csv(const Weights& weights);

}  // namespace akin
