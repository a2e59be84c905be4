// A data set that is written whole or passes for none.
#pragma once

#include <filesystem>

#include "engine/io/folder_lock.hpp"
#include "nn/data/image_set.hpp"

namespace akin {

/// Writes the splits of one data set with save_images. From the first of them to finish() a file `.akin-unfinished` in
/// the folder says that the set is in the making: layout_of refuses such a folder, the next writer replaces what is in
/// it. Without finish() what was written is removed.
class SetWriter {
 public:
  /// Locks the folder. Throws where another process has it, and where it holds a data set, unless `replace`.
  SetWriter(const std::filesystem::path& folder, bool replace);
  ~SetWriter();
  SetWriter(const SetWriter&) = delete;
  SetWriter& operator=(const SetWriter&) = delete;

  void write(const ImageSet& set, Split split);
  void finish();

 private:
  FolderLock lock_;
  bool begun_ = false;
};

}  // namespace akin
