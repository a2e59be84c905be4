// Where a command keeps what sources said of pictures, so that no other command computes it again.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "apps/common.hpp"

namespace akin {

/// --cache.
void add_cache(CLI::App& app, std::string& cache);

class OutputCachePlace {
 public:
  /// `asked`: of --cache: a folder, "none", or "" for $AKIN_CACHE (either of these), else $XDG_CACHE_HOME/akin/outputs,
  /// else ~/.cache/akin/outputs. Makes the folder; where nobody named it and it cannot be written, there is no cache; a
  /// named one is still read. Error for a named one that cannot be made, or is inside the data (may be empty).
  OutputCachePlace(const std::string& asked, const std::filesystem::path& data);
  /// The user's own is kept below 8 GiB: what was used longest ago goes.
  ~OutputCachePlace();
  OutputCachePlace(const OutputCachePlace&) = delete;
  OutputCachePlace& operator=(const OutputCachePlace&) = delete;

  const std::filesystem::path& folder() const { return folder_; }  ///< empty: none

 private:
  std::filesystem::path folder_;
  bool named_ = false;
};

}  // namespace akin
