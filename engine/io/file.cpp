#include "engine/io/file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine/io/folder_lock.hpp"
#include "engine/io/gzip.hpp"
#include "engine/io/nearest_name.hpp"
#include "engine/io/path.hpp"
#include "engine/io/text.hpp"
#include "engine/io/write_all.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

const char* remedy_for(int error) {
  switch (error) {
    case ENOENT:
      return "check the path, or create the folder";
    case EACCES:
    case EPERM:
      return "check the permissions, or choose another folder";
    case EROFS:
      return "the file system is read-only; choose another folder";
    case ENOSPC:
    case EDQUOT:
      return "free some space, or choose another folder; an older file of this name is untouched";
    case EFBIG:
      return "raise the file size limit (ulimit -f); an older file of this name is untouched";
    case ENOTDIR:
      return "a part of the path is a file, not a folder";
    case EISDIR:
      return "give the path of a file";
    case ENAMETOOLONG:
      return "choose a shorter name";
    case EMFILE:
    case ENFILE:
      return "too many open files (ulimit -n)";
    default:
      return "check the path and the disk";
  }
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::size_t read_some(int fd, std::uint8_t* to, std::size_t n, const fs::path& path) {
  for (;;) {
    const ssize_t got = ::read(fd, to, n);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno == EAGAIN) {  // a pipe whose writer is at work
      pollfd wait{fd, POLLIN, 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      fail_to(path, "read", errno);
    }
  }
}

constexpr std::string_view kTemporary = ".akin-";  // in the name of every temporary file

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

/// True once for each folder.
bool is_first_visit(const fs::path& folder) {
  static std::mutex mutex;
  static std::set<fs::path> visited;
  const std::lock_guard lock(mutex);
  return visited.insert(folder).second;
}

[[noreturn]] void fail_too_large(const fs::path& path, std::uint64_t max_bytes) {
  fail("{}: longer than the limit of {} bytes for this kind of file; is it the right file?", path.string(), max_bytes);
}

}  // namespace

void fail_to(const fs::path& path, const char* step, int error) {
  const bool sought = error == ENOENT && std::string_view(step) == "opened";
  fail("{}: cannot be {}: {} ({})", path.string(), step, reason(error),
       sought ? "check the path" + nearest_file(path) : remedy_for(error));
}

int write_all(int fd, ByteView bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), std::min<std::size_t>(bytes.size(), std::size_t{1} << 30));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    if (put == 0) return ENOSPC;
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return 0;
}

Bytes read_start(const fs::path& path, std::size_t most) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) fail_to(path, "opened", errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) fail("{}: {} ({})", path.string(), reason(errno), remedy_for(errno));
  AKIN_CHECK(!S_ISDIR(info.st_mode), "{}: is a folder, a file was expected (give the path of a file)", path.string());
  AKIN_CHECK(S_ISREG(info.st_mode), "{}: is a pipe or device, a file was expected", path.string());
  Bytes bytes(std::min(most, static_cast<std::size_t>(info.st_size)));
  std::size_t at = 0;
  for (std::size_t got = 1; got > 0 && at < bytes.size(); at += got)
    got = read_some(fd.get(), bytes.data() + at, bytes.size() - at, path);
  bytes.resize(at);
  return bytes;
}

Bytes read_file(const fs::path& path, std::uint64_t max_bytes) {
  // Without O_NONBLOCK, opening a pipe would wait for a writer for ever.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) fail_to(path, "opened", errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) fail("{}: {} ({})", path.string(), reason(errno), remedy_for(errno));
  AKIN_CHECK(!S_ISDIR(info.st_mode), "{}: is a folder, a file was expected (give the path of a file)", path.string());
  AKIN_CHECK(!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode),
             "{}: is a device, a file was expected (it may never end)", path.string());
  Bytes bytes;
  if (S_ISREG(info.st_mode)) {
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (size > max_bytes) fail_too_large(path, max_bytes);
    bytes.resize(size);
    std::size_t at = 0;
    while (at < bytes.size()) {
      const std::size_t got = read_some(fd.get(), bytes.data() + at, bytes.size() - at, path);
      AKIN_CHECK(got > 0, "{}: ended after {} of {} bytes (is another program writing it?)", path.string(), at, size);
      at += got;
    }
    std::uint8_t more = 0;
    AKIN_CHECK(size == 0 || read_some(fd.get(), &more, 1, path) == 0,
               "{}: grew while it was read, from {} bytes "
               "(is another program writing it?)",
               path.string(), size);
    if (size > 0) return bytes;
  }
  // A pipe, or a file of /proc that claims no length: read to the end.
  constexpr int kWaits = 100, kWaitMilliseconds = 50;
  int waits = S_ISFIFO(info.st_mode) ? kWaits : 0;
  for (std::size_t at = 0;;) {
    bytes.resize(std::max<std::size_t>(2 * at, 1 << 16));
    const std::size_t got = read_some(fd.get(), bytes.data() + at, bytes.size() - at, path);
    at += got;
    if (got == 0 && at == 0 && waits > 0) {
      ::poll(nullptr, 0, kWaitMilliseconds);
      AKIN_CHECK(--waits > 0, "{}: is a pipe into which nobody writes (waited {} s; start the writer first)",
                 path.string(), kWaits * kWaitMilliseconds / 1000);
      continue;
    }
    if (at > max_bytes) fail_too_large(path, max_bytes);
    if (got == 0) {
      bytes.resize(at);
      return bytes;
    }
  }
}

