#include "distill/task/file_digests.hpp"

#include <system_error>

#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

std::string digest_of_model(const std::filesystem::path& file) {
  std::filesystem::path graph = file;
  graph.replace_extension(".graph.json");
  const std::string digest = sha256_of_path(file);
  return is_there(graph) ? sha256_hex(digest + sha256_file(graph)) : digest;
}

const std::string& FileDigests::of(const std::filesystem::path& file) {
  if (const auto known = seen_.find(file); known != seen_.end()) return known->second;
  std::error_code none;
  if (is_there(file) && !is_folder(file) && !std::filesystem::is_regular_file(file, none))
    fail_usage("{}: is a pipe or a device, which can be read once, and this run reads it several times; give a file",
               file.string());
  return seen_.emplace(file, digest_of_model(file)).first->second;
}

void FileDigests::check(const std::filesystem::path& file, const char* option) {
  const std::string& first = of(file);
  AKIN_CHECK(digest_of_model(file) == first,
             "{}: {} was changed while this run uses it; put the file back that was there when the run began and go on "
             "with --resume, or start anew with the new one",
             file.string(), option);
}

}  // namespace akin
