// One owner of a folder at a time, until its process ends.
#pragma once

#include <filesystem>

namespace akin {

/// Locks `folder` for this process, by a file `.akin-lock` in it that names the owner. The lock ends with the object or
/// the process, however that ends; the file goes with the object, and so do the folders that it made and nobody filled.
/// Throws where another process holds it, naming that one, where the folder cannot be written, and where `.akin-lock`
/// is a link. Where the file system knows no locks, everybody gets one.
///
/// While it is held, what this process writes or removes below `folder` (engine/io/file.hpp) goes into the folder that
/// was locked or nowhere: see check_still_locked.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  /// Makes the folder `wanted`, or where that is there `wanted`-2, `wanted`-3 ..., and locks it.
  static FolderLock of_new_folder(const std::filesystem::path& wanted);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  friend void check_still_locked(const std::filesystem::path& path);
  FolderLock(const std::filesystem::path& folder, int made);
  void lock();
  void release() noexcept;

  std::filesystem::path folder_, absolute_;
  int made_ = 0;  ///< the folder and as many of its parents, by this object
  int fd_ = -1;   ///< of the lock
  int at_ = -1;   ///< of the folder, wherever it is moved to
};

/// Whether a process has `folder` locked. Nothing is made or changed there.
bool is_locked(const std::filesystem::path& folder);

/// Throws where `path` lies below a folder that this process has locked and that is no longer at its place: it was
/// moved, removed or made anew, and belongs to somebody else now.
void check_still_locked(const std::filesystem::path& path);

}  // namespace akin
