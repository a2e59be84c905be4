// One owner of a folder at a time, until its process ends.
#pragma once

#include <filesystem>

namespace akin {

/// Locks `folder` for this process, by a file `.akin-lock` in it that names the owner. The lock ends with the object or
/// the process, however that ends; the file goes with the object, and so does a folder that it made and nobody filled.
/// Throws where another process holds it, naming that one, and where the folder cannot be written. Where the file
/// system knows no locks, everybody gets one.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  std::filesystem::path file_;
  bool made_ = false;
  int fd_ = -1;
};

}  // namespace akin
