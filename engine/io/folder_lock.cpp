#include "engine/io/folder_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/io/file.hpp"
#include "engine/io/path.hpp"

namespace akin {
namespace fs = std::filesystem;

namespace {

constexpr const char* kName = ".akin-lock";

/// The locks of this process.
struct Held {
  std::mutex mutex;
  std::vector<const FolderLock*> locks;
};
Held& held() {
  static Held all;
  return all;
}

bool same(const struct stat& a, const struct stat& b) { return a.st_ino == b.st_ino && a.st_dev == b.st_dev; }

/// Whether the folder open as `at` still has the file open as `fd` under the lock's name: an owner that ended took it
/// away.
bool has_lock(int at, int fd) {
  struct stat named {
  }, open{};
  return ::fstat(fd, &open) == 0 && ::fstatat(at, kName, &named, AT_SYMLINK_NOFOLLOW) == 0 && same(named, open);
}

/// Whether the folder open as `at` is the one at `path`.
bool is_at(int at, const fs::path& path) {
  struct stat named {
  }, open{};
  return ::fstat(at, &open) == 0 && ::stat(path.c_str(), &named) == 0 && same(named, open);
}

std::string owner_in(int fd) {
  char text[32] = {};
  const ssize_t n = ::pread(fd, text, sizeof text - 1, 0);
  const std::string number(text, n > 0 ? static_cast<std::size_t>(n) : 0);
  const bool good = !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
  return good ? " (process " + number + ")" : "";
}

/// How many of the folder and its parents are not there.
int missing_levels(const fs::path& folder) {
  int missing = 0;
  for (fs::path at = whole_path(folder); !is_there(at) && at.has_relative_path(); at = at.parent_path()) ++missing;
  return missing;
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : FolderLock(folder, missing_levels(folder)) {}

FolderLock::FolderLock(const fs::path& folder, int made) : folder_(folder), absolute_(whole_path(folder)), made_(made) {
  try {
    lock();
  } catch (...) {
    release();
    throw;
  }
  const std::lock_guard guard(held().mutex);
  held().locks.push_back(this);
}

FolderLock FolderLock::of_new_folder(const fs::path& wanted) {
  const int missing = std::max(1, missing_levels(wanted));
  if (wanted.has_parent_path()) make_folder(wanted.parent_path());
  for (int n = 1;; ++n) {
    const fs::path folder = n == 1 ? wanted : fs::path(fmt::format("{}-{}", wanted.string(), n));
    std::error_code error;
    if (fs::create_directory(folder, error)) return {folder, missing};
    if (error && error.value() != EEXIST) fail_to(folder, "made", error.value());
  }
}

void FolderLock::lock() {
  const fs::path file = folder_ / kName;
  make_folder(folder_);
  for (int attempt = 0;; ++attempt) {
    fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd_ < 0 && errno == ENOENT && attempt < 100) {  // the last owner made the folder, and took it away just now
      make_folder(folder_);
      continue;
    }
    const int error = fd_ < 0 ? errno : 0;
    struct stat info {};
    const bool plain = fd_ >= 0 && ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink <= 1;
    AKIN_CHECK(error != ELOOP && (error != 0 || plain),
               "{}: is a link or no plain file, so not akin's own; remove it, or choose another folder with --out",
               file.string());
    if (error != 0) fail_to(file, "created", error);
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      fail("{}: another akin{} is at work in this folder; wait until it ends, or choose another one with --out",
           folder_.string(), owner_in(fd_));
    at_ = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at_ < 0 && errno != ENOENT) fail_to(folder_, "opened", errno);
    if (at_ >= 0 && has_lock(at_, fd_)) break;
    if (at_ >= 0) ::close(std::exchange(at_, -1));
    ::close(std::exchange(fd_, -1));
  }
  const std::string number = std::to_string(::getpid());
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, number.data(), number.size(), 0) < 0) return;  // a number is a courtesy
}

void FolderLock::release() noexcept {
  // By the folder itself, not by its path: another one may stand there now, with a lock of its own.
  const bool mine = at_ >= 0 && has_lock(at_, fd_);
  if (mine) ::unlinkat(at_, kName, 0);
  if (at_ < 0 || is_at(at_, folder_))
    for (fs::path made = absolute_; made_ > 0; --made_, made = made.parent_path())
      if (::rmdir(made.c_str()) != 0) break;  // refuses where anything is in it
  for (int* fd : {&fd_, &at_})
    if (*fd >= 0) ::close(std::exchange(*fd, -1));
}

FolderLock::~FolderLock() {
  {
    const std::lock_guard guard(held().mutex);
    std::erase(held().locks, this);
  }
  release();
}

bool is_locked(const fs::path& folder) {
  const int fd = ::open((folder / kName).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  const bool taken = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return taken;
}

void check_still_locked(const fs::path& path) {
  const std::lock_guard guard(held().mutex);
  if (held().locks.empty()) return;
  const fs::path whole = whole_path(path);
  for (const FolderLock* lock : held().locks)
    AKIN_CHECK(!is_below(whole, lock->absolute_) || is_at(lock->at_, lock->folder_),
               "{}: was moved, removed or made anew while this akin was at work in it; {} is left as it is. What was "
               "written before is in the old folder: where it is moved back, the same command with --resume goes on",
               lock->folder_.string(), path.filename().string());
}

}  // namespace akin
