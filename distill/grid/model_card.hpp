// The page that goes with an exported model: what it is, what it was made of and by what, how good it is and how to run
// it. What is not known is said to be not recorded (Mitchell et al., "Model cards for model reporting", 2019).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "distill/report/report.hpp"
#include "nn/model_file.hpp"

namespace akin {

/// What a run folder knows of one of its students.
struct StudentOrigin {
  bool known = false;  ///< false: the file lies in no run folder; the rest is empty
  ReportData report;   ///< of the whole run; of an experiment, the student's target and budget
  std::string method;  ///< as in the report; empty: not one of the run's students
  std::string seed;    ///< of this student; empty: not known
  bool cell = false;   ///< of an experiment: of the weights only the largest is known
  bool best = false;   ///< the step that did best on validation images, not the last one
};

/// Looks for the run folder of the model in `file` (its folder, or the one above `students/`) and for the student in
/// it that has the same bytes (`hash`, SHA-256). Throws Error where the run's report is damaged.
StudentOrigin find_origin(const std::filesystem::path& file, const std::string& hash);

struct CardFacts {
  std::string name;    ///< of the export
  std::string source;  ///< file name of the model that was exported
  const Model* model;
  StudentOrigin origin;
  std::int64_t height, width;
  bool folded = false;
  std::vector<std::string> files;  ///< names of what lies beside the card
  std::string akin;                ///< "akin 0.1.0 (commit)"
};

/// The card as Markdown.
std::string model_card(const CardFacts& facts);

}  // namespace akin
