#include "distill/student/method.hpp"

#include "engine/io/nearest_name.hpp"
#include "kernels/common/error.hpp"

namespace akin {

namespace {

using R = MethodRole;

constexpr MethodTraits kMethods[] = {
    {Method::scratch, "scratch", "Scratch", Start::fresh, Term::none, Weighting::none, R::labels_only},
    {Method::transfer, "transfer", "Transfer", Start::transfer, Term::none, Weighting::none, R::transferred},
    {Method::probe, "probe", "LinearProbe", Start::features, Term::none, Weighting::none, R::reference},
    {Method::probe_cv, "probe-cv", "ProbeCV", Start::features, Term::none, Weighting::probe, R::reference},
    {Method::finetune, "finetune", "FineTune", Start::nearest, Term::none, Weighting::none, R::reference},
    {Method::fixmatch, "fixmatch", "FixMatch", Start::fresh, Term::pseudo_labels, Weighting::none, R::unlabelled},
    {Method::fixmatch_transfer, "fixmatch-transfer", "FixMatchTransfer", Start::transfer, Term::pseudo_labels,
     Weighting::none, R::transferred},
    {Method::random, "random", "DistillRandom", Start::fresh, Term::teachers, Weighting::random, R::taught},
    {Method::equal, "equal", "DistillEqual", Start::fresh, Term::teachers, Weighting::equal, R::taught},
    {Method::nearest, "nearest", "DistillNearest", Start::fresh, Term::teachers, Weighting::nearest, R::taught},
    {Method::weighted, "weighted", "DistillWeighted", Start::fresh, Term::teachers, Weighting::weighted, R::taught},
    {Method::nearest_transfer, "nearest-transfer", "DistillNearestTransfer", Start::transfer, Term::teachers,
     Weighting::nearest, R::taught},
    {Method::weighted_transfer, "weighted-transfer", "DistillWeightedTransfer", Start::transfer, Term::teachers,
     Weighting::weighted, R::taught},
    {Method::probe_taught, "probe-taught", "ProbeTaught", Start::fresh, Term::teachers, Weighting::probe, R::taught},
    {Method::probe_taught_transfer, "probe-taught-transfer", "ProbeTaughtTransfer", Start::transfer, Term::teachers,
     Weighting::probe, R::taught},
    {Method::oracle, "oracle", "Oracle (analysis only)", Start::fresh, Term::teachers, Weighting::single,
     R::reference}};

constexpr bool in_order() {
  for (int i = 0; i < static_cast<int>(std::size(kMethods)); ++i)
    if (static_cast<int>(kMethods[i].method) != i) return false;
  return true;
}
static_assert(in_order());

}  // namespace

std::span<const MethodTraits> methods() { return kMethods; }

const MethodTraits& traits(Method method) { return kMethods[static_cast<int>(method)]; }

std::string method_names() {
  std::string names;
  for (const MethodTraits& m : kMethods) names += (names.empty() ? "" : ", ") + std::string(m.name);
  return names;
}

Method parse_method(std::string_view name) {
  for (const MethodTraits& m : kMethods)
    if (name == m.name) return m.method;
  std::vector<std::string> known;
  for (const MethodTraits& m : kMethods) known.emplace_back(m.name);
  fail_usage("method '{}' is unknown{}", name, suggestion(name, known));
}

}  // namespace akin
