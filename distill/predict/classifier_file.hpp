// Whatever akin writes that tells classes apart, ready to look at pictures: a model, or a probe with the networks whose
// features it reads.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "distill/student/probe_teacher.hpp"
#include "distill/task/source.hpp"

namespace akin {

class Classifier {
 public:
  /// A model file, weights with a layer graph beside them, or with `fallback` those of another program (see
  /// load_model); a probe of several sources' features (method probe-cv), or a head on one's: `sources` are the files
  /// of those models, which are told by their digests. Error on a source that is missing, or is none of the probe's.
  Classifier(Context& ctx, const std::filesystem::path& file, const std::vector<std::string>& sources,
             const ModelInfo* fallback);

  /// The input of each of its networks: one, of a model.
  const std::vector<Preprocessing>& inputs() const { return inputs_; }
  /// The network shall look at another size than its own. Error where there are several.
  void set_size(std::int64_t height, std::int64_t width);
  /// Its network with what its file says; nullptr of a probe.
  const Model* model() const { return probe_ ? nullptr : &parts_.front().model; }
  /// f32 [N, classes]: `images`: u8 [N, H, W, C] for each of inputs().
  Array probabilities(Context& ctx, const std::vector<Array>& images) const;
  /// Names; numbers from 0 where the file has none.
  const std::vector<std::string>& classes() const { return classes_; }
  bool names_classes() const { return named_; }
  const std::string& file() const { return file_; }

 private:
  struct Part {
    Model model;
    std::string name;
  };
  void open_probe(Context& ctx, const SafeTensors& file, const std::vector<std::string>& sources);

  std::string file_;
  std::vector<Part> parts_;
  std::optional<ProbeTeacher> probe_;  ///< its part k reads parts_[k]
  std::vector<Preprocessing> inputs_;
  std::vector<std::string> classes_;
  bool named_ = false;
};

}  // namespace akin
