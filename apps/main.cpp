// akin: dispatch and exit codes; the subcommands are in the files beside this one.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>

#include "apps/command_line.hpp"
#include "engine/io/text.hpp"
#include "kernels/common/error.hpp"

namespace akin {
namespace {

int report(const char* kind, const char* what, int code) {
  std::fprintf(stderr, "akin: %s%s\n", kind,
               spelled_controls(what, true).c_str());  // where stderr is gone too, nobody is left to be told
  return code;
}

/// A file opened later must not get the number of a standard stream that the caller closed: messages would go into it.
/// Reading finds an empty stdin, stdout refuses to be written, and stderr swallows what nobody hears.
void occupy_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF)
      if (::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd) return;
}

}  // namespace
}  // namespace akin

int main(int argc, char** argv) {
  akin::occupy_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit shall fail the write, with a message, not end the program
  std::signal(SIGPIPE, SIG_IGN);  // nor shall a reader of stderr that is gone end a training run
  try {
    return akin::run_command_line(argc, argv);
  } catch (const akin::UsageError& e) {
    return akin::report("", e.what(), 2);
  } catch (const akin::Error& e) {
    return akin::report("", e.what(), 1);
  } catch (const std::bad_alloc&) {
    return akin::report("", "out of memory; use smaller batches or a smaller network", 1);
  } catch (const std::filesystem::filesystem_error& e) {  // a loop of links, a folder that may not be looked into
    return akin::report("", fmt::format("{}: {}", e.path1().string(), e.code().message()).c_str(), 1);
  } catch (const std::exception& e) {
    return akin::report("internal error: ", e.what(), 1);
  }
}
