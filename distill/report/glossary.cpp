#include <algorithm>

#include "distill/report/page_parts.hpp"

namespace akin {

namespace {

using Words = std::vector<std::pair<std::string, std::string>>;

/// Methods by the names they have on the page (distill/student/method.cpp), where these do not say what they are.
const Words& method_words() {
  static const Words words = {
      {"Scratch", "The student’s network trained on the labelled images and nothing else."},
      {"Transfer",
       "The same, but it starts from the weights of a source that is built alike, or of the model that the run was "
       "told "
       "to start from."},
      {"FixMatch",
       "Learns from unlabelled images without teachers: where the network is sure of an image, it must give the same "
       "answer for a strongly distorted copy."},
      {"FixMatchTransfer", "FixMatch from the start of Transfer."},
      {"FineTune", "The nearest source’s own network, trained on the labels: as large and slow as that source."},
      {"LinearProbe",
       "The nearest source as it is, with a new last layer (logistic regression on its features) for the target’s "
       "classes. "
       "Quick to make; as large and slow to run as that source. Its line in the figure is what the bank gives without "
       "training a student."},
      {"ProbeCV",
       "A linear probe of one source, of all side by side, or a mixture of such probes: what cross-validation on the "
       "labelled images prefers. To run it, every network that it asks must run."},
      {"ProbeTaught",
       "The student learns the labels with one output layer and ProbeCV’s answers on the unlabelled images with "
       "another; "
       "both speak together at the end. As small as Scratch."},
      {"ProbeTaughtTransfer", "ProbeTaught from the start of Transfer."},
      {"DistillEqual", "The student imitates all teachers, with equal weights."},
      {"DistillNearest", "It imitates only the most similar teacher."},
      {"DistillWeighted", "It imitates all, each by its similarity raised to a power, so that near tasks dominate."},
      {"DistillRandom", "It imitates one teacher that the seed drew."},
      {"DistillNearestTransfer", "DistillNearest from the start of Transfer."},
      {"DistillWeightedTransfer", "DistillWeighted from the start of Transfer."},
      {"Oracle (analysis only)", "The best single teacher by test accuracy: nobody could have known it."},
  };
  return words;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> built_in_glossary(const ReportData& data) {
  Words out = {
      {"Teacher",
       "A finished model of another task, also called a source. It is not changed, and its own training "
       "images are not needed: it only answers for the target’s images."},
      {"Student",
       "The small network that learns the target task. While it learns, an extra output per teacher imitates "
       "that teacher’s answers on unlabelled images; at the end these outputs are thrown away."},
  };
  for (const auto& [name, words] : method_words())
    if (std::any_of(data.methods.begin(), data.methods.end(), [&](const MethodResult& m) { return m.name == name; }))
      out.emplace_back(name, words);
  if (!data.sources.empty()) {
    out.emplace_back(
        data.metric,
        "Similarity of a teacher’s features to the target’s labels; higher is nearer. It needs no training.");
    out.emplace_back("Weight", "Share of a teacher in the student’s loss; all weights add up to 1.");
  }
  out.emplace_back("Guessing",
                   "What goes without looking at an image: one of the classes at random, or always the commonest one.");
  out.emplace_back(
      "95 % interval",
      "Where the accuracy on ever more images of this kind may lie, by the number of test images (Wilson’s "
      "score). It says nothing of what other labels or another seed would give.");
  out.emplace_back("± and seed",
                   "A seed fixes every random choice of a run. ± is the standard deviation over seeds; with two or "
                   "three seeds it is itself only a rough guess.");
  out.emplace_back(
      "Validation, test",
      "Validation images draw the curves, choose the step called best and the model to take; test images are "
      "only looked at for the final numbers.");
  return out;
}

}  // namespace akin
