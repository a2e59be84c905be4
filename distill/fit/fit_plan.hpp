// From a folder of pictures and a bank to a run: what is labelled and held out, what the student starts from, who is
// trained, and what that will take.
#pragma once

#include <string>
#include <vector>

#include "distill/grid/grid.hpp"

namespace akin {

struct FitPlan {
  LabelManifest labels;                                                 ///< lists every picture's part
  std::int64_t labelled = 0, validation = 0, unlabelled = 0, test = 0;  ///< pictures
  std::int64_t fewest = 0, most = 0;                                    ///< labelled and validation ones of a class
  std::vector<Method> methods;
  Settings settings;
  std::string start;              ///< name of the network that students start from; empty: random weights
  double seconds = 0;             ///< of teachers and students together, from short measurements
  std::int64_t memory_bytes = 0;  ///< at its highest, about
  std::int64_t disk_bytes = 0;    ///< of students and cached outputs, about
};

/// All labelled pictures, a fifth of each class's (at least one of three) held out to choose by, drawn by the seed;
/// pictures of equal pixels stay together. Those without labels are the unlabelled ones. Error where a class has none,
/// or nothing is left to choose by.
LabelManifest fit_labels(const TargetImages& images, std::uint64_t seed);

/// The smallest network of the bank, by multiply-adds on images of height x width, that takes so many channels; its
/// position in `sources`, or -1.
std::ptrdiff_t smallest_start(Context& ctx, const std::vector<Source>& sources, std::int64_t height, std::int64_t width,
                              std::int64_t channels);

/// `settings`: as the user gave them; of those that name no network (`student` empty) the start is the bank's smallest.
/// Measures each network for a moment. `steps` of settings 0: by the number of labelled pictures.
FitPlan plan_fit(Context& ctx, const TargetImages& images, const std::vector<Source>& sources,
                 const std::vector<std::string>& files, Settings settings, std::uint64_t seed);

/// The settings that a fit starts from: those that were chosen for the grid of docs/results.md.
Settings fit_settings();

}  // namespace akin
