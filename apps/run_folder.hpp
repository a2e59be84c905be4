// The folder or file that a command writes to: whose it is, and that it is nothing that the command reads.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "distill/grid/grid.hpp"
#include "engine/io/folder_lock.hpp"

namespace akin {

enum class RunKind { train, distill, fit, demo, birds, experiment };

/// Throws where `out` is a folder of classes, or below one: what is written there would be a class, or its images.
void check_outside(const std::filesystem::path& out, const std::filesystem::path& data);

/// Throws where `file` is there, unless `force`, and where it is one of `inputs`.
void check_output_file(const std::filesystem::path& file, bool force, const std::vector<std::filesystem::path>& inputs);

/// A folder of a run, locked for this process.
class RunFolder {
 public:
  struct Wish {
    bool resume = false, force = false;
    bool takes_force = true;  ///< the command has --force; the others go on in a folder of their own kind
  };
  /// Makes and locks `out`, or where that is empty a new folder runs/<time>. Throws, before anything there is touched,
  /// where the folder holds a run of another command (unless force) or a run of this one that is neither to be resumed
  /// nor to be replaced, where it would become a class of a data set that is read, and where the run would write over a
  /// file that it reads.
  RunFolder(RunKind kind, const std::filesystem::path& out, const GridInputs& inputs, const Wish& wish);

  const std::filesystem::path& path() const { return lock_.folder(); }

  /// The run is sure to start. Removes what an earlier one left, but for the files called `written`; of a run that goes
  /// on, what says that it is finished.
  void begin(const std::vector<std::string>& written = {}) const;

 private:
  RunKind kind_;
  Wish wish_;
  FolderLock lock_;
};

}  // namespace akin
