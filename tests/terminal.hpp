// Runs the real akin on a terminal of so many columns, and says what a person sees in the end.
#pragma once

#include <pty.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "tests/cli_process.hpp"

namespace akin::test {

struct Screen {
  int code = -1;                   ///< exit code; -signal where one ended it
  std::string written;             ///< all that was sent
  std::vector<std::string> lines;  ///< as they stand in the end, without colours and links
  std::vector<std::string> links;  ///< targets of links, in order
  int ran_over = 0;                ///< lines that went on behind the last column

  std::string text() const { return fmt::format("{}", fmt::join(lines, "\n")); }
};

/// What a terminal makes of the text: \r goes back, ESC[K erases the rest of a line, colours take no room, OSC 8 makes
/// links; a character behind the last column begins a new line. Every character is one column wide here.
inline Screen shown_on(const std::string& text, std::size_t columns) {
  Screen out;
  out.written = text;
  std::vector<std::string> line;  // a character each
  std::size_t at = 0;
  const auto end_line = [&] {
    std::string whole;
    for (const std::string& c : line) whole += c;
    whole.erase(whole.find_last_not_of(' ') + 1);
    out.lines.push_back(whole);
    line.clear();
    at = 0;
  };
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '\n') {
      end_line();
      ++i;
    } else if (c == '\r') {
      at = 0;
      ++i;
    } else if (text.compare(i, 2, "\x1b[") == 0) {
      i += 2;
      while (i < text.size() && std::isalpha(static_cast<unsigned char>(text[i])) == 0) ++i;
      if (i < text.size() && text[i] == 'K') line.resize(std::min(line.size(), at));
      ++i;
    } else if (text.compare(i, 5, "\x1b]8;;") == 0) {
      const std::size_t end = text.find("\x1b\\", i);
      const std::string target = text.substr(i + 5, end - i - 5);
      if (!target.empty()) out.links.push_back(target);
      i = end == std::string::npos ? text.size() : end + 2;
    } else {
      std::size_t n = 1;
      while (i + n < text.size() && (static_cast<unsigned char>(text[i + n]) & 0xC0) == 0x80) ++n;
      if (at == columns) {
        ++out.ran_over;
        end_line();
      }
      line.resize(std::max(line.size(), at + 1), " ");
      line[at++] = text.substr(i, n);
      i += n;
    }
  }
  if (!line.empty()) end_line();
  return out;
}

inline Screen on_terminal(int columns, const std::vector<std::string>& arguments) {
  std::vector<std::string> all{AKIN_BINARY_DIR "/bin/akin"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& a : all) argv.push_back(a.data());
  argv.push_back(nullptr);
  winsize size{};
  size.ws_row = 40;
  size.ws_col = static_cast<unsigned short>(columns);
  int master = -1;
  const pid_t pid = ::forkpty(&master, nullptr, nullptr, &size);
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::setenv("TERM", "xterm", 1);
    ::unsetenv("NO_COLOR");
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(master, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR);)
    if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
  ::close(master);
  int status = 0;
  ::waitpid(pid, &status, 0);
  Screen out = shown_on(text, static_cast<std::size_t>(columns));
  out.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return out;
}

}  // namespace akin::test
