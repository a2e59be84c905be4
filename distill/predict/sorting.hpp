// Pictures put into a folder for each class: copied, or moved in a way that can be undone. No file is ever replaced.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/io/file.hpp"

namespace akin {

/// What became of the pictures.
struct SortReport {
  std::int64_t sorted = 0;               ///< copied or moved
  std::int64_t renamed = 0;              ///< of these, under another name, for theirs was taken
  std::int64_t there = 0;                ///< were in their place, or a copy of them
  std::int64_t links = 0;                ///< not moved: links that say where a file is as seen from their own folder
  std::vector<std::string> faults = {};  ///< could not be copied or moved: a message each
};

/// The folder's name for a class: without what a file system takes for more than a name.
std::string folder_of_class(const std::string& class_name);

class Sorter {
 public:
  enum class Way { copy, move };
  /// Makes `folder`. Error where two classes would share a folder below it.
  Sorter(Way way, std::filesystem::path folder, const std::vector<std::string>& classes);
  ~Sorter();
  /// Puts a picture into <folder>/<class>/, under its own name or, where another file has that, with a number behind it
  /// (wren-2.jpg). A picture of equal content that is there already counts as there; a relative link is not moved, for
  /// it would lead nowhere. False where the list of moved pictures cannot be written, which is a fault: no picture can
  /// be moved then.
  bool put(const std::filesystem::path& file, int class_number);
  const SortReport& report() const { return report_; }
  /// Of moved pictures: the list to undo it by, written before each one is moved; empty where none was.
  const std::filesystem::path& list() const { return list_; }

 private:
  struct Log;
  bool write_down(const std::filesystem::path& to, const std::filesystem::path& from);
  Way way_;
  std::filesystem::path folder_, list_;
  std::vector<std::string> names_;
  SortReport report_;
  std::unique_ptr<Log> log_;
};

/// Moves the pictures of such a list back, the last one first. Those that are not where they were moved to, or whose
/// old place is taken, are faults, and so are lines that do not say two places. A last line that is cut off was being
/// written when the disk was full or the program ended: its picture was never moved.
SortReport undo_moves(const std::filesystem::path& list);

}  // namespace akin
