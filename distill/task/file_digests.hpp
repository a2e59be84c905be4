// What the files that a run's settings name (--init, --reference) held when it first looked.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace akin {

/// SHA-256 of a model's file or a table's, and of the layer graph beside it where there is one.
std::string digest_of_model(const std::filesystem::path& file);

/// Of one run. Whoever opens such a file later in it gets the content that the records tell of, or an error.
class FileDigests {
 public:
  /// digest_of_model at the first call for this path. UsageError for a pipe or a device, which can be read once.
  const std::string& of(const std::filesystem::path& file);
  /// Error where the file, which was just read for `option`, is not the one that `of` saw.
  void check(const std::filesystem::path& file, const char* option);

 private:
  std::map<std::filesystem::path, std::string> seen_;
};

}  // namespace akin
