#include "engine/io/path.hpp"

#include <unistd.h>

#include <climits>
#include <system_error>
#include <utility>

#include "kernels/common/error.hpp"

namespace akin {
namespace fs = std::filesystem;

fs::path whole_path(const fs::path& path) {
  std::error_code gone;  // the working folder: then by the text alone
  const fs::path whole = fs::absolute(path, gone), clean = (gone ? path : whole).lexically_normal();
  return clean.has_filename() ? clean : clean.parent_path();
}

std::string length_problem(const fs::path& path) {
  if (path.native().size() >= PATH_MAX)
    return fmt::format("the path has {} bytes, {} at most", path.native().size(), PATH_MAX - 1);
  const fs::path whole = whole_path(path);
  long most = -1;  // of the nearest folder above that is there
  for (fs::path at = whole; most < 0 && at != at.parent_path(); at = at.parent_path())
    most = ::pathconf(at.parent_path().c_str(), _PC_NAME_MAX);
  if (most < 0) most = NAME_MAX;
  for (const fs::path& name : whole)
    if (std::cmp_greater(name.native().size(), most))
      return fmt::format("a name in it has {} bytes, {} at most", name.native().size(), most);
  return {};
}

}  // namespace akin