std::string read_text(const fs::path& path, std::uint64_t max_bytes) {
  const Bytes bytes = read_file(path, max_bytes);
  return {bytes.begin(), bytes.end()};
}

Bytes read_file_gunzipped(const fs::path& path, std::uint64_t max_bytes) {
  Bytes bytes = read_file(path, max_bytes);
  return is_gzip(bytes) ? gunzip(bytes, max_bytes, path.string()) : std::move(bytes);
}

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
  check_still_locked(path);
  std::error_code ignored;
  if (fs::is_symlink(path_, ignored)) {
    const fs::path target = fs::weakly_canonical(path_, ignored);
    if (!target.empty()) path_ = target;
  }
  const fs::file_status status = fs::status(path_, ignored);
  AKIN_CHECK(path_.has_filename() && !fs::is_directory(status), "{}: is a folder, the name of a file was expected",
             path.string());
  AKIN_CHECK(!fs::exists(status) || fs::is_regular_file(status),
             "{}: is a device or pipe and cannot be replaced "
             "(choose the name of a file)",
             path.string());
  if (is_first_visit(folder_of(path_))) remove_leftovers(folder_of(path_));
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (create()) return;
    if (errno != EEXIST) break;
  }
  const int error = errno;
  temporary_.clear();
  fail_writing("created", error);
}

/// False where another name has to be tried (errno is EEXIST), or none will do.
bool AtomicFile::create() {
  // Unique in this process by the counter, between processes by the process number, beyond that by O_EXCL.
  static std::atomic<unsigned> counter{0};
  temporary_ = path_.parent_path() / fmt::format(".{}{}{}-{}.tmp", path_.filename().string().substr(0, 200), kTemporary,
                                                 ::getpid(), counter.fetch_add(1));
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) return false;
  // The lock tells others that the writer lives; it ends with the process, however that ends. Whoever removes leftovers
  // may have come between the file and its lock.
  ::flock(fd_, LOCK_EX);
  struct stat info {};
  if (::fstat(fd_, &info) == 0 && info.st_nlink > 0) return true;
  ::close(std::exchange(fd_, -1));
  errno = EEXIST;
  return false;
}

int remove_leftovers(const fs::path& folder) noexcept {
  int removed = 0;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with('.') || !name.ends_with(".tmp") || name.find(kTemporary) == std::string::npos) continue;
    const Fd fd(::open(at->path().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (fd.get() < 0 || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (::unlink(at->path().c_str()) == 0) ++removed;
  }
  return removed;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::fail_writing(const char* step, int error) {
  discard();
  check_still_locked(path_);  // the folder may have gone just now
  fail_to(path_, step, error);
}

void AtomicFile::write(ByteView bytes) {
  AKIN_CHECK(fd_ >= 0, "{}: written after the file was finished", path_.string());
  if (const int error = write_all(fd_, bytes); error != 0) fail_writing("written", error);
}

void AtomicFile::commit() {
  AKIN_CHECK(fd_ >= 0, "{}: finished twice", path_.string());
  check_still_locked(path_);
  if (::fsync(fd_) != 0 && errno != EINVAL) fail_writing("flushed to the disk", errno);
  const Fd lock(::dup(fd_));  // shares the lock until the file has its name; else it would pass for a leftover
  if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) fail_writing("closed", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_writing("renamed into place", errno);
  temporary_.clear();
  // The new name should survive a power cut too; some file systems cannot promise that, which is no failure of ours.
  const Fd fd(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) ::fsync(fd.get());
}

void write_file_atomic(const fs::path& path, ByteView bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomic(const fs::path& path, std::string_view text) { write_file_atomic(path, bytes_of(text)); }

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string last_name(const fs::path& path) { return readable_text(whole_path(path).filename().string()); }

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

void make_folder(const fs::path& path) {
  check_still_locked(path);
  std::error_code error;
  for (fs::path part; const fs::path& name : path) {  // "exists", says the system of such a link
    part /= name;
    if (fs::is_symlink(part, error) && !is_there(part))
      fail("{}: is a link to {}, which is not there; make that folder, or choose another one", part.string(),
           fs::read_symlink(part, error).string());
  }
  fs::create_directories(path, error);
  if (error) fail("{}: folder cannot be made: {} ({})", path.string(), error.message(), remedy_for(error.value()));
  AKIN_CHECK(is_folder(path), "{}: is a file, a folder was expected (remove it or choose another name)", path.string());
}

void remove_file(const fs::path& path) {
  check_still_locked(path);
  std::error_code error;
  fs::remove(path, error);
  if (error) fail("{}: cannot be removed: {} ({})", path.string(), error.message(), remedy_for(error.value()));
}

}  // namespace akin
