// Preloaded into akin (LD_PRELOAD): counts the calls by which a program touches files, and at call number N kills the
// process or lets the call fail. AKIN_FAULT is "count FILE", "kill N", "ENOSPC N" or "EIO N".
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

enum class Mode { off, count, kill, fail };

struct Plan {
  Mode mode = Mode::off;
  long at = 0;
  int error = 0;
  char file[512] = "";
};

Plan read_plan() {
  Plan p;
  const char* text = std::getenv("AKIN_FAULT");
  if (text == nullptr) return p;
  if (std::sscanf(text, "count %511s", p.file) == 1) p.mode = Mode::count;
  if (std::sscanf(text, "kill %ld", &p.at) == 1) p.mode = Mode::kill;
  if (std::sscanf(text, "ENOSPC %ld", &p.at) == 1) p.mode = Mode::fail, p.error = ENOSPC;
  if (std::sscanf(text, "EIO %ld", &p.at) == 1) p.mode = Mode::fail, p.error = EIO;
  return p;
}

const Plan& plan() {
  static const Plan p = read_plan();
  return p;
}

std::atomic<long> calls{0}, changes{0};

struct Report {
  ~Report() {
    if (plan().mode != Mode::count) return;
    if (std::FILE* f = std::fopen(plan().file, "w")) {
      std::fprintf(f, "%ld %ld\n", calls.load(), changes.load());
      std::fclose(f);
    }
  }
} report;

/// True: the call shall fail with errno as it is now. A full disk fails what `changes` something alone.
bool hit(bool changes_something) {
  const long all = ++calls, changed = changes_something ? ++changes : 0;
  const Plan& p = plan();
  if (p.mode == Mode::kill && all == p.at) ::kill(::getpid(), SIGKILL);
  if (p.mode != Mode::fail || changed != p.at) return false;
  errno = p.error;
  return true;
}

template <class F>
F next(const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

bool writes(int flags) { return (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0; }

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  static const auto real = next<int (*)(const char*, int, ...)>("open");
  return hit(writes(flags)) ? -1 : real(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  static const auto real = next<int (*)(const char*, int, ...)>("open64");
  return hit(writes(flags)) ? -1 : real(path, flags, mode);
}
ssize_t write(int fd, const void* data, size_t n) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  if (fd <= 2) return real(fd, data, n);
  return hit(true) ? -1 : real(fd, data, n);
}
ssize_t pwrite(int fd, const void* data, size_t n, off_t at) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return hit(true) ? -1 : real(fd, data, n, at);
}
ssize_t read(int fd, void* data, size_t n) {
  static const auto real = next<ssize_t (*)(int, void*, size_t)>("read");
  return hit(false) ? -1 : real(fd, data, n);
}
int close(int fd) {
  static const auto real = next<int (*)(int)>("close");
  return hit(false) ? -1 : real(fd);
}
int fsync(int fd) {
  static const auto real = next<int (*)(int)>("fsync");
  return hit(true) ? -1 : real(fd);
}
int rename(const char* from, const char* to) {
  static const auto real = next<int (*)(const char*, const char*)>("rename");
  return hit(true) ? -1 : real(from, to);
}
int unlink(const char* path) {
  static const auto real = next<int (*)(const char*)>("unlink");
  return hit(true) ? -1 : real(path);
}
int remove(const char* path) {
  static const auto real = next<int (*)(const char*)>("remove");
  return hit(true) ? -1 : real(path);
}
int unlinkat(int at, const char* path, int flags) {
  static const auto real = next<int (*)(int, const char*, int)>("unlinkat");
  return hit(true) ? -1 : real(at, path, flags);
}
int mkdir(const char* path, mode_t mode) {
  static const auto real = next<int (*)(const char*, mode_t)>("mkdir");
  return hit(true) ? -1 : real(path, mode);
}
int rmdir(const char* path) {
  static const auto real = next<int (*)(const char*)>("rmdir");
  return hit(true) ? -1 : real(path);
}
int ftruncate(int fd, off_t n) {
  static const auto real = next<int (*)(int, off_t)>("ftruncate");
  return hit(true) ? -1 : real(fd, n);
}
int flock(int fd, int what) {
  static const auto real = next<int (*)(int, int)>("flock");
  return hit(false) ? -1 : real(fd, what);
}

}  // extern "C"
