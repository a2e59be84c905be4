#include "distill/predict/sorting.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <system_error>

#include "distill/report/csv.hpp"
#include "engine/io/csv.hpp"
#include "engine/io/path.hpp"
#include "engine/io/write_all.hpp"

namespace akin {

namespace fs = std::filesystem;

namespace {

/// A new file with the content and times of another. False where `to` is there.
bool copy_new(const fs::path& from, const fs::path& to) {
  const Bytes bytes = read_file(from);
  const int fd = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 && errno == EEXIST) return false;
  if (fd < 0) fail_to(to, "created", errno);
  int error = write_all(fd, bytes);
  struct stat s {};
  if (error == 0 && ::stat(from.c_str(), &s) == 0) {
    const timespec times[2] = {s.st_atim, s.st_mtim};
    ::futimens(fd, times);  // a file system without times does no harm
  }
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error != 0) {
    ::unlink(to.c_str());  // half a picture, of ours
    fail_to(to, "written", error);
  }
  return true;
}

/// Renames without replacing; between file systems, or where those cannot do that, a copy and a removal. False where
/// `to` is there.
bool move_new(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EEXIST) return false;
  if (errno != EXDEV && errno != EINVAL && errno != ENOSYS) fail_to(from, "moved", errno);
  std::error_code no_link;
  if (const fs::path target = fs::read_symlink(from, no_link); !no_link) {
    const bool made = ::symlink(target.c_str(), to.c_str()) == 0;
    if (!made && errno == EEXIST) return false;
    if (!made) fail_to(to, "created", errno);
  } else if (!copy_new(from, to)) {
    return false;
  }
  remove_file(from);
  return true;
}

/// Also a link that leads nowhere: its target may have moved.
bool is_there_itself(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

bool is_relative_link(const fs::path& path) {
  std::error_code no_link;
  const fs::path target = fs::read_symlink(path, no_link);
  return !no_link && target.is_relative();
}

bool equal_files(const fs::path& a, const fs::path& b) {
  std::error_code none;
  if (fs::equivalent(a, b, none)) return true;
  if (!is_there(b) || is_folder(b) || fs::file_size(a, none) != fs::file_size(b, none)) return false;
  return read_file(a) == read_file(b);
}

constexpr std::string_view kHead = "to,from\n";

/// What stands in front of a last line that does not end: line ends in quotes belong to names.
std::string_view whole_lines(std::string_view text) {
  std::size_t end = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    quoted ^= text[i] == '"';
    if (text[i] == '\n' && !quoted) end = i + 1;
  }
  return text.substr(0, end);
}

/// name.jpg, name-2.jpg, name-3.jpg ...
fs::path numbered(const fs::path& name, int n) {
  if (n == 1) return name;
  return name.stem().string() + "-" + std::to_string(n) + name.extension().string();
}

}  // namespace

std::string folder_of_class(const std::string& class_name) {
  std::string name = class_name;
  std::replace(name.begin(), name.end(), '/', '_');
  if (name.empty() || name.front() == '.') name.insert(name.begin(), '_');  // hidden ones are passed over
  return name;
}

/// A line for each picture, on the disk before the picture moves.
struct Sorter::Log {
  explicit Log(const fs::path& file)
      : path(file), fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666)) {
    if (fd < 0) fail_to(path, "created", errno);
  }
  ~Log() { ::close(fd); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  /// The whole text, or nothing of it.
  void write(std::string_view text) {
    int error = write_all(fd, bytes_of(text));
    if (error == 0 && ::fdatasync(fd) != 0) error = errno;
    if (error == 0) {
      length += static_cast<off_t>(text.size());
      return;
    }
    [[maybe_unused]] const int cut = ::ftruncate(fd, length);  // where that fails, undo passes over the rest of a line
    fail_to(path, "written", error);
  }
  fs::path path;
  int fd;
  off_t length = 0;
};

