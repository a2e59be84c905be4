#include "nn/data/picture_list.hpp"

#include <istream>
#include <iterator>
#include <set>
#include <sstream>

#include "engine/io/file.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/picture_readers.hpp"
#include "engine/io/text.hpp"
#include "nn/data/image_folder.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

class Lister {
 public:
  explicit Lister(PictureList& out) : out_(out) {}

  void take(const fs::path& path) {
    if (is_folder(path))
      take_folder(path);
    else if (is_list(path))
      take_lines(read_text(path), path.string(), path.parent_path());
    else
      take_file(path);
  }

  void take_lines(const std::string& raw, const std::string& name, const fs::path& folder) {
    std::istringstream lines(decoded_text(raw, name));
    const std::size_t before = out_.files.size() + out_.faults.size();
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.empty()) continue;
      const fs::path here = line, beside = folder / line;
      guarded([&] {
        const fs::path& path = !is_there(here) && is_there(beside) ? beside : here;
        is_folder(path) ? take_folder(path) : take_file(path);
      });
    }
    AKIN_CHECK(out_.files.size() + out_.faults.size() > before || repeated_ > 0,
               "{}: names no file; a list has the name of a picture in each line", name);
  }

  /// An error is the fault of what was named, and of nothing else.
  template <class F>
  void guarded(F&& f) {
    try {
      f();
    } catch (const Error& e) {
      out_.faults.emplace_back(e.what());
    } catch (const fs::filesystem_error& e) {
      out_.faults.push_back(fmt::format("{}: {}", e.path1().string(), e.code().message()));
    }
  }

 private:
  static bool is_list(const fs::path& path) {
    const std::string ending = lower_ending(path);
    return ending == ".txt" || ending == ".lst" || ending == ".list";
  }

  void take_folder(const fs::path& folder) {
    Listing listing{folder};
    const std::vector<fs::path> files = list_images(folder, listing);
    for (const fs::path& file : files) add(file);
    out_.account.merge(listing.account);
    out_.faults.insert(out_.faults.end(), listing.faults.begin(), listing.faults.end());
  }

  void take_file(const fs::path& path) {
    const Bytes first = read_start(path, kKindBytes);
    const std::string_view kind = kind_by_content(first);
    AKIN_CHECK(is_readable_kind(kind) || ending_of(path) == Ending::picture,
               "{}: is no picture that can be read{}; give pictures in {}, folders of them, or lists of files called "
               ".txt, .lst or .list",
               path.string(), kind.empty() ? "" : fmt::format(" ({})", kind), list_of_kinds());
    add(path);
  }

  void add(const fs::path& path) {
    if (seen_.insert(path.lexically_normal()).second) {
      out_.files.push_back(path);
    } else {
      ++repeated_;
      out_.account.note("pictures that were named twice, taken once", path.string());
    }
  }

  PictureList& out_;
  std::set<fs::path> seen_;
  std::size_t repeated_ = 0;
};

}  // namespace

PictureList list_pictures(const std::vector<std::string>& names, std::istream& in) {
  PictureList out;
  Lister lister(out);
  for (const std::string& name : names)
    lister.guarded([&] {
      if (name == "-")
        lister.take_lines(std::string(std::istreambuf_iterator<char>(in), {}), "standard input", "");
      else
        lister.take(name);
    });
  return out;
}

}  // namespace akin
