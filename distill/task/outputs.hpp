// Stage "FeatureBank" of the pipeline: what the sources say of the target's pictures.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "distill/task/source.hpp"
#include "distill/task/task.hpp"

namespace akin {

/// Pictures as the last networks took them, so that the next one that takes them alike need not read them again (up to
/// 512 MB), and what their files held. Whoever runs several sources in turn over one set gives all the same one.
class TakenPictures {
 public:
  const Array& of(const Originals& originals, const Indices& index, const ImageFormat& format);
  /// Digests of images `index`: of the originals, where the set has some, or of its own images.
  const std::vector<std::string>& digests(const ImageSet& set, const Indices& index, bool originals);

 private:
  struct Part {
    ImageFormat format;
    Indices index;
    Array images;
  };
  std::vector<Part> parts_;
  std::size_t bytes_ = 0;
  Indices digested_;  ///< what digests_ are of
  bool of_originals_ = false;
  std::vector<std::string> digests_;
};

struct OutputOptions {
  std::filesystem::path cache = {};  ///< folder of the OutputCache; empty: none
  bool match_channels = false;       ///< turn grey to colour and colour to grey as a source expects
  std::function<void(std::int64_t)> progress = {};
  std::function<void(const std::string&)> tell = {};  ///< a line for people: a cache that was not used, and why
  std::shared_ptr<TakenPictures> taken = {};  ///< of the same originals; null: of this call alone
  std::int64_t at_once = 0;                   ///< pictures read before they are run; 0: some 32 MB of them
};

/// Features and logits of a model for images `index` of a set, without augmentation. A model whose file says its size
/// sees the originals, brought to that size as its file says; one that does not, and every model of a set without
/// originals, the set's images. Equal pictures give equal bits, whatever else is asked for: so they are kept in the cache
/// by the picture's content, and each is computed once. What is done when `progress` throws is kept, too. Error for a
/// table, and where the model expects other channels.
Outputs outputs_of(Context& ctx, const Source& source, const ImageSet& set, std::span<const std::int64_t> index,
                   const OutputOptions& options = {});

/// Features and logits of `source` for task.target, in that order: a model's as outputs_of gives them, of a table its
/// rows. Error where a table is of other images than the task's (match_rows, compare_labels).
Outputs source_outputs(Context& ctx, const Source& source, const Task& task, const OutputOptions& options = {});

/// Error, naming both, where the source's channels are not the set's and may not be matched.
void check_channels(const Source& source, const ImageSet& set, bool match_channels);

}  // namespace akin