Sorter::Sorter(Way way, fs::path folder, const std::vector<std::string>& classes)
    : way_(way), folder_(std::move(folder)) {
  std::map<std::string, std::size_t> seen;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    names_.push_back(folder_of_class(classes[c]));
    const auto [first, fresh] = seen.emplace(names_[c], c);
    AKIN_CHECK(fresh, "{}: classes '{}' and '{}' would share the folder {}; give the classes other names",
               folder_.string(), classes[first->second], classes[c], names_[c]);
  }
  make_folder(folder_);
}

Sorter::~Sorter() = default;

bool Sorter::write_down(const fs::path& to, const fs::path& from) {
  try {
    if (log_ == nullptr) {
      for (int k = 1; list_.empty() || is_there_itself(list_); ++k) list_ = folder_ / numbered("moved.csv", k);
      log_ = std::make_unique<Log>(list_);
    }
    const std::string line = csv_line({csv_text(whole_path(to).string()), csv_text(whole_path(from).string())});
    log_->write(log_->length == 0 ? std::string(kHead) + line : line);
    return true;
  } catch (const Error& e) {
    report_.faults.emplace_back(e.what());
  }
  if (log_ != nullptr && log_->length == 0) ::unlink(list_.c_str());  // it says nothing
  if (log_ == nullptr || log_->length == 0) list_.clear();
  return false;
}

bool Sorter::put(const fs::path& file, int class_number) {
  const fs::path into = folder_ / names_[static_cast<std::size_t>(class_number)];
  try {
    AKIN_CHECK(is_there_itself(file), "{}: is not there any more", file.string());
    if (way_ == Way::move && is_relative_link(file)) {
      ++report_.links;
      return true;
    }
    make_folder(into);
    for (int n = 1;; ++n) {
      const fs::path to = into / numbered(file.filename(), n);
      if (equal_files(file, to)) {
        ++report_.there;
        return true;
      }
      if (is_there_itself(to)) continue;
      if (way_ == Way::move && !write_down(to, file)) return false;
      if (!(way_ == Way::copy ? copy_new(file, to) : move_new(file, to))) continue;  // somebody was faster
      ++report_.sorted;
      report_.renamed += n > 1;
      return true;
    }
  } catch (const Error& e) {
    report_.faults.emplace_back(e.what());
  }
  return true;
}

SortReport undo_moves(const fs::path& list) {
  const std::string text = read_text(list);
  const std::string_view written = whole_lines(text);
  CsvRows rows(written, list.string());
  std::vector<std::string> cells;
  AKIN_CHECK(rows.next(cells) && cells == std::vector<std::string>({"to", "from"}),
             "{}: is no list of moved pictures; `akin predict --move DIR` writes DIR/moved.csv", list.string());
  std::vector<std::pair<fs::path, fs::path>> moves;
  SortReport report;
  while (rows.next(cells)) {
    if (cells.size() == 2)
      moves.emplace_back(cells[0], cells[1]);
    else
      report.faults.push_back(fmt::format("{}: line {}: {} cells, expected where a picture is and where it was",
                                          list.string(), rows.line(), cells.size()));
  }
  for (auto at = moves.rbegin(); at != moves.rend(); ++at) {
    const auto& [to, from] = *at;
    try {
      if (!is_there_itself(to) && is_there_itself(from)) {  // never moved, or back already
        ++report.there;
        continue;
      }
      AKIN_CHECK(is_there_itself(to), "{}: is not there any more, and was not moved back to {}", to.string(),
                 from.string());
      make_folder(from.parent_path());
      AKIN_CHECK(move_new(to, from), "{}: stays, for there is another file at its old place {}", to.string(),
                 from.string());
      ++report.sorted;
      std::error_code ignored;
      fs::remove(to.parent_path(), ignored);  // the class's folder, where it is empty
    } catch (const Error& e) {
      report.faults.emplace_back(e.what());
    }
  }
  return report;
}

}  // namespace akin
