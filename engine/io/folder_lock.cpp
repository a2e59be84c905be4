#include "engine/io/folder_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "engine/io/file.hpp"

namespace akin {

namespace {

/// Whether `file` still names the file that `fd` has open: an owner that ended took it away.
bool is_current(const std::filesystem::path& file, int fd) {
  struct stat here {
  }, there{};
  return ::fstat(fd, &here) == 0 && ::stat(file.c_str(), &there) == 0 && here.st_ino == there.st_ino &&
         here.st_dev == there.st_dev;
}

std::string owner_in(int fd) {
  char text[32] = {};
  const ssize_t n = ::pread(fd, text, sizeof text - 1, 0);
  const std::string number(text, n > 0 ? static_cast<std::size_t>(n) : 0);
  const bool good = !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
  return good ? " (process " + number + ")" : "";
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) : file_(folder / ".akin-lock"), made_(!is_there(folder)) {
  make_folder(folder);
  for (;;) {
    fd_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0) fail_to(file_, "created", errno);
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      const std::string owner = owner_in(fd_);
      ::close(std::exchange(fd_, -1));
      fail("{}: another akin{} is at work in this folder; wait until it ends, or choose another one with --out",
           folder.string(), owner);
    }
    if (is_current(file_, fd_)) break;
    ::close(fd_);
  }
  const std::string number = std::to_string(::getpid());
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, number.data(), number.size(), 0) < 0) return;  // a number is a courtesy
}

FolderLock::~FolderLock() {
  ::unlink(file_.c_str());
  if (made_) ::rmdir(file_.parent_path().c_str());  // refuses where anything is in it
  ::close(fd_);
}

}  // namespace akin
