// LEEP: Nguyen, Hassner, Seeger, Archambeau, "LEEP: A New Measure to Evaluate Transferability of Learned
// Representations", ICML 2020. NCE: Tran, Nguyen, Hassner, "Transferability and Hardness of Supervised Classification
// Tasks", ICCV 2019. Both look at the source's own predictions, need no two images of a class, and are <= 0.
//
//   P [N,Z] probabilities of the source's classes, y [N] target labels
//   LEEP: J[c,z] = 1/N sum_{i: y_i = c} P[i,z];  p(c|z) = J[c,z] / sum_c J[c,z];  mean_i log sum_z p(y_i|z) P[i,z]
//   NCE:  z_i = argmax P[i,:] (the lowest index among equals); sum_{c,z} p(c,z) log(p(c,z) / p(z)), 0 log 0 = 0
//   Source classes of zero mass are skipped. N Z (2 FLOPs for J, 2 for the sum); C Z doubles of memory.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

Similarity leep(const Probe& probe);
Similarity nce(const Probe& probe);
Resampler leep_resampler(const Probe& probe);
Resampler nce_resampler(const Probe& probe);

}  // namespace akin
