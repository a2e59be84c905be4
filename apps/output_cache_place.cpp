#include "apps/output_cache_place.hpp"

#include <cstdlib>

#include "apps/run_folder.hpp"
#include "distill/task/output_cache.hpp"
#include "engine/io/file.hpp"

namespace akin {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{8} << 30;

std::string value_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr ? value : "";
}

}  // namespace

void add_cache(CLI::App& app, std::string& cache) {
  app.add_option("--cache", cache,
                 "Folder for the sources' outputs, which every command shares; default: $AKIN_CACHE, else "
                 "~/.cache/akin/outputs; or none")
      ->type_name("DIR")
      ->group("Run");
}

OutputCachePlace::OutputCachePlace(const std::string& asked, const fs::path& data) {
  const std::string name = asked.empty() ? value_of("AKIN_CACHE") : asked;
  if (name == "none") return;
  named_ = !name.empty();
  if (named_)
    folder_ = name;
  else if (const fs::path cache = value_of("XDG_CACHE_HOME"); cache.is_absolute())
    folder_ = cache / "akin" / "outputs";
  else if (const fs::path home = value_of("HOME"); home.is_absolute())
    folder_ = home / ".cache" / "akin" / "outputs";
  if (named_ && !data.empty()) check_outside(folder_, data);
  if (folder_.empty()) return;
  try {
    make_folder(folder_);
    const AtomicFile probe(folder_ / "probe");
  } catch (const Error& e) {
    // A named one that may only be read still answers; what cannot be kept is told of when it comes to that.
    if (named_ && !is_folder(folder_))
      fail("{}: {}; name a folder that can be written, or none", asked.empty() ? "AKIN_CACHE" : "--cache", e.what());
    if (!named_) folder_.clear();
  }
}

OutputCachePlace::~OutputCachePlace() {
  if (!named_ && !folder_.empty()) trim_output_cache(folder_, kMostBytes);
}

}  // namespace akin
