// Label budgets: which images of a target may be used with their labels, which without, and which choose a model.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "distill/task/settings_file.hpp"
#include "nn/data/image_set.hpp"
#include "nn/data/split.hpp"

namespace akin {

/// Images of one class, as positions in the pool: the training images in their order, then the unlabelled ones.
struct ListedImages {
  std::string class_name;
  Indices images;
};

/// A picture by its name, of a list of labels.
struct NamedLabel {
  std::string file, class_name;
  std::size_t line = 0;  ///< of the list, from 1
};

/// What a manifest says of each part: so many images, drawn by the seed, or these.
struct LabelManifest {
  SplitOptions draw;                     ///< of the parts that are not listed
  std::vector<ListedImages> labelled;    ///< empty: drawn
  std::vector<NamedLabel> named;         ///< more labelled images, which a pool is searched for
  std::vector<ListedImages> validation;  ///< empty: drawn
  std::optional<Indices> unlabelled;     ///< listed, else drawn from the others
  std::string data;                      ///< content_hash of the pool it is for; empty: of any
  std::string source;                    ///< file it was read from

  /// Nothing is left to the seed.
  bool fixed() const { return lists_labelled() && unlabelled && (!draws_validation() || !validation.empty()); }
  bool lists_labelled() const { return !labelled.empty() || !named.empty(); }
  /// Some images are held out to choose by.
  bool validates() const { return !validation.empty() || draws_validation(); }

 private:
  bool draws_validation() const {
    return draw.validation > 0 || draw.validation_per_class > 0 || draw.validation_fraction > 0;
  }
};

/// Reads settings: one of per_class = N or "all", fraction = F or a table [labelled] of class = [positions]; validation
/// = N of each class, a share F, or a table likewise; unlabelled = N at most (0: all) or [positions]; data = hash.
/// Parts that it does not name are as in `defaults`. UsageError names what is unknown, missing or there twice.
LabelManifest read_manifest(const SettingsTable& settings, const SplitOptions& defaults);
/// A TOML or JSON file; manifest_text's are among them, whose digest must be that of their content. Or a .csv: see
/// read_label_list (distill/task/label_list.hpp).
LabelManifest read_manifest(const std::filesystem::path& file, const SplitOptions& defaults);

/// The split of `pool`, of which the first `training` images have labels of their own and the others -1. `labels`:
/// those of the pool, into which what the manifest lists for the others is entered. Errors name class or image: a class
/// without labels, more asked for than there are, an image in two parts, a label that is not the data's, another pool
/// than the manifest's.
TaskSplit split_pool(const ImageSet& pool, std::int64_t training, const std::string& hash,
                     const LabelManifest& manifest, std::vector<int>& labels);

/// A manifest in JSON that lists all parts, so that every program that reads it has the same split; also the files that
/// were held out as the test split, where the data set came without one.
std::string manifest_text(const ImageSet& pool, const std::vector<int>& labels, const TaskSplit& split,
                          const std::string& hash, std::uint64_t seed);

}  // namespace akin
