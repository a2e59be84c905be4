// akin: dispatch and exit codes; the subcommands are in the files beside this one.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <exception>

#include "apps/command_line.hpp"
#include "apps/ranks.hpp"

namespace akin {
namespace {

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
    const int code = akin::run_command_line(argc, argv);
    akin::end_ranks(nullptr);
    return code;
  } catch (...) {
    const akin::Failure failure = akin::failure_of(std::current_exception());
    return akin::end_ranks(&failure);
  }
}
