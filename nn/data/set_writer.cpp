#include "nn/data/set_writer.hpp"

#include <algorithm>
#include <regex>
#include <string>
#include <vector>

#include "engine/io/file.hpp"

namespace akin {
namespace fs = std::filesystem;

namespace {

/// The files that save_images writes, plain or packed.
std::vector<fs::path> set_files(const fs::path& folder) {
  static const std::regex own(
      "(train|t10k|unlabeled)-((images-idx[34]|labels-idx1)-ubyte(\\.gz)?|images-names\\.txt)|classes\\.txt");
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (std::regex_match(entry.path().filename().string(), own)) found.push_back(entry.path());
  return found;
}

bool holds_set(const fs::path& folder) {
  for (const fs::path& file : set_files(folder))
    if (file.extension() != ".txt") return true;
  try {
    return !layout_of(folder).images.empty();
  } catch (const Error&) {  // nothing that akin reads
    return false;
  }
}

}  // namespace

SetWriter::SetWriter(const fs::path& folder, bool replace) : lock_(folder) {
  AKIN_CHECK(replace || is_there(folder / kUnfinishedSet) || !holds_set(folder),
             "{}: holds a data set already; remove it, or choose another folder with --out DIR", folder.string());
}

void SetWriter::write(const ImageSet& set, Split split) {
  const fs::path& folder = lock_.folder();
  if (!begun_) {
    write_file_atomic(folder / kUnfinishedSet, std::string_view("akin is writing a data set here\n"));
    begun_ = true;
    for (const fs::path& file : set_files(folder)) remove_file(file);
  }
  save_images(set, split, folder);
}

void SetWriter::finish() {
  remove_file(lock_.folder() / kUnfinishedSet);
  begun_ = false;
}

SetWriter::~SetWriter() {
  if (!begun_) return;
  try {
    for (const fs::path& file : set_files(lock_.folder())) remove_file(file);
    remove_file(lock_.folder() / kUnfinishedSet);
  } catch (const std::exception&) {  // what is left says that it is unfinished
  }
}

}  // namespace akin
