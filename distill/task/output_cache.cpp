#include "distill/task/output_cache.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <unordered_map>

#include "engine/io/file.hpp"
#include "engine/io/seal.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "akin-outputs-2";
constexpr std::size_t kDigest = 64;  // hexadecimal digits
constexpr std::size_t kName = 32;    // of them in the names of files and folders

std::vector<std::string> digests_in(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i + kDigest <= text.size(); i += kDigest) out.push_back(text.substr(i, kDigest));
  return out;
}

std::string text_in(const std::map<std::string, std::string>& metadata, const char* name) {
  const auto it = metadata.find(name);
  return it == metadata.end() ? "" : it->second;
}

/// The files of one source, or none where the folder cannot be read.
std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
    if (it->path().extension() == ".safetensors") out.push_back(it->path());
  std::sort(out.begin(), out.end());
  return out;
}

void copy_row(const Array& from, std::size_t row, Array& to, std::size_t at) {
  const std::size_t each = static_cast<std::size_t>(from.shape()[1]) * sizeof(float);
  std::memcpy(to.bytes() + at * each, from.bytes() + row * each, each);
}

}  // namespace

OutputCache::OutputCache(const fs::path& folder, std::string key, std::int64_t D, std::int64_t C, std::string name,
                         Tell tell)
    : folder_(folder.empty() ? fs::path() : folder / key.substr(0, kName)),
      key_(std::move(key)),
      D_(D),
      C_(C),
      name_(std::move(name)),
      tell_(std::move(tell)) {}

Outputs OutputCache::read(const fs::path& file, const std::vector<std::string>& digests) const {
  const SafeTensors t = read_safetensors(file);
  AKIN_CHECK(seal_of(t) != Seal::none, "{}: carries no digest", file.string());
  check_seal(t, "it is made anew");
  Outputs out{t.at("features"), t.at("logits")};
  for (const auto& [array, columns] : {std::pair{&out.features, D_}, std::pair{&out.logits, C_}})
    AKIN_CHECK(array->dtype() == DType::f32 && array->shape() == Shape({std::ssize(digests), columns}),
               "{}: holds {} of {}, expected {}", file.string(), array->shape().str(), name_of(array->dtype()),
               Shape({std::ssize(digests), columns}).str());
  check_finite(out.features, "features", file.string());
  check_finite(out.logits, "logits", file.string());
  return out;
}

std::vector<bool> OutputCache::find(const std::vector<std::string>& digests, Outputs& out) {
  std::vector<bool> found(digests.size(), false);
  if (folder_.empty()) return found;
  std::unordered_multimap<std::string_view, std::size_t> wanted;
  for (std::size_t i = 0; i < digests.size(); ++i) wanted.emplace(digests[i], i);
  for (const fs::path& file : files_of(folder_)) try {
      const std::map<std::string, std::string> about = read_safetensors_metadata(file);
      AKIN_CHECK(text_in(about, "format") == kFormat && text_in(about, "key") == key_,
                 "{}: holds the outputs of another source", file.string());
      const std::vector<std::string> held = digests_in(text_in(about, "pictures"));
      const auto is_wanted = [&](const std::string& d) { return wanted.contains(d); };
      if (std::none_of(held.begin(), held.end(), is_wanted)) continue;
      const Outputs rows = read(file, held);
      for (std::size_t row = 0; row < held.size(); ++row) {
        const auto [begin, end] = wanted.equal_range(held[row]);
        for (auto it = begin; it != end; ++it) {
          copy_row(rows.features, row, out.features, it->second);
          copy_row(rows.logits, row, out.logits, it->second);
          found[it->second] = true;
        }
        wanted.erase(begin, end);
      }
      std::error_code none;  // used just now; a cache that may not be written to stays as it is
      fs::last_write_time(file, fs::file_time_type::clock::now(), none);
    } catch (const Error& e) {
      if (!is_there(file)) continue;  // another process removed it
      if (tell_) tell_(fmt::format("warning: outputs of {} are computed anew: {}", name_, e.what()));
      std::error_code none;
      fs::remove(file, none);
    }
  return found;
}

void OutputCache::keep(const std::vector<std::string>& digests, const Outputs& outputs) {
  if (folder_.empty() || digests.empty() || !keeps_) return;
  std::string pictures;
  for (const std::string& d : digests) pictures += d;
  SafeTensors t;
  t.add("features", outputs.features);
  t.add("logits", outputs.logits);
  t.metadata = {{"format", kFormat}, {"key", key_}, {"source", name_}, {"pictures", pictures}};
  seal(t);
  try {
    make_folder(folder_);
    write_safetensors(folder_ / (sha256_hex(pictures).substr(0, kName) + ".safetensors"), t);
  } catch (const Error& e) {
    keeps_ = false;
    if (tell_) tell_(fmt::format("warning: outputs of {} are not kept for later commands: {}", name_, e.what()));
  }
}

int trim_output_cache(const fs::path& folder, std::uint64_t bytes) {
  struct Kept {
    fs::file_time_type used;
    std::uint64_t bytes;
    fs::path file;
  };
  std::vector<Kept> all;
  std::uint64_t sum = 0;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
    if (it->path().filename().string().size() == kName)
      for (const fs::path& file : files_of(it->path())) {
        std::error_code gone;
        const auto size = fs::file_size(file, gone);
        const auto used = fs::last_write_time(file, gone);
        if (gone) continue;
        all.push_back({used, size, file});
        sum += size;
      }
  std::sort(all.begin(), all.end(), [](const Kept& a, const Kept& b) { return a.used < b.used; });
  int removed = 0;
  for (const Kept& k : all) {
    if (sum <= bytes) break;
    std::error_code none;
    if (fs::remove(k.file, none)) ++removed;
    fs::remove(k.file.parent_path(), none);  // where it is empty now
    sum -= k.bytes;
  }
  return removed;
}

}  // namespace akin
