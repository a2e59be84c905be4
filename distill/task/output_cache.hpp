// What sources said of pictures, on disk: by the content of the picture, the source and how it looks at pictures.
// Another seed, split or command that asks for the same picture is answered from here.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nn/evaluate.hpp"

namespace akin {

/// The answers of one source. Files are immutable and each is whole: several processes may share a cache.
class OutputCache {
 public:
  using Tell = std::function<void(const std::string&)>;

  /// `folder`: of the cache; empty: nothing is kept. `key`: SHA-256 of all that decides the outputs but the picture.
  /// Features have D columns, logits C. `name` of the source, for messages.
  OutputCache(const std::filesystem::path& folder, std::string key, std::int64_t D, std::int64_t C, std::string name,
              Tell tell);

  /// Copies what is known of the pictures into their rows of `out`, [N,D] and [N,C]; true for each that is. A file that
  /// is damaged or not what its name says is told of, removed and counts for nothing.
  std::vector<bool> find(const std::vector<std::string>& digests, Outputs& out);
  /// Keeps rows of pictures. Where they cannot be written, that is told once, and nothing more is kept.
  void keep(const std::vector<std::string>& digests, const Outputs& outputs);

 private:
  Outputs read(const std::filesystem::path& file, const std::vector<std::string>& digests) const;
  std::filesystem::path folder_;
  std::string key_;
  std::int64_t D_, C_;
  std::string name_;
  Tell tell_;
  bool keeps_ = true;
};

/// Removes the files that were used longest ago until those that are left take at most `bytes`; how many went.
int trim_output_cache(const std::filesystem::path& folder, std::uint64_t bytes);

}  // namespace akin
