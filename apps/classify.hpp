// What akin predict and akin label share: a classifier and the pictures it looks at.
#pragma once

#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "distill/predict/predictions.hpp"
#include "nn/data/picture_list.hpp"

namespace akin {

struct ClassifierFlags {
  std::string model, size;
  std::vector<std::string> sources;
  ForeignFlags foreign;
};
/// The model as the first argument, --size, --sources and those of weights of another program; the first of them.
CLI::Option* add_classifier(CLI::App& app, ClassifierFlags& flags);
Classifier open_classifier(Context& ctx, const ClassifierFlags& flags);

/// predict_pictures with progress, and what was passed over and what pictures say of themselves told on stderr. `bar`:
/// false where lines on the terminal show how far it is.
PredictReport look_at(Context& ctx, const CommonOptions& common, const Classifier& classifier, PictureList& list,
                      std::size_t top, bool bar, const std::function<void(const PictureAnswer&)>& take);

/// A line on stderr for each.
void tell_faults(const Faults& faults);
/// Names every picture that could not be read on stderr, and throws; nothing where there is none.
void end_with_faults(const Faults& faults, std::int64_t answered);

}  // namespace akin
