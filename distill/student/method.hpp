// What can be done with a target and a bank: a method is a row of the table in method.cpp, made of three choices.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "distill/report/figures.hpp"

namespace akin {

enum class Method {
  scratch,                ///< labelled images only
  transfer,               ///< the same, from a source of the student's architecture
  probe,                  ///< linear probe: logistic regression on the nearest source's features
  probe_cv,               ///< the probe that cross-validation chooses: of one source, of all side by side, or a mixture
  finetune,               ///< the nearest source's own network with a new head, on the labelled images
  fixmatch,               ///< Sohn et al., NeurIPS 2020
  fixmatch_transfer,      ///< FixMatch from transfer's start
  random,                 ///< distilled from a source drawn by the seed
  equal,                  ///< from all, with equal weights
  nearest,                ///< from the most similar one
  weighted,               ///< from all, by similarity
  nearest_transfer,       ///< nearest from transfer's start
  weighted_transfer,      ///< weighted from transfer's start
  probe_taught,           ///< from the answers of probe-cv, by a second head
  probe_taught_transfer,  ///< probe-taught from transfer's start
  oracle                  ///< from each alone; the best by TEST accuracy: for analysis only
};

/// Where the network comes from.
enum class Start {
  fresh,     ///< random weights, or the model of --init
  transfer,  ///< a source of the student's architecture
  nearest,   ///< the most similar source's network
  features   ///< no network learns: the most similar source's features
};

/// The term of the loss beside cross-entropy on the labelled images.
enum class Term { none, pseudo_labels, teachers };

/// How much each teacher counts. `single`: one at a time, a student each.
/// `probe`: a probe of all sources (probe_teacher.hpp) stands for them.
enum class Weighting { none, random, equal, nearest, weighted, probe, single };

struct MethodTraits {
  Method method;
  const char* name;   ///< as on the command line
  const char* title;  ///< as in a report: "DistillWeighted"
  Start start;
  Term term;
  Weighting weighting;
  MethodRole role;
};

/// All methods, in the order of the enum.
std::span<const MethodTraits> methods();
const MethodTraits& traits(Method method);
/// UsageError lists the names.
Method parse_method(std::string_view name);
/// "scratch, transfer, ...": for help and errors.
std::string method_names();

inline const char* name_of(Method m) { return traits(m).name; }
inline const char* title_of(Method m) { return traits(m).title; }
/// Sources teach while the student learns.
inline bool is_taught(Method m) { return traits(m).term == Term::teachers; }
/// Needs the sources' features of the labelled images.
inline bool is_probed(Method m) { return traits(m).weighting == Weighting::probe; }
/// Needs a source at all.
inline bool uses_sources(Method m) { return is_taught(m) || traits(m).start != Start::fresh; }
/// Takes images besides the labelled ones, if only to imitate teachers on: those can be the labelled ones again.
inline bool has_second_term(Method m) { return traits(m).term != Term::none; }

}  // namespace akin
