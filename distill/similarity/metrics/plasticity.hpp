// Plasticity, the correction for a model's depth in the evaluation of Bolya et al., NeurIPS 2021: deeper models give
// more when they are trained on, whatever a metric of frozen features says.
//
//   plasticity_s = (m_s - mean over the bank) / std over the bank + layers_s / 50       std with S - 1
//
// m any metric. layers: weight layers (convolutions and linear ones, without the 1x1 convolutions of shortcuts: 50 for
// ResNet-50). The value depends on the bank: one more source changes all. Undefined, and an Error: a source whose
// number of layers nobody said, fewer than 2 sources, or all m alike.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

/// For a bank in which every value is defined.
std::vector<double> plasticity(std::span<const double> values, std::span<const int> layers);

}  // namespace akin
